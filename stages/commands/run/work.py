"""The report's page on the work: the pairs left after each filter, drawn from the event log.

The figures may differ between two runs with the same results, so the page is not an artifact: each successful run draws
the page again, if block pairs were computed or other block pairs count. The report links to the page by a fixed name.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from pipeline.config.settings import Config
from pipeline.plan.fingerprint import digest
from pipeline.store.events import seconds
from pipeline.store.store import Store
from stages.commands.results.levels import (
    STAGE,
    Row,
    Work,
    caution,
    computed_on,
    rate,
    recorded,
    rows,
    summed,
    took,
    unknown,
)
from stages.report.charts import LIGHT, both, decades, plain, svg, times

PAGE = "report/work.html"
CHARTS = ("work", "work-narrow", "work-times")
PICTURES = tuple(f"report/{name}{suffix}.svg" for name in CHARTS for suffix in ("", "-dark"))
VERSION = 2
"""Raise this number when the look of the page or of its pictures changes."""

log = logging.getLogger("fast_diff")


def draw_work(config: Config, store: Store, ran: Collection[str]) -> Collection[str]:
    """Draw the page and its pictures, unless they are up to date; return their names, relative to the run's folder.

    `ran`: the stages of which this run computed a task: then the times have changed, at least."""
    names, wanted = store.names(STAGE), config.settings(f"{STAGE}.device")
    mark = digest([VERSION, config.run, wanted, "\n".join(names)])
    if ran or not _drawn(store, mark):
        work = summed(store, names, recorded(store.folder))
        figures = list(rows(work)) if work.ledger["pairs_total"] else []
        try:
            spent = seconds(store.folder, {stage: store.names(stage) for stage in config.params})
            drawn = (chart(figures), chart(figures, narrow=True), times(spent))
            for name, picture in zip(PICTURES, (form for each in drawn for form in both(each)), strict=True):
                store.publish_file(name, picture)
            store.publish_file(PAGE, _page(config.run, work, figures, wanted, mark))
        except OSError as error:
            log.warning("%s could not be written: %s", error.filename2 or store.folder / PAGE, error.strerror)
    return (PAGE, *PICTURES)


def _drawn(store: Store, mark: str) -> bool:
    """Return whether the page shows these artifacts; `mark` is a digest of their names."""
    try:
        there = all(store.files.size(name) is not None for name in (PAGE, *PICTURES))
        return there and mark in store.files.read(PAGE).decode()
    except (OSError, UnicodeDecodeError):
        return False


def _page(run: str, work: Work, figures: Sequence[Row], wanted: str, mark: str) -> bytes:
    from stages.report.page import render

    said = {"seconds": took(work), "rate": rate(work), "computed_on": computed_on(work, wanted)}
    page = {"run": run, "work": work, "rows": figures, "unknown": unknown(work), "caution": caution(work), "mark": mark}
    return render("work.html", page | said)


def chart(figures: Sequence[Row], narrow: bool = False) -> bytes:
    """Return a chart of the pairs left after each filter, as bars on a logarithmic scale: SVG, equal for equal rows.

    Grey bars are figures of the ledger, the same in every run; green bars are filters."""
    from matplotlib.ticker import NullLocator

    ink, faint, _, bars, _ = LIGHT
    left = [row for row in figures if row.left]
    width = 4.0 if narrow else 9.0
    figure, axes = plain(width, 0.8 + 0.4 * max(1, len(left)), left=1.55)
    if not left:
        axes.text(0.5, 0.5, "no pairs", ha="center", va="center", transform=axes.transAxes, color=faint, size=13)
    texts = [f"{row.pairs:,}" + (f"   {row.share}" if row.share and not narrow else "") for row in left]
    for place, (row, text) in enumerate(zip(left, texts, strict=True)):
        axes.barh(place, row.pairs, height=0.62, color=bars if row.level else faint)
        axes.annotate(text, (max(row.pairs, 1), place), (5, 0), textcoords="offset points", va="center", color=ink)
    most = max([1, *(row.pairs for row in left)])
    beside = min(
        0.6, 0.09 * max(map(len, texts), default=0) / (width - 1.7)
    )  # share of the width for the text beside a bar
    axes.set_xscale("log")
    axes.set_xlim(1, max(most, 10) ** (1 / (1 - beside)))
    axes.set_ylim(max(0, len(left) - 1) + 0.6, -0.6)
    axes.set_yticks(range(len(left)), [row.name for row in left])
    axes.set_xticks(*decades(most, 4 if narrow else 8))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["bottom"].set_bounds(1, most)
    axes.set_xlabel("pairs", color=ink)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return svg(figure)
