"""Draw what was found: pairs side by side, a sheet per cluster, charts, and a page to look at, choose and decide on.

What is drawn is said here; how, in the room `stages/report/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.stage import CacheKey, Inputs, Job, Output, Preflight, Result, Settings, Stage, Task, Upstream
from stages.clustering import dismissed
from stages.clustering.matches import Matches
from stages.comparing.figure import SETTINGS, Figure, column_of, figure_of
from stages.comparing.paths import FileName
from stages.comparing.text import human_bytes, human_mse
from stages.comparing.thumbnails import BOUNDS
from stages.report import charts, folders, labels, page
from stages.report.dendrogram import dendrogram
from stages.report.extremes import EVERY, bins, columns, extremes, number
from stages.report.gallery import FACTS, Gallery
from stages.report.pictures import Subject, contact_sheet, jpeg, side_by_side
from stages.report.previews import Previews

ON_SHEET = 24
"""Images of a cluster on its contact sheet."""
SUFFIXES = ("", "-dark")
"""Of the names of charts, for light pages and for dark ones."""
FAILURES = 200
"""Unreadable images listed on the page."""

Amount = Annotated[int, Field(ge=0)] | Literal["all"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """How much is drawn."""

    pairs: Annotated[
        Amount,
        Field(description="pictures of so many of the closest matches that are not identical, and of the farthest"),
    ] = 50
    clusters: Annotated[
        Amount, Field(description="contact sheets of so many clusters, those that hold the most bytes")
    ] = 50
    page: Annotated[
        Amount, Field(description="so many images in clusters are on the page, those clusters first that hold the most")
    ] = 200_000
    previews: Annotated[
        Amount, Field(description="so many of these get a preview; for others the page shows the files themselves")
    ] = 20_000
    labels: Annotated[
        FileName | None,
        Field(description="CSV or Parquet of path and label; images of one label are duplicates: draws the recall"),
    ] = None


SCHEMA = pa.schema([("file", pa.string()), ("kind", pa.string()), ("subject", pa.string())])


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Labels must be there."""
    try:
        labels.read(params.labels) if params.labels else None
    except OSError as error:
        yield f"plot.labels: {params.labels} can't be read ({error.strerror})"
    except ValueError as error:
        yield f"plot.labels: {error}"


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One task that reads everything; matches are streamed."""
    inputs = tuple((stage, task.key) for stage in ("thumbnail", "pairs", "cluster") for task in upstream.tasks(stage))
    spec = dismissed.spec(upstream.settings("cluster.dismissed"))
    if params.labels:
        spec["labels"] = labels.mark(labels.read(params.labels))
    yield Task("pictures", inputs, spec, filename="pictures.parquet")


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Dates of files play no part in what is shown."""
    return {
        "thumbnail": (*FACTS, "set", "error", "error_detail", "thumbnail"),
        "pairs": columns(column_of(settings("pairs.metric"))),
    }


class _Drawn:
    """The files that were published, by kind, and what each is about."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.rows: dict[str, tuple[str, str]] = {}

    def add(self, name: str, data: bytes, kind: str, subject: str) -> str:
        """Publish one file of the report; returns its name as the page refers to it."""
        self._job.publish(f"report/{name}", data)
        return self.note(name, kind, subject)

    def note(self, name: str, kind: str, subject: str) -> str:
        """The same of a file that is published already."""
        self.rows[f"report/{name}"] = (kind, subject)
        return name

    def result(self) -> Result:
        """One row a file, in order of kind and name."""
        rows = sorted((kind, file, subject) for file, (kind, subject) in self.rows.items())
        table = pa.table([[r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows]], schema=SCHEMA)
        kinds = pc.value_counts(table["kind"]).to_pylist()
        summary = {row["values"]: row["counts"] for row in kinds}
        return Result((table,), summary=summary, files=tuple(self.rows))


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """The pictures and the page; rows say which file shows what."""
    threshold = job.settings("pairs.threshold")
    joined = job.settings("cluster.threshold")
    limit = joined if joined is not None else threshold
    found, measured = inputs.of("pairs"), figure_of(job.settings)
    shown_up_to = threshold if threshold is not None else limit
    closest, farthest = extremes(found, measured.column, params.pairs, shown_up_to)
    members = inputs.table("cluster")
    ranked = page.by_worth(members)
    listed = page.in_order(members, ranked, number(params.page))
    sheets = page.in_order(members, ranked[: number(params.clusters)], EVERY)
    sheets = sheets.filter(pc.less(sheets["rank"], ON_SHEET))
    paths = [path for table in (closest, farthest) for side in ("path_a", "path_b") for path in table[side].to_pylist()]
    gallery = Gallery(inputs, job, [*paths, *sheets["path"].to_pylist(), *listed["path"].to_pylist()])
    drawn, previews = _Drawn(job), Previews(gallery, job)
    counts, edges = bins(found, measured, threshold)
    histogram = charts.histogram(counts, edges, shown_up_to, measured.about)
    for suffix, form in zip(SUFFIXES, charts.both(histogram), strict=True):
        drawn.add(f"histogram{suffix}.svg", form, "histogram", f"{measured.name} of the recorded pairs")
    matches = Matches(found, measured.column, limit, pa.array([], pa.string()))
    shown = _figures(inputs) | _charts(inputs, params, job, members, matches, drawn)
    for start in _starts(sheets):
        _draw_sheet(sheets.slice(start, ON_SHEET), gallery, drawn)
    seen = listed["path"].to_pylist()[: number(params.previews)]
    for name, path in previews.make(seen):
        drawn.note(name, "preview", path)
    starts = _starts(listed)
    shown |= {
        "threshold": limit,
        "recorded_up_to": shown_up_to,
        "every_pair": threshold is None,
        "recorded": sum(counts),
        "figure": measured,
        "linkage": job.settings("cluster.linkage"),
        "same_hash": job.settings("pairs.same_hash"),
        "clusters_shown": len(starts),
        "images_left": listed["size"][0].as_py() - [*starts, len(listed)][1] if starts else 0,
        "data": _data(listed, gallery, previews, matches, measured, job),
        "pair_sections": [
            (f"{kind.capitalize()} matches", [_draw_pair(row, measured, gallery, drawn, kind, n) for n, row in rows])
            for kind, rows in (("closest", _numbered(closest)), ("farthest", _numbered(farthest)))
        ],
    }
    drawn.add("index.html", page.render("report.html", shown), "page", "the report")
    return drawn.result()


def _numbered(table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(table.to_pylist(), start=1)


def _starts(members: pa.Table) -> list[int]:
    """The first row of each cluster."""
    starts: list[int] = np.flatnonzero(np.diff(members["shown"].to_numpy(), prepend=-1)).tolist()
    return starts


def _data(
    listed: pa.Table, gallery: Gallery, previews: Previews, matches: Matches, measured: Figure, job: Job
) -> dict[str, Any]:
    """What the page's script is given."""
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
        "figure": measured.name,
        "column": measured.column,
        "dismissed": close,
        "previews": previews.mark,
        "upright": job.settings("thumbnail.orientation") == "exif",
        "references": list(job.settings("inputs.reference")),
    }


