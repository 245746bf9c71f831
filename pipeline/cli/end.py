"""What the command line says at the end of a run that went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.machine.interrupts import forget
from pipeline.messages.say import complain

if TYPE_CHECKING:
    from pipeline.execution.record import RunRecord
    from pipeline.execution.runner import Failure


def print_end(record: RunRecord) -> None:
    """What went wrong, if anything did."""
    print_failures(record.failures)
    if record.interrupted:
        forget()
        complain("interrupted; run the same command again to go on")


def print_failures(failures: Sequence[Failure]) -> None:
    """A line for each cause, with the first task that failed of it; and how to go on."""
    alike: dict[str, list[str]] = {}
    for failure in failures:
        alike.setdefault(failure.message, []).append("/".join(failure.address))
    for message, tasks in list(alike.items())[:20]:
        more = f" (and {len(tasks) - 1:,} more tasks)" if len(tasks) > 1 else ""
        complain(f"{tasks[0]} failed: {message}{more}")
    if failures:
        more = f" ({len(failures):,} tasks failed)" if len(failures) > 1 else ""
        said = "what was computed stands; mend the cause and run the same command again"
        complain(f"{said}{more}")
