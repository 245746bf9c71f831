"""Draw what was found: pairs side by side, a sheet per cluster, a histogram, and a page that shows them.

plot.py      what is shown        gallery.py   images by path, as they look now or as their thumbnails
pictures.py  how it is drawn      templates/report.html   the page
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.stage import Artifact, Inputs, Job, Result, Settings, Stage, Task, Upstream
from stages.figure import SETTINGS, Figure, column_of, figure_of
from stages.gallery import FACTS, Gallery
from stages.pictures import Subject, contact_sheet, histogram, jpeg, shrunk, side_by_side
from stages.text import human_bytes, human_count, human_mse

ON_SHEET = 24
"""Images of a cluster on its contact sheet and on the page."""
FAILURES = 200
"""Unreadable images listed on the page."""
BINS = 60
EVERY = 1 << 60
BY_PATH = (("path_a", "ascending"), ("path_b", "ascending"))

Amount = Annotated[int, Field(ge=0)] | Literal["all"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """How much is drawn."""

    pairs: Annotated[Amount, Field(description="pictures of so many of the closest and of the farthest matches")] = 50
    clusters: Annotated[Amount, Field(description="so many clusters on the page, those that hold the most bytes")] = 50


SCHEMA = pa.schema([("file", pa.string()), ("kind", pa.string()), ("subject", pa.string())])


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """One task that reads everything; matches are streamed."""
    stages = ("scan", "thumbnail", "pairs", "cluster")
    inputs = tuple((stage, task.key) for stage in stages for task in upstream.tasks(stage))
    yield Task("pictures", inputs, filename="pictures.parquet")


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Dates and times play no part in what is shown."""
    return {"scan": ("path", "path_bytes"), "thumbnail": FACTS, "pairs": _match(column_of(settings("pairs.metric")))}


def _match(column: str) -> tuple[str, ...]:
    """Columns of the matches that are shown."""
    return ("path_a", "path_b", column, "rotation", "measured")


