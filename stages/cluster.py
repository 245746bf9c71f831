"""Join matches to clusters, choose the keeper of each, and check that every pair was accounted for.

A match is what `pairs.metric` says; `mse_to_keeper` is the mean squared error of the thumbnails, whatever that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.errors import TaskError
from pipeline.stage import Artifact, Inputs, Job, Result, Settings, Stage, Task, Upstream
from stages.figure import column_of
from stages.kernels import components, exact
from stages.thumbnails import pixels, thumbnail_shape

KEEPERS_AT_ONCE = 4_096
"""Thumbnails of so many keepers are held while distances to them are measured."""

ENDS = ("path_a", "path_b")

Rule = Literal["resolution", "bytes", "oldest", "newest", "path"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """What is one cluster, and which of its images stays."""

    linkage: Annotated[
        Literal["components"], Field(description="components: images joined by a chain of matches are one cluster")
    ] = "components"
    threshold: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="only matches up to this MSE, or distance by another pairs.metric, join; null: pairs.threshold",
        ),
    ] = None
    keep: Annotated[
        tuple[Rule, ...],
        Field(description="which image of a cluster is its keeper; each rule decides where those before it tie"),
    ] = ("resolution", "bytes", "oldest")
    min_contrast: Annotated[
        float,
        Field(
            ge=0,
            le=128,
            description="images whose thumbnail has a lower standard deviation, blank pages for instance, join nothing",
        ),
    ] = 0.0


SCHEMA = pa.schema(
    [
        ("cluster", pa.int64()),
        ("path", pa.string()),
        ("keeper", pa.bool_()),
        ("mse_to_keeper", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
    ]
)


def check(params: Params, settings: Settings) -> Iterator[str]:
    """The threshold must be one that the recorded pairs can answer."""
    limit = settings("pairs.threshold")
    if limit is None and params.threshold is None:
        such = "; such as 200" if settings("pairs.metric") == "mse" else ", a distance by pairs.metric"
        yield f"cluster.threshold: expected a number, since pairs.threshold is null and keeps every pair{such}"
    if limit is not None and params.threshold is not None and params.threshold > limit:
        yield (
            f"cluster.threshold: expected at most pairs.threshold ({limit:g}), got {params.threshold:g}; "
            "raise pairs.threshold, too"
        )


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One task that reads everything; matches are streamed."""
    stages = ("scan", "thumbnail", "pairs") if reads_dates(params) else ("thumbnail", "pairs")
    inputs = tuple((stage, task.key) for stage in stages for task in upstream.tasks(stage))
    yield Task("clusters", inputs, filename="clusters.parquet")


def reads_dates(params: Params) -> bool:
    """Whether a rule looks at the files' dates; only then does a touched file matter here."""
    return not {"oldest", "newest"}.isdisjoint(params.keep)


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Dates count only where a rule looks at them, contrasts where flat images are left out."""
    contrast = ("contrast",) if params.min_contrast else ()
    return {
        "scan": ("path", "mtime_ns"),
        "thumbnail": ("path", "set", "width", "height", "error", "bytes", "thumbnail", *contrast),
        "pairs": ("path_a", "path_b", column_of(settings("pairs.metric"))),
    }


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Clusters of two images and more. Raises TaskError where the ledger does not account for every pair."""
    check_ledger(inputs.of("thumbnail"), inputs.of("pairs"))
    threshold = params.threshold if params.threshold is not None else job.settings("pairs.threshold")
    flat = _flat(inputs.of("thumbnail"), params.min_contrast)
    paths, labels = _components(inputs.of("pairs"), column_of(job.settings("pairs.metric")), threshold, flat)
    members = _members(inputs, paths, labels)
    order = np.lexsort([*reversed(_keys(members, params.keep)), members["cluster"].to_numpy()])
    members = members.take(order)
    clusters = members["cluster"].to_numpy()
    keeper = np.diff(clusters, prepend=-1) != 0
    keeper_row = np.flatnonzero(keeper)[clusters]
    mse = _mse_to_keepers(inputs, job, members["path"], keeper_row)
    members = members.append_column("keeper", pa.array(keeper)).append_column("mse_to_keeper", pa.array(mse))
    members = members.sort_by([("cluster", "ascending"), ("keeper", "descending"), ("path", "ascending")])
    removable = pc.sum(members.filter(pc.invert(members["keeper"]))["bytes"]).as_py() or 0
    summary = {
        "count": int(keeper.sum()),
        "images": members.num_rows,
        "removable_bytes": removable,
        "flat": len(flat),
    }
    return Result((members.select(SCHEMA.names),), summary=summary)


