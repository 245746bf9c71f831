"""Draw pairs side by side, a sheet per cluster, charts, and the report's page.

This file decides what is drawn; `report/` does the drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.machine import side_process
from pipeline.stage import CacheKey, Inputs, Job, Output, Preflight, Result, Settings, Stage, Task, Upstream
from stages.clustering import dismissed
from stages.clustering.matches import Matches
from stages.comparing.blocks import group_columns
from stages.comparing.figure import Figure, column_of, figure_of
from stages.comparing.paths import FileName
from stages.comparing.thumbnails import BOUNDS
from stages.report import charts, folders, labels, page
from stages.report.bundles import comparison_of
from stages.report.dendrogram import dendrogram
from stages.report.drawing import ON_SHEET, SCHEMA, Drawn, draw_charts, draw_pair, draw_sheet
from stages.report.extremes import ALL, bins, columns, extremes, number
from stages.report.gallery import FACTS, Gallery
from stages.report.previews import Previews
from stages.report.sets import leak
from stages.report.triangle import triangle

NEEDS = ("thumbnail", "index", "pairs", "cluster")
FAILURES = 200
"""Unreadable images on the page, at most."""

Amount = Annotated[int, Field(ge=0)] | Literal["all"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
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
    labels: Annotated[
        FileName | None,
        Field(description="CSV or Parquet with path and label, equal for duplicates; the page then shows the recall"),
    ] = None


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Report labels that can't be read."""
    try:
        labels.read(params.labels) if params.labels else None
    except OSError as error:
        yield f"plot.labels: {params.labels} can't be read ({error.strerror})"
    except ValueError as error:
        yield f"plot.labels: {error}"


def warm_up(upstream: Upstream, exists: Callable[[str], bool]) -> None:
    """Import Matplotlib in a process beside the run, unless there are charts to reuse."""
    if not exists("report/histogram.svg"):
        side_process.submit(charts.load)


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task that reads everything; matches are streamed."""
    inputs = tuple((stage, task.key) for stage in NEEDS for task in upstream.tasks(stage))
    spec = dismissed.spec(upstream.settings("cluster.dismissed"))
    if params.labels:
        spec["labels"] = labels.mark(labels.read(params.labels))
    yield Task("pictures", inputs, spec, filename="pictures.parquet")


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine the report; dates of files do not."""
    contrast = ("contrast",) if settings("cluster.min_contrast") else ()
    return {
        "thumbnail": (*FACTS, "error", "error_detail", "thumbnail", *contrast),
        "index": group_columns(comparison_of(settings)),
        "pairs": columns(column_of(settings("pairs.metric"))),
    }


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Draw the pictures and the page.

    The rows list each file with its kind and subject."""
    threshold = job.settings("pairs.threshold")
    joined = job.settings("cluster.threshold")
    limit = joined if joined is not None else threshold
    found, measured = inputs.of("pairs"), figure_of(job.settings)
    shown_up_to = threshold if threshold is not None else limit
    closest, farthest = extremes(found, measured.column, params.pairs, shown_up_to)
    members = inputs.table("cluster")
    ranked = page.by_worth(members)
    listed = page.in_order(members, ranked, number(params.page))
    sheets = page.in_order(members, ranked[: number(params.clusters)], ALL)
    sheets = sheets.filter(pc.less(sheets["rank"], ON_SHEET))
    paths = [path for table in (closest, farthest) for side in ("path_a", "path_b") for path in table[side].to_pylist()]
    gallery = Gallery(inputs, job, [*paths, *sheets["path"].to_pylist(), *listed["path"].to_pylist()])
    drawn, previews = Drawn(job, STAGE.version), Previews(gallery, job)
    counts, edges = bins(found, measured, threshold)
    said = f"{measured.name} of the recorded pairs"
    drawn.chart("histogram", "histogram", said, charts.histogram, counts, edges, shown_up_to, measured.about)
    matches = Matches(found, measured.column, limit, pa.array([], pa.string()))
    shown = _figures(inputs) | draw_charts(inputs, params.labels, job, members, matches, drawn)
    table = folders.folder_table(inputs, job)
    drawn.add("folders.parquet", folders.as_parquet(table), "table", "the images that folders share")
    sharing = triangle(table)
    for start in _starts(sheets):
        draw_sheet(sheets.slice(start, ON_SHEET), gallery, drawn)
    seen = listed["path"].to_pylist()[: number(params.previews)]
    for name, path in previews.make(seen):
        drawn.note(name, "preview", path)
    drawn.finish()
    starts = _starts(listed)
    shown |= {
        "threshold": limit,
        "recorded_up_to": shown_up_to,
        "every_pair": threshold is None,
        "recorded": sum(counts),
        "figure": measured,
        "folders": sharing,
        "linkage": job.settings("cluster.linkage"),
        "same_hash": job.settings("pairs.same_hash"),
        "mirror": job.settings("pairs.mirror"),
        "clusters_shown": len(starts),
        "images_left": listed["size"][0].as_py() - [*starts, len(listed)][1] if starts else 0,
        "data": _data(listed, gallery, previews, matches, measured, job)
        | {"sharing": sharing.folders if sharing else [], "sharing_names": sharing.names if sharing else []}
        | {"leak": leak(inputs, members)},
        "pair_sections": [
            (f"{kind.capitalize()} matches", [draw_pair(row, measured, gallery, drawn, kind, n) for n, row in rows])
            for kind, rows in (("closest", _numbered(closest)), ("farthest", _numbered(farthest)))
        ],
    }
    drawn.add("index.html", page.render("report.html", shown), "page", "the report")
    return drawn.result()


def _numbered(table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(table.to_pylist(), start=1)


def _starts(members: pa.Table) -> list[int]:
    """Return the row number of each cluster's first image."""
    starts: list[int] = np.flatnonzero(np.diff(members["shown"].to_numpy(), prepend=-1)).tolist()
    return starts