def _charts(
    inputs: Inputs, params: Params, job: Job, members: pa.Table, matches: Matches, drawn: _Drawn
) -> dict[str, Any]:
    """Draw the charts; what the page says of them."""
    there: dict[str, bytes] = {}
    recall, which = None, folders.shared(members)
    if len(members):
        there["sizes"] = charts.sizes(Counter(Counter(members["cluster"].to_pylist()).values()))
    if which:
        there["folders"] = charts.heat(which.names, which.images)
    if params.labels:
        known = labels.unchanged(params.labels, job.task.spec["labels"])
        found = labels.recall(matches.graph(), known, *labels.sets(inputs, known))
        there["recall"] = charts.recall(found.distances, found.share, matches.threshold, figure_of(job.settings).name)
        recall = found._asdict() | {"at_threshold": found.share[-1] if len(found.share) else 0.0}
    for name, picture in there.items():
        for suffix, form in zip(SUFFIXES, charts.both(picture), strict=True):
            drawn.add(f"{name}{suffix}.svg", form, "chart", name)
    return {"charts": there, "recall": recall, "folders": which}


def _draw_sheet(cluster: pa.Table, gallery: Gallery, drawn: _Drawn) -> None:
    """The contact sheet of a cluster, of its first images."""
    number, size = cluster["cluster"][0].as_py(), cluster["size"][0].as_py()
    subjects = []
    for row in cluster.filter(pc.equal(cluster["cluster"], number)).to_pylist():
        about = f"keeper: {row['reason']}" if row["keeper"] else f"MSE {human_mse(row['mse_to_keeper'])}"
        said = f"{row['width']}x{row['height']}, {human_bytes(row['bytes'])}"
        subjects.append(Subject(gallery.image(row["path"]), (about, said, row["path"]), marked=row["keeper"]))
    more = f", {size - ON_SHEET:,} more are not shown" if size > ON_SHEET else ""
    title = f"Cluster {number}: {size:,} images{more}"
    drawn.add(f"clusters/{number:05}.jpg", jpeg(contact_sheet(title, subjects)), "cluster", f"cluster {number}")


def _draw_pair(
    row: dict[str, Any], figure: Figure, gallery: Gallery, drawn: _Drawn, kind: str, number: int
) -> dict[str, Any]:
    subjects = []
    for path in (row["path_a"], row["path_b"]):
        facts = gallery.facts[path]
        size = f"{facts['width']}x{facts['height']}, {human_bytes(facts['bytes'])}"
        subjects.append(Subject(gallery.image(path), (path, size)))
    turned = f"; the second turned {row['rotation']}° counter-clockwise" if row["rotation"] else ""
    unseen = "" if row["measured"] else " (not measured)"
    said = f"{figure.name} {figure.said(row[figure.column])}"
    title = f"{kind.capitalize()} match {number}: {said}{unseen}{turned}"
    subject = f"{row['path_a']} | {row['path_b']}"
    picture = side_by_side(title, subjects)
    file = drawn.add(f"pairs/{kind}-{number:05}.jpg", jpeg(picture), kind, subject)
    return row | {"file": file, "width": picture.width, "height": picture.height, "said": said}


def _figures(inputs: Inputs) -> dict[str, Any]:
    """Numbers for the head of the page, and the unreadable images."""
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
    *SETTINGS,
    "inputs.reference",
    "pairs.threshold",
    "pairs.same_hash",
    "cluster.threshold",
    "cluster.linkage",
    "cluster.dismissed",
    "thumbnail.size",
    "thumbnail.channels",
    "thumbnail.orientation",
    "thumbnail.colour",
    "thumbnail.truncated",
    "thumbnail.max_bytes",
    "thumbnail.max_pixels",
    "thumbnail.plugins",
)

STAGE: Stage[Params] = Stage(
    "plot",
    version=8,
    needs=("thumbnail", "pairs", "cluster"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, USES, limits=BOUNDS, libraries=("Pillow", "matplotlib")),
    output=Output(
        files=(
            "report/index.html",
            "report/*.svg",
            *(f"report/{kind}/*.jpg" for kind in ("clusters", "pairs", "images")),
        )
    ),
    preflight=Preflight(check),
)