def check_ledger(thumbnails: Sequence[Artifact], pairs: Sequence[Artifact]) -> None:
    """Raise TaskError unless the block pairs account for each pair of readable images, once.

    The number of images is counted in the thumbnails, independently of what the pairs stage saw."""
    closing = {key for pair in pairs for key in pair.key.split(".")}
    blocks: dict[str, int] = {}
    waiting = 0
    for partition in thumbnails:
        waiting += partition.summary["readable"]
        if partition.key in closing:
            blocks[partition.key], waiting = waiting, 0
    sets = {name: [key for key in blocks if key.startswith(f"{name}-")] for name in ("a", "b")}
    if sets["b"]:
        expected = {f"{a}.{b}": blocks[a] * blocks[b] for a in sets["a"] for b in sets["b"]}
    else:
        expected = {
            f"{a}.{b}": blocks[a] * (blocks[a] - 1) // 2 if a == b else blocks[a] * blocks[b]
            for number, a in enumerate(sets["a"])
            for b in sets["a"][number:]
        }
    got = {pair.key: _accounted(pair.summary) for pair in pairs}
    short = sorted(key for key in expected.keys() | got.keys() if expected.get(key, -1) != got.get(key, -2))
    if short or waiting:
        some = ", ".join(f"{key}: {got.get(key, 0):,} of {expected.get(key, 0):,}" for key in short[:5])
        raise TaskError(
            f"the ledger is short: {len(short):,} of {len(expected):,} block pairs do not account for their pairs of "
            f"images ({some}); delete these files from the run's folder pairs/ and run again"
        )


def _accounted(ledger: Mapping[str, int]) -> int:
    total = ledger["decided"] + ledger["skipped_by_rule"] + ledger["identical"]
    return total if total == ledger["pairs_total"] else -1


def _matches(pairs: Sequence[Artifact], figure: str, threshold: float) -> Iterator[pa.RecordBatch]:
    for artifact in pairs:
        for batch in artifact.batches(["path_a", "path_b", figure]):
            if matching := batch.filter(pc.less_equal(batch.column(figure), threshold)):
                yield matching


def _flat(thumbnails: Sequence[Artifact], least: float) -> pa.Array:
    """Paths of the images with less contrast."""
    found = []
    for artifact in thumbnails if least else ():
        rows = artifact.table(["path", "contrast"])
        found += rows["path"].filter(pc.less(rows["contrast"], least)).chunks
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def _components(
    pairs: Sequence[Artifact], figure: str, threshold: float, flat: pa.Array
) -> tuple[pa.Array, np.ndarray]:
    """Paths of all the images that match another, sorted, and the cluster of each, numbered by first path."""
    numbers: dict[str, int] = {}
    forest = components.Forest()
    for batch in _matches(pairs, figure, threshold):
        if len(flat):
            batch = batch.filter(pc.invert(pc.or_(*(pc.is_in(batch.column(name), flat) for name in ENDS))))
        ends = [_numbered(batch.column(name), numbers) for name in ENDS]
        forest.join(*ends)
    paths = pa.array(numbers, pa.string())
    order = pc.array_sort_indices(paths)
    roots = forest.labels(len(numbers))[order.to_numpy()]
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    return paths.take(order), np.argsort(np.argsort(first))[inverse]


def _numbered(column: pa.Array, numbers: dict[str, int]) -> np.ndarray:
    """Numbers that stand for the strings of a column; new strings get the next ones."""
    encoded = column.dictionary_encode()
    known = [numbers.setdefault(path, len(numbers)) for path in encoded.dictionary.to_pylist()]
    return np.array(known, np.int64)[encoded.indices.to_numpy()]


def _members(inputs: Inputs, paths: pa.Array, labels: np.ndarray) -> pa.Table:
    """What the rules and the table need to know of the images that are in a cluster, by path."""
    members = pa.table({"path": paths, "cluster": pa.array(labels, pa.int64())})
    facts = _rows_of(inputs.of("thumbnail"), ["path", "width", "height", "bytes"], paths)
    if dates := inputs.of("scan"):
        facts = facts.join(_rows_of(dates, ["path", "mtime_ns"], paths), "path")
    return members.join(facts, "path").sort_by("path").combine_chunks()


def _rows_of(artifacts: Sequence[Artifact], columns: Sequence[str], paths: pa.Array) -> pa.Table:
    tables = (artifact.table(columns) for artifact in artifacts)
    return pa.concat_tables([table.filter(pc.is_in(table["path"], paths)) for table in tables])


