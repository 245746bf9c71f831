"""The report's page on the work: the pairs left after each filter, drawn from the event log.

The figures may differ between two runs with the same results, so the page is not an artifact: each successful run draws
the page again, if block pairs were computed or other block pairs count. The report links to the page by a fixed name.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata

from pipeline.config.settings import Config
from pipeline.plan.fingerprint import digest
from pipeline.store.events import seconds
from pipeline.store.store import Store
from stages.commands.results.levels import (
    STAGE,
    LevelRow,
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
from stages.report import charts, reuse
from stages.report.drawing import SUFFIXES

PAGE = "report/work.html"
CHARTS = {tuple(f"report/{name}{suffix}.svg" for suffix in SUFFIXES): name for name in ("work", "work-narrow")}
"""Names of a chart's light and dark form, and the name of the chart."""
PICTURES = tuple(itertools.chain(*CHARTS))
VERSION = 3
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
            spent = seconds(store.folder, {stage: made for stage in config.params if (made := store.names(stage))})
            look = f"{VERSION} {metadata.version('matplotlib')}"
            read, left = functools.partial(_read, store), bars(figures)
            drawing = {
                files: reuse.draw(read, files, look, charts.remaining, left, chart == "work-narrow")
                for files, chart in CHARTS.items()
            }
            for files, forms in drawing.items():
                for name, form in zip(files, forms() or (), strict=False):
                    store.publish_file(name, form)
            store.publish_file(PAGE, _page(config.run, work, figures, spent, wanted, mark))
        except OSError as error:
            log.warning("%s could not be written: %s", error.filename2 or store.folder / PAGE, error.strerror)
    return (PAGE, *PICTURES)


def bars(figures: Sequence[LevelRow]) -> list[tuple[str, int, str, bool]]:
    """Return the rows that are bars of the chart: see `charts.remaining`."""
    return [(row.name, row.pairs, row.share, row.level) for row in figures if row.left]


def _drawn(store: Store, mark: str) -> bool:
    """Return whether the page shows these artifacts; `mark` is a digest of their names."""
    try:
        there = all(store.files.size(name) is not None for name in (PAGE, *PICTURES))
        return there and mark in store.files.read(PAGE).decode()
    except (OSError, UnicodeDecodeError):
        return False


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.files.read(name)
    except OSError:
        return None


def _page(
    run: str, work: Work, figures: Sequence[LevelRow], spent: Mapping[str, float], wanted: str, mark: str
) -> bytes:
    from stages.report.page import render

    said = {"seconds": took(work), "rate": rate(work), "computed_on": computed_on(work, wanted), "spent": spent}
    page = {"run": run, "work": work, "rows": figures, "unknown": unknown(work), "caution": caution(work), "mark": mark}
    return render("work.html", page | said)
