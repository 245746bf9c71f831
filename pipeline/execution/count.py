"""Count the finished work of a running task, and report the count to the driver.

In the driver's process, counts go to the reporter. On a Dask worker, counts go to a topic of the scheduler's event log,
to which the driver has subscribed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from pipeline.stage import Address

Advance: TypeAlias = Callable[[Address, int], None]
"""Function that reports a task's address and the amount of its work that is done."""
REPORT_INTERVAL = 0.5
"""Least seconds between two reports of one task."""


def unseen(address: Address, done: int) -> None:
    """Ignore the progress of a task."""


def uncounted(amount: int) -> None:
    """Ignore an amount of finished work."""


class TaskCount:
    """Counter of a task's finished work; a call adds an amount."""

    def __init__(self, address: Address, advance: Advance) -> None:
        self._address, self._advance = address, advance
        self._done, self._reported = 0, time.monotonic()

    def __call__(self, amount: int) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._reported > REPORT_INTERVAL:
            self._reported = now
            self._advance(self._address, self._done)


def through_scheduler(topic: str) -> Advance:
    """Return a function that reports to the driver through the scheduler.

    Only threads of a Dask worker may call `through_scheduler`."""
    from distributed import get_worker

    worker = get_worker()
    return lambda address, done: worker.log_event(topic, (*address, done))
