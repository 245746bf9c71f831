"""The finished work, its rate, and the remaining time, of one stage and of a run."""

from __future__ import annotations

import pytest

from pipeline.execution import pace
from pipeline.execution.pace import StagePace, clock, short, whole
from pipeline.plan.tasks import Workload

A, B, C = (("words", key) for key in "abc")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The current time, set by tests; 100 at first."""
    time = [100.0]
    monkeypatch.setattr("pipeline.execution.pace.time.monotonic", lambda: time[0])
    return time


def test_work_counts_while_a_task_runs_and_once_when_it_ends(now: list[float]) -> None:
    stage = StagePace(Workload(3, 60, "words", 0.1))
    stage.advance(A, 5)
    stage.advance(B, 7)
    stage.advance(A, 8)
    assert stage.done == 15
    stage.settle(A, 20, again=False)
    stage.ran(20, 2.0)
    assert (stage.done, stage.computed) == (27, 27)
    stage.settle(A, 20, again=True)  # the artifact was damaged, and is made again
    stage.ran(20, 2.0)
    assert (stage.done, stage.computed) == (27, 47)


def test_rate_and_time_left_come_after_a_moment(now: list[float]) -> None:
    stage = StagePace(Workload(3, 60, "words", 0.1))
    assert stage.words() == []
    stage.advance(A, 10)
    assert stage.words() == [], "too early for a rate"
    now[0] += 5
    assert stage.words() == ["2 words/s", "0:25 left"]
    stage.settle(B, 20, again=False)  # was current, so does not count in the rate
    assert stage.words() == ["2 words/s", "0:15 left"]


def test_a_stage_without_a_unit_shows_no_rate(now: list[float]) -> None:
    stage = StagePace(Workload(2, 2))
    stage.settle(A, 1, again=False)
    stage.ran(1, 4.0)
    assert stage.words() == ["0:04 left"]
    assert stage.count(1, " of ") == "1 of 2 tasks"


def test_long_numbers_are_short() -> None:
    assert StagePace(Workload(1, 9_999_999, "pairs")).count(1_234_567, "/") == "1,234,567/9,999,999 pairs"
    assert StagePace(Workload(1, 214_000_000, "pairs")).count(1_234_567, " of ") == "1.23M of 214M pairs"
    assert [short(number) for number in (0, 999, 1_000, 45.6e6, 1e15)] == ["0", "999", "1k", "45.6M", "1e+03T"]
    assert [clock(seconds) for seconds in (0, 59.6, 3_725)] == ["0:00", "1:00", "1:02:05"]


def test_stages_are_weighted_by_their_cost(now: list[float]) -> None:
    """Ten words at a second each, and a thousand letters at a hundredth of a second each: equal halves of the run."""
    words, letters = StagePace(Workload(10, 10, "words", 1.0)), StagePace(Workload(10, 1_000, "letters", 0.01))
    assert whole([words, letters]) == (0.0, None)
    words.advance(A, 5)
    now[0] += 2.5
    assert whole([words, letters]) == (0.25, pytest.approx(7.5))
    words.settle(A, 10, again=False)
    words.ran(10, 30.0)  # three seconds each, so a third of the run's work is left
    assert whole([words, letters]) == (0.75, pytest.approx(10 * (now[0] - words.since) / 30))


def test_a_run_without_work_is_done(now: list[float]) -> None:
    assert whole([StagePace(Workload(1, 0, "pairs"))]) == (1.0, None)
    assert pace.STEADY > 0