class _Drawn:
    """The files that were published, by kind, and what each is about."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.rows: dict[str, tuple[str, str]] = {}

    def add(self, name: str, data: bytes, kind: str, subject: str) -> str:
        """Publish one file of the report; returns its name as the page refers to it."""
        self.rows[self._job.publish(f"report/{name}", data)] = (kind, subject)
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
    limit = threshold if threshold is not None else job.settings("cluster.threshold")
    found, measured = inputs.of("pairs"), figure_of(job.settings)
    closest, farthest = _extremes(found, measured.column, params.pairs, limit)
    clusters = _clusters(inputs.table("cluster"), params.clusters)
    paths = [path for table in (closest, farthest) for side in ("path_a", "path_b") for path in table[side].to_pylist()]
    paths += [path for cluster in clusters for path in cluster["path"][:ON_SHEET].to_pylist()]
    gallery = Gallery(inputs, job, paths)
    drawn = _Drawn(job)
    counts, edges = _bins(found, measured, threshold)
    for name, dark in (("histogram.png", False), ("histogram-dark.png", True)):
        picture = histogram(counts, edges, limit, measured.about, dark)
        drawn.add(name, picture, "histogram", f"{measured.name} of the recorded pairs")
    page = {
        "clusters": [_draw_cluster(cluster, gallery, drawn) for cluster in clusters],
        "pair_sections": [
            (f"{kind.capitalize()} matches", [_draw_pair(row, measured, gallery, drawn, kind, n) for n, row in rows])
            for kind, rows in (("closest", _numbered(closest)), ("farthest", _numbered(farthest)))
        ],
    }
    page |= _figures(inputs) | {
        "run": job.settings("run"),
        "threshold": limit,
        "every_pair": threshold is None,
        "recorded": sum(counts),
        "figure": measured,
    }
    drawn.add("index.html", render("report.html", page), "page", job.settings("run"))
    return drawn.result()


def _numbered(table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(table.to_pylist(), start=1)


def _extremes(artifacts: Sequence[Artifact], column: str, amount: int | str, limit: float) -> tuple[pa.Table, pa.Table]:
    """The closest and the farthest matches, `amount` each; none is in both. Memory follows `amount` alone."""
    most = EVERY if amount == "all" else int(amount)
    sizes = {"ascending": most, "descending": 2 * most}  # of the farthest, as many again may be among the closest
    kept: dict[str, pa.Table] = {}
    for artifact in artifacts if most else ():
        for batch in artifact.batches(_match(column)):
            rows = pa.table(batch).filter(pc.less_equal(batch[column], limit))
            for order, size in sizes.items():
                before = kept.get(order, rows.slice(0, 0))
                better = rows if len(before) < size else rows.filter(_no_worse(rows[column], before[column][-1], order))
                ranked = pa.concat_tables([before, better]).sort_by([(column, order), *BY_PATH])
                kept[order] = ranked.slice(0, size)
    if not kept:
        nothing = pa.table({name: [] for name in _match(column)})
        return nothing, nothing
    closest, farthest = kept.values()
    shown = set(zip(closest["path_a"].to_pylist(), closest["path_b"].to_pylist(), strict=True))
    pairs = zip(farthest["path_a"].to_pylist(), farthest["path_b"].to_pylist(), strict=True)
    unshown = pa.array([pair not in shown for pair in pairs], pa.bool_())
    return closest, farthest.filter(unshown).slice(0, most)


def _no_worse(found: pa.ChunkedArray, than: pa.Scalar, order: str) -> pa.ChunkedArray:
    return pc.less_equal(found, than) if order == "ascending" else pc.greater_equal(found, than)


def _bins(artifacts: Sequence[Artifact], figure: Figure, threshold: float | None) -> tuple[list[int], list[float]]:
    """Counts of rows in BINS equal steps from 0 to the threshold, or to the largest figure where there is none.

    Each of a few whole numbers has a step of its own, about itself."""
    top, name = threshold, figure.column
    if top is None:
        top = max((pc.max(b[name]).as_py() or 0.0 for a in artifacts for b in a.batches([name])), default=0.0)
    few = figure.whole and top < BINS
    edges = np.arange(int(top) + 2) - 0.5 if few else np.linspace(0, top or 1.0, BINS + 1)
    counts = np.zeros(len(edges) - 1, np.int64)
    for artifact in artifacts:
        for batch in artifact.batches([name]):
            counts += np.histogram(batch[name].to_numpy(), edges)[0]
    return counts.tolist(), edges.tolist()


def _clusters(members: pa.Table, amount: int | str) -> list[pa.Table]:
    """The clusters to show, those first whose images other than the keeper hold the most bytes."""
    spare = pc.if_else(members["keeper"], 0, members["bytes"])
    sizes = members.append_column("spare", spare).group_by("cluster").aggregate([("spare", "sum")])
    ranked = sizes.sort_by([("spare_sum", "descending"), ("cluster", "ascending")])["cluster"].to_pylist()
    chosen = ranked if amount == "all" else ranked[: int(amount)]
    numbers = members["cluster"].to_numpy()
    starts, ends = (np.searchsorted(numbers, chosen, side=side) for side in ("left", "right"))
    return [members.slice(start, end - start) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _draw_cluster(cluster: pa.Table, gallery: Gallery, drawn: _Drawn) -> dict[str, Any]:
    number, removable = cluster["cluster"][0].as_py(), sum(cluster["bytes"].to_pylist()[1:])
    images, subjects = [], []
    for row in cluster.slice(0, ON_SHEET).to_pylist():
        image, facts = gallery.image(row["path"]), gallery.facts[row["path"]]
        preview = drawn.add(f"images/{facts['digest'][:20]}.jpg", jpeg(shrunk(image)), "preview", row["path"])
        images.append(row | {"preview": preview, "mse": row["mse_to_keeper"]})
        about = "keeper" if row["keeper"] else f"MSE {human_mse(row['mse_to_keeper'])}"
        size = f"{row['width']}x{row['height']}, {human_bytes(row['bytes'])}"
        subjects.append(Subject(image, (about, size, row["path"]), marked=row["keeper"]))
    more = f", {len(cluster) - ON_SHEET:,} more are not shown" if len(cluster) > ON_SHEET else ""
    title = f"Cluster {number}: {len(cluster):,} images, {human_bytes(removable)} beside the keeper{more}"
    sheet = drawn.add(f"clusters/{number:05}.jpg", jpeg(contact_sheet(title, subjects)), "cluster", f"cluster {number}")
    return {"number": number, "size": len(cluster), "removable": removable, "sheet": sheet, "images": images}


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


def render(template: str, page: Mapping[str, Any]) -> bytes:
    """A page; every text in it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("stages", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"human": human_bytes, "count": human_count, "mse": human_mse}
    return environment.get_template(template).render(page).encode()


STAGE = Stage(
    "plot",
    version=4,
    needs=("scan", "thumbnail", "pairs", "cluster"),
    params=Params,
    schema=SCHEMA,
    tasks=tasks,
    compute=compute,
    reads=reads,
    uses=(
        "run",
        *SETTINGS,
        "pairs.threshold",
        "cluster.threshold",
        "thumbnail.size",
        "thumbnail.channels",
        "thumbnail.orientation",
        "thumbnail.colour",
        "thumbnail.truncated",
        "thumbnail.plugins",
    ),
    libraries=("Pillow", "matplotlib"),
)
