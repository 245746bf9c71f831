"""Draw and publish the report's charts, contact sheets and pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Inputs, Job, Result
from stages.clustering.matches import Matches
from stages.comparing.figure import Figure, figure_of
from stages.comparing.text import human_bytes, human_mse, human_turn
from stages.kernels.measure.turns import SMALLEST
from stages.report import charts, labels, reuse
from stages.report.gallery import Gallery
from stages.report.pictures import Subject, contact_sheet, jpeg, side_by_side
from stages.report.reads import SCHEMA, label_column

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Chart

ON_SHEET = 24
"""Greatest number of images on the contact sheet of a cluster."""
FEW = 2
"""Greatest number of different cluster sizes that are listed in a sentence, not in a chart."""
SUFFIXES = (".svg", "-dark.svg")
"""Suffixes of the names of charts, for light and for dark pages."""


class Drawn:
    """The published files of a report, with their kind and subject.

    version  version of the code that draws charts
    pdf      whether each chart also becomes a PDF"""

    def __init__(self, job: Job, version: int, pdf: bool) -> None:
        self._job, self._suffixes = job, (*SUFFIXES, ".pdf") if pdf else SUFFIXES
        self._version = f"{version} {metadata.version('matplotlib')}"
        self.rows: dict[str, tuple[str, str]] = {}
        self._charts: list[tuple[list[str], str, str, Callable[[], list[bytes] | None]]] = []

    def add(self, name: str, data: bytes, kind: str, subject: str) -> str:
        """Publish one file of the report; return its name relative to the page."""
        self._job.publish(f"report/{name}", data)
        return self.note(name, kind, subject)

    def chart(self, name: str, kind: str, subject: str, chart: Callable[..., Chart], *arguments: Any) -> None:
        """Begin to draw a chart, unless the last report has the same chart; `finish` publishes the chart."""
        files = [f"{name}{suffix}" for suffix in self._suffixes]
        forms = reuse.draw(self._job.adopt, [f"report/{file}" for file in files], self._version, chart, *arguments)
        self._charts.append((files, kind, subject, forms))

    def finish(self) -> None:
        """Wait for the charts, and publish them."""
        for files, kind, subject, forms in self._charts:
            drawn = forms()
            for n, file in enumerate(files):
                self.note(file, kind, subject) if drawn is None else self.add(file, drawn[n], kind, subject)

    def note(self, name: str, kind: str, subject: str) -> str:
        """Record a file that is published already; return its name relative to the page."""
        self.rows[f"report/{name}"] = (kind, subject)
        return name

    def result(self) -> Result:
        """Return one row per file, sorted by kind and name."""
        rows = sorted((kind, file, subject) for file, (kind, subject) in self.rows.items())
        table = pa.table([[r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows]], schema=SCHEMA)
        kinds = pc.value_counts(table["kind"]).to_pylist()
        summary = {row["values"]: row["counts"] for row in kinds}
        return Result((table,), summary=summary, files=tuple(self.rows))


def draw_charts(
    inputs: Inputs, labelled: str | None, job: Job, members: pa.Table, matches: Matches, drawn: Drawn
) -> dict[str, Any]:
    """Draw the charts of cluster sizes and recall; return the data about charts for the page.

    labelled  value of `plot.labels`"""
    there: list[str] = []
    sizes: dict[int, int] = {}

    def draw(name: str, chart: Callable[..., Chart], *arguments: Any) -> None:
        there.append(name)
        drawn.chart(name, "chart", name, chart, *arguments)

    recall = None
    if len(members):
        sizes = dict(sorted(Counter(Counter(members["cluster"].to_pylist()).values()).items()))
        if len(sizes) > FEW:
            draw("sizes", charts.sizes, sizes)
    if labelled:
        name = label_column(labelled)
        known = labels.of_column(inputs, name) if name else labels.unchanged(labelled, job.task.spec["labels"])
        found = labels.recall(matches.graph(), known, *labels.sets(inputs, known))
        name = figure_of(job.settings).name
        draw("recall", charts.recall, found.distances, found.share, matches.threshold, name)
        recall = found._asdict() | {"at_threshold": found.share[-1] if len(found.share) else 0.0}
    return {"charts": there, "recall": recall, "sizes": sizes}


def draw_sheet(cluster: pa.Table, gallery: Gallery, drawn: Drawn) -> None:
    """Draw the contact sheet of a cluster's first images."""
    number, size = cluster["cluster"][0].as_py(), cluster["size"][0].as_py()
    subjects = []
    for row in cluster.filter(pc.equal(cluster["cluster"], number)).to_pylist():
        about = f"keeper: {row['reason']}" if row["keeper"] else f"MSE {human_mse(row['mse_to_keeper'])}"
        dimensions = f"{row['width']}x{row['height']}, {human_bytes(row['bytes'])}"
        subjects.append(Subject(gallery.image(row["path"]), (about, dimensions, row["path"]), marked=row["keeper"]))
    more = f", {size - ON_SHEET:,} more are not shown" if size > ON_SHEET else ""
    title = f"Cluster {number}: {size:,} images{more}"
    drawn.add(f"clusters/{number:05}.jpg", jpeg(contact_sheet(title, subjects)), "cluster", f"cluster {number}")


def draw_pair(
    row: dict[str, Any], figure: Figure, gallery: Gallery, drawn: Drawn, kind: str, number: int
) -> dict[str, Any]:
    """Draw two matching images side by side; return the row with the picture's name, size and texts."""
    subjects = []
    for path in (row["path_a"], row["path_b"]):
        facts = gallery.facts[path]
        size = f"{facts['width']}x{facts['height']}, {human_bytes(facts['bytes'])}"
        subjects.append(Subject(gallery.image(path), (path, size)))
    turn = human_turn(int(SMALLEST[row["turns"]]))
    turned = f"{turn} counter-clockwise" if turn.endswith("°") else turn
    unmeasured = "" if row["measured"] else " (not measured)"
    distance = f"{figure.name} {figure.text(row[figure.column])}"
    title = f"{kind.capitalize()} match {number}: {distance}{unmeasured}{f'; the second {turned}' if turned else ''}"
    subject = f"{row['path_a']} | {row['path_b']}"
    picture = side_by_side(title, subjects)
    file = drawn.add(f"pairs/{kind}-{number:05}.jpg", jpeg(picture), kind, subject)
    return row | {
        "file": file,
        "width": picture.width,
        "height": picture.height,
        "shown_distance": distance,
        "turned": turned,
    }
