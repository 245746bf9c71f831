"""Calls in the side process return the same results and errors as calls here; a killed process is replaced."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

import pytest

from pipeline.machine import side_process
from stages.report import charts

COUNTS = {2: 60, 9: 2, 120: 1}


def test_a_chart_is_the_same_as_in_this_process() -> None:
    waiting = [side_process.submit(charts.forms, True, charts.sizes, counts) for counts in (COUNTS, {3: 1})]
    assert [each() for each in waiting] == [charts.forms(True, charts.sizes, counts) for counts in (COUNTS, {3: 1})]


def test_threads_get_their_own_results() -> None:
    got: dict[int, int] = {}

    def ask(number: int) -> None:
        got[number] = side_process.submit(abs, -number)()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: number for number in range(50)}


def test_an_error_is_raised_where_the_result_is_wanted() -> None:
    waiting = side_process.submit(int, "no number")
    with pytest.raises(ValueError, match="no number"):
        waiting()
    assert side_process.submit(int, "7")() == 7


class Odd(Exception):
    """An exception that pickle can't read."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def odd() -> None:
    if "pipeline.machine.side_process import main" in " ".join(sys.orig_argv):
        raise Odd("a", "b")


def test_a_call_whose_answer_can_not_be_read_is_made_here() -> None:
    assert side_process.submit(odd)() is None
    assert side_process.submit(abs, -4)() == 4


def test_a_result_that_can_not_be_pickled_changes_no_other_chart() -> None:
    first = side_process.submit(abs, -1)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        side_process.submit(lambda: 2)
    assert (first(), side_process.submit(abs, -3)()) == (1, 3)


def test_a_killed_process_is_replaced() -> None:
    there = side_process.submit(os.getpid)()
    waiting = (
        side_process.submit(abs, -1),
        side_process.submit(os.kill, there, signal.SIGKILL),
        side_process.submit(abs, -2),
    )
    assert there != os.getpid()
    assert waiting[0]() == 1
    assert waiting[2]() == 2
    again = side_process.submit(os.getpid)()
    assert again != there


def test_without_a_process_the_chart_is_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise OSError("no processes")

    monkeypatch.setattr(side_process, "_process", side_process._SideProcess())
    monkeypatch.setattr(side_process.subprocess, "Popen", refused)
    assert side_process.submit(os.getpid)() == os.getpid()
