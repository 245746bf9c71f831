"""Join matches to clusters, choose the keeper of each, and check that every pair was accounted for.

The graph of matches and the rules for keepers are in `clustering/`. A match is what `pairs.metric` says;
`mse_to_keeper` and `diameter` are mean squared errors of thumbnails, whatever the metric is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass

from pipeline.stage import (
    Artifact,
    CacheKey,
    Inputs,
    Job,
    Output,
    Preflight,
    Result,
    Reuse,
    Settings,
    Stage,
    Task,
    Upstream,
)
from stages.clustering import dismissed, keepers
from stages.clustering.distances import inside
from stages.clustering.focus import Sharpness
from stages.clustering.keeper_keys import Rule
from stages.clustering.keepers import stay
from stages.clustering.ledger import check_ledger
from stages.clustering.live import per_folder
from stages.clustering.matches import Matches
from stages.clustering.rows import rows_of
from stages.comparing.figure import column_of
from stages.comparing.paths import FileName
from stages.comparing.references import are_references
from stages.comparing.thumbnails import BOUNDS

Ints = NDArray[np.int64]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """What is one cluster, and which of its images stays."""

    linkage: Annotated[
        Literal["components", "complete", "star"],
        Field(
            description="components: images joined by a chain of matches; complete: images of which every two match; "
            "star: images that match their keeper"
        ),
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
        tuple[Annotated[Rule, PlainValidator(keepers.checked)], ...],
        Field(
            description="which image of a cluster is its keeper; each rule decides where those before it tie: "
            "resolution, metadata, original, avoid, live, oldest, newest, taken, bytes, format, sharpness, path, "
            "{avoid: [patterns]}, {folder: [patterns]}, {format: [names]}, {path: shallowest}, shortest or deepest, "
            "package.module:function"
        ),
    ] = keepers.DEFAULT
    dismissed: Annotated[
        tuple[FileName, ...],
        Field(description="CSV or Parquet files of pairs that are no duplicates; see fast-diff dismiss"),
    ] = ()
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
        ("rank", pa.int64()),
        ("reason", pa.string()),
        ("reference", pa.bool_()),
        ("dismissed", pa.bool_()),
        ("mse_to_keeper", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("size", pa.int64()),
        ("diameter", pa.float64()),
    ]
)
"""`rank`: place of the image by the rules of `keep`, 0 for the keeper; `reason`: of a keeper, why the keeper comes
before the image of rank 1, else null; `reference`: the image lies below one of `inputs.reference`, so it stays, keeper
or not; `dismissed`: the image is dismissed as a duplicate of the keeper, so it stays, though other images join the two;
`size` and `diameter` belong to the cluster: its number of images, and the MSE of the two that are farthest apart."""
FILENAME = "clusters.parquet"


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
    try:
        dismissed.read(params.dismissed)
    except (OSError, ValueError) as error:
        said = f"{error.filename} can't be read ({error.strerror})" if isinstance(error, OSError) else error
        yield f"cluster.dismissed: {said}"


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One task that reads everything; matches are streamed, but for linkages that need them all at a time."""
    stages = ("scan", "thumbnail", "pairs") if _of_scan(params) else ("thumbnail", "pairs")
    inputs = tuple((stage, task.key) for stage in stages for task in upstream.tasks(stage))
    yield Task("clusters", inputs, dismissed.spec(params.dismissed), filename=FILENAME)


def _of_scan(params: Params) -> list[str]:
    """What rules look at of the scan; only where they do, a touched file matters here."""
    return sorted(keepers.facts(params.keep) & keepers.OF_SCAN)


def _of_thumbnails(params: Params) -> list[str]:
    """What the table and the rules need to know of images."""
    return sorted({"width", "height", "bytes"} | keepers.facts(params.keep) - keepers.OF_SCAN)


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Dates count only where a rule looks at them, contrasts where flat images are left out."""
    more = ({"contrast"} if params.min_contrast else set()) | ({"digest"} if params.dismissed else set())
    measured = ("measured",) if _whole(params) else ()
    return {
        "scan": ("path", *_of_scan(params)),
        "thumbnail": ("path", "set", "error", "thumbnail", *sorted(more | {*_of_thumbnails(params)})),
        "pairs": ("path_a", "path_b", column_of(settings("pairs.metric")), *measured),
    }


def _whole(params: Params) -> bool:
    """Whether clusters are made from all matches at a time."""
    return params.linkage != "components" or bool(params.dismissed)


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Clusters of two images and more. Raises TaskError where the ledger does not account for every pair."""
    check_ledger(inputs.of("thumbnail"), inputs.of("pairs"))
    threshold = params.threshold if params.threshold is not None else job.settings("pairs.threshold")
    flat = _flat(inputs.of("thumbnail"), params.min_contrast)
    matches = Matches(inputs.of("pairs"), column_of(job.settings("pairs.metric")), threshold, flat)
    apart: dict[int, set[int]] = {}
    if _whole(params):
        graph = matches.graph()
        paths, family = graph.paths, graph.families()
        sharpness = Sharpness(job, family)
        ranking = _ranking(inputs, job, paths, family, params, sharpness)
        apart = _apart(inputs, job, paths, params)
        labels = graph.clusters(params.linkage, ranking.places, apart)
    else:
        paths, labels = matches.chained()
        sharpness = Sharpness(job, labels)
        ranking = _ranking(inputs, job, paths, labels, params, sharpness)
    rows, cluster = _clusters(labels, ranking.places)
    first = np.diff(cluster, prepend=-1) != 0
    reasons = np.full(len(rows), None, object)
    reasons[first] = ranking.reasons(rows[first], rows[np.flatnonzero(first) + 1])
    keeper = np.flatnonzero(first)[cluster]
    pairs = zip(rows.tolist(), rows[keeper].tolist(), strict=True)
    members = _members(inputs, job, paths.take(pa.array(rows)), _of_thumbnails(params))
    distances = inside(inputs, job, members["path"].combine_chunks(), keeper, cluster)
    columns = {
        "cluster": cluster,
        "keeper": first,
        "rank": np.arange(len(rows)) - keeper,
        "reason": pa.array(reasons, pa.string()),
        "dismissed": np.array([other in apart.get(image, ()) for image, other in pairs], bool),
        "mse_to_keeper": distances.to_keeper,
        "size": np.bincount(cluster)[cluster],
        "diameter": distances.diameter[cluster],
    }
    for name, values in columns.items():
        members = members.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    members = members.sort_by([("cluster", "ascending"), ("keeper", "descending"), ("path", "ascending")])
    summary = {
        "count": int(first.sum()),
        "images": members.num_rows,
        "removable_bytes": pc.sum(members.filter(pc.invert(stay(members)))["bytes"]).as_py() or 0,
        "flat": len(flat),
        "unmeasured": sharpness.unmeasured,
        "passing": sharpness.passing,
    }
    return Result((members.select(SCHEMA.names),), summary=summary)