def _keys(members: pa.Table, rules: Sequence[Rule]) -> list[np.ndarray]:
    """Sort keys, the first rule first; `members` are in path order, so their number breaks the last tie."""

    def key(rule: Rule) -> np.ndarray:
        match rule:
            case "resolution":
                return -_ints(members["width"]) * _ints(members["height"])
            case "bytes":
                return -_ints(members["bytes"])
            case "oldest":
                return _ints(members["mtime_ns"])
            case "newest":
                return -_ints(members["mtime_ns"])
            case "path":
                return np.arange(members.num_rows)

    return [*map(key, rules), np.arange(members.num_rows)]


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy(), np.int64)


def _mse_to_keepers(inputs: Inputs, job: Job, paths: pa.ChunkedArray, keeper_row: np.ndarray) -> np.ndarray:
    """MSE of each member to its keeper: as recorded where that pair is a match, else from the thumbnails.

    Where pairs.metric is another one no MSE is recorded, and all come from the thumbnails."""
    mse = np.full(len(paths), np.nan)
    mse[keeper_row == np.arange(len(paths))] = 0.0
    values = paths.combine_chunks()
    for artifact in inputs.of("pairs") if job.settings("pairs.metric") == "mse" else ():
        for batch in artifact.batches(["path_a", "path_b", "mse"]):
            a, b = (pc.index_in(batch.column(name), values).fill_null(-1).to_numpy() for name in ("path_a", "path_b"))
            known = (a >= 0) & (b >= 0)
            a, b, found = a[known], b[known], batch.column("mse").to_numpy()[known]
            for member, keeper in ((a, b), (b, a)):
                to_keeper = keeper_row[member] == keeper
                mse[member[to_keeper]] = found[to_keeper]
    unknown = np.flatnonzero(np.isnan(mse))
    keepers = np.unique(keeper_row[unknown])
    for start in range(0, len(keepers), KEEPERS_AT_ONCE):
        some = keepers[start : start + KEEPERS_AT_ONCE]
        rows = unknown[np.isin(keeper_row[unknown], some)]
        _measure(inputs, job, values, some, rows, keeper_row, mse)
    return mse


def _measure(
    inputs: Inputs,
    job: Job,
    paths: pa.Array,
    keepers: np.ndarray,
    rows: np.ndarray,
    keeper_row: np.ndarray,
    mse: np.ndarray,
) -> None:
    """Fill in `mse` at `rows`, whose keepers are among `keepers`; one partition of thumbnails at a time."""
    shape = thumbnail_shape(job.settings)
    divisor = shape[0] * shape[1] * (shape[2] if job.settings("pairs.normalize") == "value" else 1)
    turns = 4 if job.settings("pairs.rotations") else 1
    measure = exact.Squares()
    held = np.empty((len(keepers), *shape), np.uint8)
    for numbers, thumbnails in _thumbnails(inputs, paths.take(pa.array(keepers)), shape):
        held[numbers] = thumbnails
    for numbers, thumbnails in _thumbnails(inputs, paths.take(pa.array(rows)), shape):
        members = rows[numbers]
        of_keeper = np.searchsorted(keepers, keeper_row[members])
        places = np.arange(len(members))
        sums = [measure.pairs(held, exact.turned(thumbnails, turn), of_keeper, places, np.inf) for turn in range(turns)]
        mse[members] = np.min(sums, axis=0) / divisor


def _thumbnails(
    inputs: Inputs, paths: pa.Array, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places in `paths` and thumbnails (n, H, W, C) of the images found, one partition at a time."""
    for artifact in inputs.of("thumbnail"):
        places = pc.index_in(artifact.table(["path"])["path"], value_set=paths).combine_chunks()
        there = pc.is_valid(places)
        if pc.any(there).as_py():
            column = artifact.table(["thumbnail"])["thumbnail"].filter(there)
            yield places.filter(there).to_numpy(), pixels(column, shape)


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The section `clusters` of run.json, and how many images were left out as `flat`; null where a run did not come
    that far."""
    unknown = dict.fromkeys(("count", "images", "removable_bytes", "flat"))
    found = dict(next(iter(summaries), unknown))
    return {"flat": found.pop("flat"), "clusters": found}


STAGE = Stage(
    "cluster",
    version=2,
    needs=("scan", "thumbnail", "pairs"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    reads=reads,
    uses=(
        "pairs.metric",
        "pairs.threshold",
        "pairs.normalize",
        "pairs.rotations",
        "thumbnail.size",
        "thumbnail.channels",
    ),
    figures=figures,
    check=check,
)
