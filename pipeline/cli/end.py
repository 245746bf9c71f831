"""Print the failures of a run, and whether the run was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.machine.interrupts import forget
from pipeline.messages.say import say_on_stderr

if TYPE_CHECKING:
    from pipeline.execution.record import RunRecord


def print_end(record: RunRecord) -> None:
    """Print distinct errors, 20 at most, each with its first task, then how to resume."""
    alike: dict[str, list[str]] = {}
    for failure in record.failures:
        alike.setdefault(failure.message, []).append("/".join(failure.address))
    for message, tasks in list(alike.items())[:20]:
        more = f" (and {len(tasks) - 1:,} more tasks)" if len(tasks) > 1 else ""
        say_on_stderr(f"{tasks[0]} failed: {message}{more}")
    if failed := len(record.failures):
        more = f" ({failed:,} tasks failed)" if failed > 1 else ""
        say_on_stderr(f"fix the cause, then run the same command again: finished work is kept{more}")
    if record.interrupted:
        forget()
        say_on_stderr("interrupted; run the same command again to go on")
