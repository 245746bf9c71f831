"""Group matches into clusters, choose keepers, and check the ledger of pairs.

`clustering/` holds the graph of matches and the rules for keepers. Matches depend on `pairs.metric`. Under any metric,
`mse_to_keeper` and `diameter` are mean squared errors of thumbnails, which depend on `pairs.exposure`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, PlainValidator

from pipeline.stage import (
    CacheKey,
    Inputs,
    Job,
    Output,
    Preflight,
    Result,
    Reuse,
    Scalar,
    Settings,
    Stage,
    Task,
    Upstream,
    section,
)
from stages.clustering import dismissed, keepers
from stages.clustering.earlier import FREE
from stages.clustering.keeper_keys import Rule
from stages.comparing.figure import column_of
from stages.comparing.paths import FileName
from stages.comparing.thumbnails import BOUNDS


@section
class Params:
    """Settings that decide which images form a cluster, and which image of a cluster stays."""

    linkage: Annotated[
        Literal["components", "complete", "star"],
        Field(
            description="components: images connected by a chain of matches; complete: every two images match; "
            "star: every image matches the keeper"
        ),
    ] = "components"
    threshold: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="greatest distance of matches that join images; null: pairs.threshold",
        ),
    ] = None
    keep: Annotated[
        tuple[Annotated[Rule, PlainValidator(keepers.checked)], ...],
        Field(
            description="rules that choose the keeper of a cluster; a rule counts only where all earlier rules tie: "
            "resolution, metadata, original, avoid, live, oldest, newest, taken, companions, bytes, format, sharpness, "
            "path, {avoid: [patterns]}, {folder: [patterns]}, {format: [names]}, "
            "{path: shallowest, shortest, deepest or alphabetical}, package.module:function"
        ),
    ] = keepers.DEFAULT
    dismissed: Annotated[
        tuple[FileName, ...],
        Field(description="CSV or Parquet files of pairs that are not duplicates; see fast-diff dismiss"),
    ] = ()
    min_contrast: Annotated[
        float,
        Field(
            ge=0,
            le=128,
            description="images with a lower standard deviation of the thumbnail, such as blank pages, match nothing",
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
"""The artifact's schema.

rank       place of the image by the rules of `keep`, 0 for the keeper
reason     why the keeper comes before the image of rank 1; null for other images
reference  the image lies below a root of `inputs.reference`, so the image stays
dismissed  the image is dismissed as a duplicate of the keeper, so the image stays
size       number of images of the cluster
diameter   MSE of the cluster's farthest pair"""
FILENAME = "clusters.parquet"


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield problems: a threshold above that of `pairs`, dismissals that can't be read."""
    limit = settings("pairs.threshold")
    if limit is None and params.threshold is None:
        such = "a number such as 200" if settings("pairs.metric") == "mse" else "a distance by pairs.metric"
        yield f"cluster.threshold: expected {such}, got null; pairs.threshold is null, too, and keeps every pair"
    if limit is not None and params.threshold is not None and params.threshold > limit:
        yield (
            f"cluster.threshold: expected at most pairs.threshold ({limit:g}), got {params.threshold:g}; "
            "raise pairs.threshold as well"
        )
    try:
        dismissed.read(params.dismissed)
    except (OSError, ValueError) as error:
        problem = f"{error.filename} can't be read ({error.strerror})" if isinstance(error, OSError) else error
        yield f"cluster.dismissed: {problem}"


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task that reads everything; `linkage: components` streams matches."""
    stages = ("scan", "thumbnail", "pairs") if _of_scan(params) else ("thumbnail", "pairs")
    inputs = tuple((stage, task.key) for stage in stages for task in upstream.tasks(stage))
    images = sum(task.size for task in upstream.tasks("thumbnail"))
    yield Task("clusters", inputs, dismissed.spec(params.dismissed), filename=FILENAME, size=images)


def _of_scan(params: Params) -> list[str]:
    """Return the columns of the scan that rules read.

    If rules read no such column, a touched file changes nothing in this stage."""
    return sorted(keepers.facts(params.keep) & keepers.OF_SCAN)


def _of_thumbnails(params: Params) -> list[str]:
    """Return the columns of thumbnails that the table and the rules read."""
    return sorted({"width", "height", "bytes"} | keepers.facts(params.keep) - keepers.OF_SCAN)


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine the result.

    Dates are included only if a keep rule reads dates, contrasts only with `min_contrast`."""
    more = ({"contrast"} if params.min_contrast else set()) | ({"digest"} if params.dismissed else set())
    metric = settings("pairs.metric")
    measured = ("measured",) if metric == "mse" or params.linkage != "components" or params.dismissed else ()
    return {
        "scan": ("path", *_of_scan(params)),
        "thumbnail": ("path", "set", "error", "thumbnail", *sorted(more | {*_of_thumbnails(params)})),
        "pairs": ("path_a", "path_b", column_of(metric), *measured),
    }


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return the clusters of two or more images.

    Raises:
        TaskError: the ledger does not account for every pair."""
    from stages.clustering.clusters import clustered

    columns = sorted({*_of_thumbnails(params), *(["digest"] if params.dismissed else [])})
    table, summary = clustered(inputs, job, params, columns, _of_scan(params))
    return Result((table.select(SCHEMA.names),), summary=summary)


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the section `clusters` and two more keys of run.json.

    flat        number of images with too little contrast
    unmeasured  number of images whose sharpness could not be measured

    Values are null if the run did not reach this stage."""
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
ADDED_USES: Mapping[str, Scalar] = {"pairs.mirror": False, "pairs.exposure": "compare"}
"""Keys that later versions added to USES, each with the value that leaves earlier results valid."""


def uses(settings: Settings) -> Sequence[str]:
    """Return the config keys that determine the result.

    The limits of decoding are among these keys only with the rule `sharpness`, which decodes files: under higher limits
    more files are measurable."""
    return USES + BOUNDS if "sharpness" in settings("cluster.keep") else USES


STAGE: Stage[Params] = Stage(
    "cluster",
    version=9,
    needs=("scan", "thumbnail", "pairs"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, ADDED_USES, libraries=("Pillow",)),
    reuse=Reuse(builds_on=FREE, retry=lambda summary, params: bool(summary["passing"])),
    output=Output(figures=figures, unit="images", seconds=3e-5),
    preflight=Preflight(
        check, own_code=lambda params, settings: any(isinstance(rule, str) and ":" in rule for rule in params.keep)
    ),
)