def _data(
    listed: pa.Table, gallery: Gallery, previews: Previews, matches: Matches, measured: Figure, job: Job
) -> dict[str, Any]:
    """Return the data for the page's script."""
    paths = listed["path"].combine_chunks().cast(pa.string())
    apart = {}
    if files := job.settings("cluster.dismissed"):
        digests = [gallery.facts[path]["digest"] for path in paths.to_pylist()]
        apart = dismissed.apart(dismissed.unchanged(files, job.task.spec["dismissed"]), digests)
    cluster = listed["shown"].to_numpy().astype(np.int64)
    close = [[a, b] for a, others in apart.items() for b in others if a < b]
    tree = dendrogram(matches, paths, cluster, job.settings("cluster.linkage"), apart)
    made = {path: kind for path in paths.to_pylist() if (kind := previews.kind(path))}
    return page.data(listed, gallery.facts, made, tree) | {
        "limit": matches.threshold,
        "column": measured.column,
        "dismissed": close,
        "previews": previews.mark,
        "upright": job.settings("thumbnail.orientation") == "exif",
        "references": list(job.settings("inputs.reference")),
    }


def _figures(inputs: Inputs) -> dict[str, Any]:
    """Return the numbers in the page's head, and the unreadable images."""
    thumbnails = [artifact.summary for artifact in inputs.of("thumbnail")]
    ledger = [artifact.summary for artifact in inputs.of("pairs")]
    (clusters,) = (artifact.summary for artifact in inputs.of("cluster"))
    failures: list[dict[str, Any]] = []
    for artifact in inputs.of("thumbnail"):
        if artifact.summary["failed"] and len(failures) < FAILURES:
            rows = artifact.table(["path", "error", "error_detail"])
            failures += rows.filter(pc.is_valid(rows["error"])).to_pylist()
    return {
        "images": sum(summary["images"] for summary in thumbnails),
        "failures_total": sum(summary["failed"] for summary in thumbnails),
        "failures": failures[:FAILURES],
        "pairs_skipped": sum(summary["skipped_by_rule"] for summary in ledger),
        "pairs_compared": sum(summary["decided"] + summary["identical"] for summary in ledger),
        "matches": sum(summary["matches"] for summary in ledger),
        "clusters_total": clusters["count"],
        "clustered": clusters["images"],
        "removable": clusters["removable_bytes"],
    }


USES = (
    *folders.USES,
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


def uses(settings: Settings) -> Sequence[str]:
    """Return the config keys that determine the report."""
    return (*USES, "inputs.a", "inputs.b") if settings("pairs.folders") != "any" else USES


STAGE: Stage[Params] = Stage(
    "plot",
    version=15,
    needs=NEEDS,
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, {"pairs.mirror": False}, BOUNDS, libraries=("Pillow", "matplotlib")),
    output=Output(
        files=(
            "report/index.html",
            "report/folders.parquet",
            "report/*.svg",
            *(f"report/{kind}/*.jpg" for kind in ("clusters", "pairs", "images")),
        )
    ),
    preflight=Preflight(check, warm_up=warm_up),
)
