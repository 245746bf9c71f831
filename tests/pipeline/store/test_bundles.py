"""Bundles of calls: their size, their members, and the loss of a worker with a bundle."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.execution import on_dask
from pipeline.execution import task as tasks
from pipeline.execution.executor import SynchronousExecutor
from pipeline.execution.on_dask import DaskExecutor
from pipeline.execution.task import Outcome, run_bundle, run_task
from pipeline.execution.watch import Watch, ignore_state
from pipeline.plan.call import Call
from tests.pipeline.toy import Heard, Pairs, toy_run

PAIRS = 15 * 16 // 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = random.Random(7)
    words = ["x" * chance.randrange(1, 9) for _ in range(45)]
    (tmp_path / "words.txt").write_text(" ".join(words))
    return tmp_path


class Bundles(SynchronousExecutor):
    """A stand-in for a scheduler that ends bundles in any order and records all bundles."""

    window = 8
    slots = 2

    def __init__(self, most: int = 8, seconds: float = 5.0) -> None:
        super().__init__()
        self.most, self.seconds = most, seconds
        self.held: list[Sequence[Call]] = []
        self.sent: list[list[tuple[str, str]]] = []
        self.live: list[int] = []
        self.chance = random.Random(3)

    def bundle_size(self, left: int, seconds: float | None) -> int:
        return self.most

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        self.held.extend(bundles)
        self.sent += [[call.address for call in calls] for calls in bundles]
        self.live.append(len(self.held))

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        return self.work(self.held.pop(self.chance.randrange(len(self.held))))

    def work(self, calls: Sequence[Call]) -> Iterable[Outcome]:
        return run_bundle(calls, self.seconds)


def artifacts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "run").rglob("*.parquet")}


def test_bundles_give_the_same_artifacts_and_hold_one_stage_each(folder: Path) -> None:
    toy_run(folder)
    expected = artifacts(folder)
    for path in (folder / "run").rglob("*.parquet"):
        path.unlink()
    bundles = Bundles()
    runner, heard = toy_run(folder, bundles)
    assert artifacts(folder) == expected
    assert not runner.failures
    assert len(heard.did("run")) == 15 + 15 + PAIRS + 1
    assert all(len({stage for stage, _ in sent}) == 1 for sent in bundles.sent)
    assert max(map(len, bundles.sent)) == 8
    assert sum(map(len, bundles.sent)) == 15 + PAIRS + 1
    assert max(bundles.live) <= Bundles.window


def test_a_call_that_its_bundle_had_no_time_for_is_sent_again(folder: Path) -> None:
    bundles = Bundles(seconds=0.0)
    runner, heard = toy_run(folder, bundles)
    assert not runner.failures
    assert len(heard.did("run")) == len(set(heard.did("run"))) == 15 + 15 + PAIRS + 1
    assert len(bundles.sent) == 15 + PAIRS + 1  # each bundle had one call


class Dying(Bundles):
    """A scheduler whose worker dies at one call, in the middle of a bundle, each time."""

    def work(self, calls: Sequence[Call]) -> Iterable[Outcome]:
        keys = [call.address for call in calls]
        if ("pairs", "w03.w07") not in keys:
            return super().work(calls)
        run_bundle(calls[: keys.index(("pairs", "w03.w07"))], 5.0)
        return [Outcome(call.address, message="each worker that ran this task died") for call in calls]


def test_who_was_in_a_bundle_with_a_call_that_kills_is_tried_alone(folder: Path) -> None:
    bundles = Dying()
    runner, heard = toy_run(folder, bundles)
    assert [failure.address for failure in runner.failures] == [("pairs", "w03.w07")]
    assert len(heard.did("run")) + len(heard.did("skipped")) == 15 + 15 + PAIRS - 1
    assert [sent for sent in bundles.sent if ("pairs", "w03.w07") in sent][-1] == [("pairs", "w03.w07")]


def test_a_repeated_bundle_makes_only_missing_artifacts(folder: Path) -> None:
    class Lost(Bundles):
        """Each bundle is run once in half, and then again, as Dask does when a worker is lost."""

        def work(self, calls: Sequence[Call]) -> Iterable[Outcome]:
            run_bundle(calls[: len(calls) // 2], 5.0)
            outcomes = list(super().work(calls))
            assert [outcome.ran for outcome in outcomes] == [n >= len(calls) // 2 for n in range(len(calls))]
            return outcomes

    runner, _ = toy_run(folder, Lost())
    assert not runner.failures


def test_a_failed_task_blocks_no_other_of_its_bundle(folder: Path) -> None:
    runner, heard = toy_run(folder, Bundles(), pairs=Pairs(fail="w03.w07"))
    assert [failure.message for failure in runner.failures] == ["told to fail"]
    assert len(heard.did("run")) == 15 + 15 + PAIRS - 1
    assert heard.did("blocked") == ["total/total"]


@pytest.mark.parametrize(
    ("left", "seconds", "expected"),
    [(10**5, None, 1), (10**5, 0.0, 256), (10**5, 0.1, 50), (10**5, 60.0, 1), (100, 0.001, 6), (7, 0.001, 1)],
)
def test_how_many_go_at_once(left: int, seconds: float | None, expected: int) -> None:
    dask = object.__new__(DaskExecutor)
    dask._watch = SimpleNamespace(by_host=Counter({"tcp://a": 3, "tcp://b": 1}))  # type: ignore[assignment]
    assert dask.bundle_size(left, seconds) == expected


def test_a_call_with_many_inputs_is_sent_without_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_run(folder)
    expected = artifacts(folder)
    (folder / "run" / "total" / "total.parquet").unlink()
    monkeypatch.setattr(tasks, "MANY", 20)
    seen: list[Call] = []
    kept: list[bytes] = []

    class Watches(Bundles):
        def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
            seen.extend(call for calls in bundles for call in calls)
            manifest = folder / "run" / str(seen[0].manifest)
            kept.append(manifest.read_bytes())
            super().submit(bundles)

    _, heard = toy_run(folder, Watches())
    assert heard.did("run") == ["total/total"]
    assert [(call.inputs, call.task.inputs) for call in seen] == [((), ())]
    assert artifacts(folder) == expected
    manifest = folder / "run" / str(seen[0].manifest)
    assert not manifest.parent.exists()
    manifest.parent.mkdir()
    manifest.write_bytes(kept[0][:-1])
    (folder / "run" / "total" / "total.parquet").unlink()
    assert "damaged" in run_task(seen[0]).message


def test_a_dask_run_stays_within_its_window_and_lets_go_of_futures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    live: list[int] = []
    known: list[int] = []
    futures: list[weakref.ref[Any]] = []

    class Counts(DaskExecutor):
        window = 3

        def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
            super().submit(bundles)
            futures.extend(map(weakref.ref, self._futures))
            live.append(len(self._futures))
            known.append(len(cluster.scheduler.tasks))

    monkeypatch.setattr(on_dask, "BUNDLE", 2)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(protocol="inproc://", host=None, **options) as cluster,
        Client(cluster, set_as_default=False) as c,
    ):
        executor = Counts(c, Watch(c, folder, ignore_state, 10, 60), lambda: None)
        runner, heard = toy_run(folder, executor)
    assert not runner.failures
    assert len(heard.did("run")) == 15 + 15 + PAIRS + 1
    assert max(live) <= Counts.window
    gc.collect()
    assert len(futures) > 50
    assert [future for future in futures if future() is not None] == []
    assert max(known) <= 4 * Counts.window  # the scheduler hears of released calls a moment later


@pytest.mark.slow
def test_runs_that_share_a_scheduler_do_not_answer_each_other(folder: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    folders = [tmp_path / name for name in ("one", "two")]
    for number, each in enumerate(folders):
        each.mkdir()
        words = (folder / "words.txt").read_text().split()
        (each / "words.txt").write_text(" ".join(words[number:]))
    toy_run(folders[0])
    expected = artifacts(folders[0])
    for path in (folders[0] / "run").rglob("*.parquet"):
        path.unlink()
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(protocol="inproc://", host=None, **options) as cluster:

        def run(each: Path) -> Any:
            with Client(cluster, set_as_default=False) as client:
                return toy_run(each, DaskExecutor(client, Watch(client, each, ignore_state, 10, 60), lambda: None))

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(run, folders))
    assert [runner.failures for runner, _ in found] == [{}, {}] or not any(runner.failures for runner, _ in found)
    assert artifacts(folders[0]) == expected
    assert len(artifacts(folders[1])) == len(found[1][1].did("run")) > PAIRS


class Watched(Bundles):
    """A scheduler that records the greatest number of calls held at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        self.calls.append(sum(map(len, self.held)))
        return super().finished(within)


@pytest.mark.slow
def test_live_calls_do_not_grow_with_the_pairs(tmp_path: Path) -> None:
    """A plan with four times as many pairs holds no more calls at a time."""
    most = []
    for words in (45, 90):
        folder = tmp_path / str(words)
        folder.mkdir()
        (folder / "words.txt").write_text(" ".join("x" * (n % 9 + 1) for n in range(words)))
        watched = Watched()
        toy_run(folder, watched)
        most.append(max(watched.calls))
    assert max(most) <= Watched.window * watched.most


def test_the_first_pair_comes_long_before_the_last_partition(folder: Path) -> None:
    _, heard = toy_run(folder, Bundles(most=1))
    assert isinstance(heard, Heard)
    order = heard.did("run")
    letters = [place for place, name in enumerate(order) if name.startswith("letters/")]
    assert order.index("pairs/w00.w00") < letters[len(letters) * 2 // 3]
