"""A running task reports its progress under every kind of executor."""

from __future__ import annotations

import pytest

from pipeline.execution import count
from pipeline.execution.count import TaskCount, through_scheduler
from pipeline.stage import Address


def test_counts_add_up_and_are_reported_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Address, int]] = []
    each = TaskCount(("words", "a"), lambda address, done: told.append((address, done)))
    each(3)
    assert told == []
    monkeypatch.setattr(count, "REPORT_INTERVAL", -1.0)
    each(4)
    assert told == [(("words", "a"), 7)]


def test_a_worker_tells_the_driver_through_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, object]] = []

    class Worker:
        def log_event(self, topic: str, message: object) -> None:
            logged.append((topic, message))

    monkeypatch.setattr("distributed.get_worker", Worker)
    through_scheduler("topic")(("words", "a"), 7)
    assert logged == [("topic", ("words", "a", 7))]
