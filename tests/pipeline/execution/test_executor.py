"""`ThreadsExecutor` runs calls in threads of this process, and behaves like the other executors."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.execution import executor
from pipeline.execution.executor import ThreadsExecutor
from tests.pipeline.toy import toy_run


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("one\ntwo\nthree\nfour\n")
    return tmp_path


def test_threads_run_a_plan(words: Path) -> None:
    runner, _ = toy_run(words, ThreadsExecutor(3))
    assert not runner.failures
    assert set(runner.state.values()) == {"run"}
    again, _ = toy_run(words, ThreadsExecutor(3))
    assert again.receipts == runner.receipts


def test_calls_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3)
    monkeypatch.setattr(executor, "run_task", lambda call, advance: (together.wait(10), call)[1])
    threads = ThreadsExecutor(3)
    threads.submit([["a"], ["b", "c"]])  # type: ignore[list-item]
    assert sorted(str(outcome) for _ in range(3) for outcome in threads.finished()) == ["a", "b", "c"]
    threads.close()


def test_waiting_ends_after_a_time() -> None:
    threads = ThreadsExecutor(1)
    assert list(threads.finished(within=0.01)) == []
    threads.close()


def test_an_error_of_the_program_reaches_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(call: Any, advance: Any) -> None:
        raise AssertionError("broken")

    monkeypatch.setattr(executor, "run_task", broken)
    threads = ThreadsExecutor(1)
    threads.submit([["a"]])  # type: ignore[list-item]
    with pytest.raises(AssertionError, match="broken"):
        list(threads.finished())
    threads.close()


def test_no_call_begins_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    going = threading.Event()

    def run(call: Any, advance: Any) -> None:
        begun.append(call)
        going.wait(10)

    monkeypatch.setattr(executor, "run_task", run)
    monkeypatch.setattr(executor, "LAST_CALLS", 0.1)
    threads = ThreadsExecutor(1)
    threads.submit([["first"], ["second"]])  # type: ignore[list-item]
    end = time.monotonic() + 10
    while not begun and time.monotonic() < end:
        time.sleep(0.01)
    threads.close()
    going.set()
    time.sleep(0.1)
    assert begun == ["first"]
