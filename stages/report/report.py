"""Choose what the report shows, and draw the report."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Inputs, Job, Result
from stages.clustering import dismissed
from stages.clustering.matches import Matches
from stages.comparing.figure import Figure, figure_of
from stages.report import charts, folders, page
from stages.report.dendrogram import dendrogram
from stages.report.drawing import ON_SHEET, Drawn, draw_charts, draw_pair, draw_sheet
from stages.report.extremes import ALL, bins, extremes, number
from stages.report.gallery import Gallery
from stages.report.previews import Previews
from stages.report.sets import leak
from stages.report.triangle import triangle

FAILURES = 200
"""Greatest number of unreadable images on the page."""


class Amounts(Protocol):
    """The parameters that decide how much is drawn; see the stage's `Params`."""

    @property
    def pairs(self) -> int | str: ...
    @property
    def clusters(self) -> int | str: ...
    @property
    def page(self) -> int | str: ...
    @property
    def previews(self) -> int | str: ...
    @property
    def labels(self) -> str | None: ...
    @property
    def pdf(self) -> bool: ...


def draw(inputs: Inputs, amounts: Amounts, job: Job, version: int) -> Result:
    """Draw the pictures and the page; return a row for each file, with its kind and subject.

    version  version of the code that draws charts"""
    threshold = job.settings("pairs.threshold")
    joined = job.settings("cluster.threshold")
    limit = joined if joined is not None else threshold
    found, measured = inputs.of("pairs"), figure_of(job.settings)
    shown_up_to = threshold if threshold is not None else limit
    closest, farthest = extremes(found, measured.column, amounts.pairs, shown_up_to)
    members = inputs.table("cluster")
    ranked = page.by_worth(members)
    listed = page.in_order(members, ranked, number(amounts.page))
    sheets = page.in_order(members, ranked[: number(amounts.clusters)], ALL)
    sheets = sheets.filter(pc.less(sheets["rank"], ON_SHEET))
    paths = [path for table in (closest, farthest) for side in ("path_a", "path_b") for path in table[side].to_pylist()]
    gallery = Gallery(inputs, job, [*paths, *sheets["path"].to_pylist(), *listed["path"].to_pylist()])
    drawn, previews = Drawn(job, version, amounts.pdf), Previews(gallery, job)
    counts, edges = bins(found, measured, threshold)
    subject = f"{measured.name} of the recorded pairs"
    drawn.chart("histogram", "histogram", subject, charts.histogram, counts, edges, shown_up_to, measured.about)
    matches = Matches(found, measured.column, limit, pa.array([], pa.string()))
    shown = _figures(inputs) | draw_charts(inputs, amounts.labels, job, members, matches, drawn)
    table = folders.folder_table(inputs, job)
    drawn.add("folders.parquet", folders.as_parquet(table), "table", "the images that folders share")
    sharing = triangle(table)
    for start in _starts(sheets):
        draw_sheet(sheets.slice(start, ON_SHEET), gallery, drawn)
    seen = listed["path"].to_pylist()[: number(amounts.previews)]
    job.advance(job.task.size - len(seen))
    for name, path in previews.make(seen):
        drawn.note(name, "preview", path)
        job.advance(1)
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
        "exposure": job.settings("pairs.exposure"),
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
    others: Mapping[int, Collection[int]] = {}
    if files := job.settings("cluster.dismissed"):
        digests = [gallery.facts[path]["digest"] for path in paths.to_pylist()]
        others = dismissed.dismissed_images(dismissed.unchanged(files, job.task.spec["dismissed"]), digests)
    cluster = listed["shown"].to_numpy().astype(np.int64)
    dismissed_pairs = [[a, b] for a, images in others.items() for b in images if a < b]
    tree = dendrogram(matches, paths, cluster, job.settings("cluster.linkage"), others)
    made = {path: kind for path in paths.to_pylist() if (kind := previews.kind(path))}
    return page.data(listed, gallery.facts, made, tree) | {
        "limit": matches.threshold,
        "column": measured.column,
        "dismissed": dismissed_pairs,
        "previews": previews.mark,
        "upright": job.settings("thumbnail.orientation") == "exif",
        "references": list(job.settings("inputs.reference")),
    }


def _figures(inputs: Inputs) -> dict[str, Any]:
    """Return the numbers at the top of the page, and the unreadable images."""
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
