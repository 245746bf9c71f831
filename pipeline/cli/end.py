"""Print the failures of a run, and whether the run was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.machine.interrupts import forget
from pipeline.messages.say import complain

if TYPE_CHECKING:
    from pipeline.execution.record import RunRecord
    from pipeline.execution.runner import Failure


def print_end(record: RunRecord) -> None:
    """Print the failures of a run, and whether the run was interrupted."""
    print_failures(record.failures)
    if record.interrupted:
        forget()
        complain("interrupted; run the same command again to go on")


def print_failures(failures: Sequence[Failure]) -> None:
    """Print a line per cause with the first failed task, then how to continue."""
    alike: dict[str, list[str]] = {}
    for failure in failures:
        alike.setdefault(failure.message, []).append("/".join(failure.address))
    for message, tasks in list(alike.items())[:20]:
        more = f" (and {len(tasks) - 1:,} more tasks)" if len(tasks) > 1 else ""
        complain(f"{tasks[0]} failed: {message}{more}")
    if failures:
        more = f" ({len(failures):,} tasks failed)" if len(failures) > 1 else ""
        complain(f"fix the cause, then run the same command again: finished work is kept{more}")