def _apart(inputs: Inputs, job: Job, paths: pa.Array, params: Params) -> dict[int, set[int]]:
    """For images that were dismissed, by their place in `paths`: those that each of them is to match no more."""
    if not params.dismissed:
        return {}
    pairs = dismissed.unchanged(params.dismissed, job.task.spec["dismissed"])
    digests = rows_of(inputs.of("thumbnail"), ["path", "digest"], paths)["digest"]
    return dismissed.apart(pairs, digests.to_pylist())


def _flat(thumbnails: Sequence[Artifact], least: float) -> pa.Array:
    """Paths of the images with less contrast."""
    found = []
    for artifact in thumbnails if least else ():
        rows = artifact.table(["path", "contrast"])
        found += rows["path"].filter(pc.less(rows["contrast"], least)).chunks
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def _clusters(labels: Ints, rank: Ints) -> tuple[Ints, Ints]:
    """Of images in path order with labels and ranks: those in a cluster of two and more, cluster by cluster, each by
    rank; and their clusters, numbered from 0 by the first path in each."""
    _, first, number, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    several = np.flatnonzero(sizes > 1)
    new = np.full(len(sizes), -1)
    new[several[np.argsort(first[several])]] = np.arange(len(several))
    cluster = new[number]
    rows = np.flatnonzero(cluster >= 0)
    rows = rows[np.lexsort([rank[rows], cluster[rows]])]
    return rows, cluster[rows]


def _ranking(
    inputs: Inputs, job: Job, paths: pa.Array, family: Ints, params: Params, sharpness: Sharpness
) -> keepers.Ranking:
    """Which images are to stay, the first one first; see `keepers.ranked`."""
    members = _members(inputs, job, paths, _of_thumbnails(params), _of_scan(params))
    around = keepers.Around(family, lambda: per_folder(_readable(inputs.of("thumbnail"))))
    return keepers.ranked(members, params.keep, sharpness, around)


def _readable(thumbnails: Sequence[Artifact]) -> Iterator[pa.ChunkedArray]:
    """Paths of the images that could be read, one partition at a time."""
    for artifact in thumbnails:
        rows = artifact.table(["path", "error"])
        yield rows["path"].filter(pc.is_null(rows["error"]))


def _members(
    inputs: Inputs, job: Job, paths: pa.Array, of_thumbnails: Sequence[str], of_scan: Sequence[str] = ()
) -> pa.Table:
    """What is known of some images, in the order of `paths`."""
    members = rows_of(inputs.of("thumbnail"), ["path", *of_thumbnails], paths)
    if of_scan:
        dates = rows_of(inputs.of("scan"), ["path", *of_scan], paths)
        for name in of_scan:
            members = members.append_column(name, dates[name])
    return members.append_column("reference", are_references(members["path"], job.settings("inputs.reference")))


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The section `clusters` of run.json, how many images were left out as `flat`, and of how many the sharpness was to
    be measured and could not be; null where a run did not come that far."""
    found = next(iter(summaries), {})
    clusters = {name: found.get(name) for name in ("count", "images", "removable_bytes")}
    return {name: found.get(name) for name in ("flat", "unmeasured")} | {"clusters": clusters}


USES = (
    "inputs.reference",
    "pairs.metric",
    "pairs.threshold",
    "pairs.normalize",
    "pairs.rotations",
    "thumbnail.size",
    "thumbnail.channels",
    "thumbnail.orientation",
    "thumbnail.plugins",
)


def uses(settings: Settings) -> Sequence[str]:
    """Return the config keys that determine the result. Limits of decoding count where the rule `sharpness` decodes
    files: under higher limits more files can be measured."""
    return USES + BOUNDS if "sharpness" in settings("cluster.keep") else USES


STAGE: Stage[Params] = Stage(
    "cluster",
    version=7,
    needs=("scan", "thumbnail", "pairs"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, libraries=("Pillow",)),
    reuse=Reuse(retry=lambda summary, params: bool(summary["passing"])),
    output=Output(figures=figures),
    preflight=Preflight(check),
)
