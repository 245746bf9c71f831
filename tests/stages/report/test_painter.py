"""Charts from the process are those of this process; errors arrive; a killed process costs nothing."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

import pytest

from stages.report import charts, painter

COUNTS = {2: 60, 9: 2, 120: 1}


def test_a_chart_is_the_same_as_in_this_process() -> None:
    waiting = [painter.draw(charts.sizes, COUNTS), painter.draw(charts.sizes, {3: 1})]
    assert [each() for each in waiting] == [charts.sizes(COUNTS), charts.sizes({3: 1})]


def test_threads_get_their_own_charts() -> None:
    got: dict[int, int] = {}

    def ask(number: int) -> None:
        got[number] = painter.draw(abs, -number)()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: number for number in range(50)}


def test_an_error_is_raised_where_the_chart_is_wanted() -> None:
    waiting = painter.draw(int, "no number")
    with pytest.raises(ValueError, match="no number"):
        waiting()
    assert painter.draw(int, "7")() == 7


class Odd(Exception):
    """An exception that pickle can't read."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def odd() -> None:
    if "stages.report.painter import main" in " ".join(sys.orig_argv):
        raise Odd("a", "b")


def test_an_answer_that_can_not_be_read_is_drawn_here() -> None:
    assert painter.draw(odd)() is None
    assert painter.draw(abs, -4)() == 4


def test_what_can_not_be_sent_changes_no_other_chart() -> None:
    first = painter.draw(abs, -1)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        painter.draw(lambda: 2)
    assert (first(), painter.draw(abs, -3)()) == (1, 3)


def test_a_killed_process_is_replaced() -> None:
    there = painter.draw(os.getpid)()
    waiting = painter.draw(abs, -1), painter.draw(os.kill, there, signal.SIGKILL), painter.draw(abs, -2)
    assert there != os.getpid()
    assert waiting[0]() == 1
    assert waiting[2]() == 2
    again = painter.draw(os.getpid)()
    assert again != there


def test_without_a_process_the_chart_is_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise OSError("no processes")

    monkeypatch.setattr(painter, "_painter", painter._Painter())
    monkeypatch.setattr(painter.subprocess, "Popen", refused)
    assert painter.draw(os.getpid)() == os.getpid()
