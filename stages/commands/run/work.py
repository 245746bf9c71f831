"""Draw the report's page on the work from the event log.

The page shows the pairs left after each filter.

The figures may differ between two runs with the same results, so the page is not an artifact: a successful run draws
the page again if the run computed a task, or if the set of block pairs has changed. The report links to the page by a
fixed name.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence

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

PAGE = "report/work.html"
VERSION = 5
"""Raise this number when the look of the page changes."""

log = logging.getLogger("fast_diff")


def draw_work(config: Config, store: Store, ran: Collection[str]) -> Collection[str]:
    """Draw the page, unless the page is up to date.

    Returns its name, relative to the run's folder.

    `ran`: stages of which this run computed a task; with any stage in `ran`, at least the times have changed."""
    names, wanted = store.names(STAGE), config.settings(f"{STAGE}.device")
    mark = digest([VERSION, config.run, wanted, "\n".join(names)])
    if ran or not _drawn(store, mark):
        work = summed(store, names, recorded(store.folder))
        figures = list(rows(work)) if work.ledger["pairs_total"] else []
        try:
            spent = seconds(store.folder, {stage: made for stage in config.params if (made := store.names(stage))})
            store.publish_file(PAGE, _page(config.run, work, figures, spent, wanted, mark))
        except OSError as error:
            log.warning("%s could not be written: %s", error.filename2 or store.folder / PAGE, error.strerror)
    return (PAGE,)


def _drawn(store: Store, mark: str) -> bool:
    """Return whether the page shows these artifacts.

    `mark` is a digest of their names."""
    try:
        return store.files.size(PAGE) is not None and mark in store.files.read(PAGE).decode()
    except (OSError, UnicodeDecodeError):
        return False


def _page(
    run: str, work: Work, figures: Sequence[LevelRow], spent: Mapping[str, float], wanted: str, mark: str
) -> bytes:
    from stages.report.page import render

    work_texts = {"seconds": took(work), "rate": rate(work), "computed_on": computed_on(work, wanted), "spent": spent}
    page = {"run": run, "work": work, "rows": figures, "unknown": unknown(work), "caution": caution(work), "mark": mark}
    scale = math.log(max([2, *(row.pairs for row in figures)]))  # of the bars
    return render("work.html", page | work_texts | {"scale": scale})
