"""Draw pairs side by side, a sheet per cluster, charts, and the report's page.

`report/` decides what is shown, and draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from pipeline.stage import (
    CacheKey,
    Inputs,
    Job,
    Output,
    Preflight,
    Result,
    Scalar,
    Settings,
    Stage,
    Task,
    Upstream,
    section,
)
from stages.clustering import dismissed
from stages.comparing.comparison import comparison_of
from stages.comparing.figure import column_of
from stages.comparing.index_columns import group_columns
from stages.comparing.thumbnails import BOUNDS
from stages.report.reads import FACTS, FOLDERS, SCHEMA, LabelSource, columns, label_column

NEEDS = ("thumbnail", "index", "pairs", "cluster")

Amount = Annotated[int, Field(ge=0)] | Literal["all"]


@section
class Params:
    """How much is drawn."""

    pairs: Annotated[
        Amount,
        Field(
            description="number of pictures of the closest matches that are not identical, and of the farthest matches"
        ),
    ] = 0
    clusters: Annotated[
        Amount, Field(description="number of contact sheets, for the clusters with the largest savings")
    ] = 0
    page: Annotated[
        Amount,
        Field(description="number of clustered images on the page; clusters with the largest savings come first"),
    ] = 200_000
    previews: Annotated[
        Amount, Field(description="number of previews on the page; for other images the page shows the files")
    ] = 20_000
    pdf: Annotated[bool, Field(description="draw each chart as PDF, too")] = False
    labels: Annotated[
        LabelSource | None,
        Field(
            description="CSV or Parquet with path and label, equal for duplicates, or column:NAME of scan.columns; the "
            "page then shows the recall"
        ),
    ] = None


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield problems of labels that can't be read."""
    if not params.labels:
        return iter(())
    from stages.report import labels

    return labels.problems(params.labels, settings)


def warm_up(upstream: Upstream, exists: Callable[[str], bool]) -> None:
    """Import Matplotlib in a side process, unless charts can be reused."""
    if not exists("report/histogram.svg"):
        from pipeline.machine import side_process
        from stages.report import charts

        side_process.submit(charts.load)


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task that reads everything; matches are streamed."""
    named = label_column(params.labels) is not None
    inputs = tuple((stage, task.key) for stage in (*NEEDS, *(["scan"] * named)) for task in upstream.tasks(stage))
    spec = dismissed.spec(upstream.settings("cluster.dismissed"))
    if params.labels and not named:
        from stages.report import labels

        spec["labels"] = labels.digest_of(labels.read(params.labels))
    images = sum(task.size for task in upstream.tasks("thumbnail"))
    yield Task("pictures", inputs, spec, filename="pictures.parquet", size=images)


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine the report; dates of files do not."""
    contrast = ("contrast",) if settings("cluster.min_contrast") else ()
    name = label_column(params.labels)
    return {
        "scan": ("path", name) if name else ("path",),
        "thumbnail": (*FACTS, "error", "error_detail", "thumbnail", *contrast),
        "index": group_columns(comparison_of(settings)),
        "pairs": columns(column_of(settings("pairs.metric"))),
    }


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Draw the pictures and the page.

    The rows list each file with its kind and subject."""
    from stages.report.report import draw

    return draw(inputs, params, job, STAGE.version)


USES = (
    *FOLDERS,
    "cluster.linkage",
    "thumbnail.size",
    "thumbnail.channels",
    "thumbnail.orientation",
    "thumbnail.colour",
    "thumbnail.truncated",
    "thumbnail.max_bytes",
    "thumbnail.max_pixels",
    "thumbnail.plugins",
)
ADDED_USES: Mapping[str, Scalar] = {"pairs.mirror": False, "pairs.exposure": "compare"}
"""Keys that later versions added to USES, each with the value that leaves earlier reports valid."""


def uses(settings: Settings) -> Sequence[str]:
    """Return the config keys that determine the report."""
    return (*USES, "inputs.a", "inputs.b") if settings("pairs.folders") != "any" else USES


STAGE: Stage[Params] = Stage(
    "plot",
    version=17,
    needs=NEEDS,
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, ADDED_USES, BOUNDS, libraries=("Pillow", "matplotlib")),
    output=Output(
        unit="images",
        seconds=3e-4,
        files=(
            "report/index.html",
            "report/folders.parquet",
            "report/*.svg",
            "report/*.pdf",
            *(f"report/{kind}/*.jpg" for kind in ("clusters", "pairs", "images")),
        ),
    ),
    preflight=Preflight(check, warm_up=warm_up),
)
