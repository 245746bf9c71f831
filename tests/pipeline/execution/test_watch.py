"""The watchdog of a cluster without progress: its warnings, and the end of the run."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.execution import watch as module
from pipeline.execution.watch import STALLED, Cluster, Watch
from pipeline.messages.errors import WorkersLost


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def pass_by(self, seconds: float, watch: Watch) -> None:
        """Let time pass in steps of a second, without an outcome."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            watch.check_if_silent()


class Client:
    """A stand-in for Dask's client; with `workers` None, the scheduler does not answer."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers
        self.scheduler = self

    def nthreads(self) -> dict[str, int]:
        return {f"tcp://h{number // 2}:{number}": 2 for number in range(self.workers or 0)}

    def identity(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1, "all of them"
        if self.workers is None:
            raise OSError("no answer")
        about = {"metrics": {"memory": 100}}
        return {"workers": {address: about | {"nthreads": threads} for address, threads in self.nthreads().items()}}

    scheduler_info = identity

    def processing(self) -> dict[str, Any]:
        return {"w0": [("thumbnail", "a-end-1")], ("thumbnail", "a-end-1"): {"a set": {1}}}  # type: ignore[dict-item]

    def call_stack(self) -> dict[str, Any]:
        raise TimeoutError("a worker does not answer")

    def sync(self, ask: Callable[..., Any], callback_timeout: float, **more: Any) -> Any:
        return ask(**more)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def watched(client: Client, folder: Path, heard: list[Cluster] | None = None) -> Watch:
    told = heard if heard is not None else []
    return Watch(client, folder, told.append, wait_timeout=30, patience=100)  # type: ignore[arg-type]


def test_the_state_is_written_down_once_for_each_time_that_nothing_ends(
    clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watched(Client(2), tmp_path)
    with caplog.at_level(logging.WARNING, "fast_diff.scheduler"):
        clock.pass_by(99, watch)
        assert not (tmp_path / STALLED).exists()
        clock.pass_by(200, watch)
        state = json.loads((tmp_path / STALLED).read_text())
        assert state["processing"] == {"w0": [["thumbnail", "a-end-1"]], "thumbnail/a-end-1": {"a set": "{1}"}}
        assert len(state["scheduler"]["workers"]) == 2
        assert len(caplog.messages) == 1
        assert str(tmp_path / STALLED) in caplog.messages[0]
        watch.task_ended()
        clock.pass_by(99, watch)
        assert len(caplog.messages) == 1
        clock.pass_by(10, watch)
        assert len(caplog.messages) == 2


def test_a_folder_that_is_full_does_not_end_the_run(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / STALLED).mkdir()
    clock.pass_by(200, watched(Client(1), tmp_path))


def test_without_workers_the_run_ends_after_a_while_and_not_before(clock: Clock, tmp_path: Path) -> None:
    client = Client(1)
    watch = watched(client, tmp_path)
    clock.pass_by(50, watch)
    client.workers = 0
    clock.pass_by(29, watch)
    client.workers = 1  # one has come back
    clock.pass_by(5, watch)
    client.workers = None  # a scheduler that does not answer is no cluster without workers
    clock.pass_by(60, watch)
    client.workers = 0
    with pytest.raises(WorkersLost, match="none has come back within 30 s"):
        clock.pass_by(40, watch)


def test_who_shows_the_cluster_hears_of_it_every_few_seconds(clock: Clock, tmp_path: Path) -> None:
    heard: list[Cluster] = []
    watch = watched(Client(3), tmp_path, heard)
    for _ in range(20):
        clock.now += 1
        watch.task_ended()
    assert set(heard) == {Cluster(workers=3, threads=6, memory=300)}
    assert watch.by_host == {"tcp://h0": 4, "tcp://h1": 2}
    assert 20 / module.CHECK_INTERVAL - 2 <= len(heard) <= 20 / module.CHECK_INTERVAL + 1
