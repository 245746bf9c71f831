import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.execution import attempts
from pipeline.execution.executor import SynchronousExecutor
from pipeline.execution.runner import Runner
from pipeline.execution.task import Outcome, run_bundle
from pipeline.messages.errors import ConfigError
from pipeline.plan.call import Call
from pipeline.plan.tasks import in_order
from pipeline.stage import Address, Stage
from tests.pipeline.toy import STAGES, TOTAL, Heard, Letters, Nothing, Pairs, toy_plan, toy_run

WORDS = "one two three four five six seven eight nine ten eleven twelve".split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    return tmp_path


def result(folder: Path) -> int:
    (value,) = pq.read_table(folder / "run" / "total" / "total.parquet")["product"].to_pylist()
    return int(value)


def test_a_run_does_everything_and_the_next_one_nothing(folder: Path) -> None:
    _, first = toy_run(folder)
    assert len(first.did("run")) == 4 + 4 + 10 + 1
    assert {reason for _, _, reason in first.events} == {"missing"}
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

    class Refuses(SynchronousExecutor):
        def __init__(self) -> None:
            pytest.fail("nothing is stale: no executor is needed")

    plan, resolver = toy_plan(folder)
    heard = Heard()
    with resolver.footers:
        Runner(plan, resolver, Refuses, heard).run()
    assert len(heard.did("skipped")) == 19
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == before


def test_a_changed_input_runs_only_tasks_that_read_it(folder: Path) -> None:
    toy_run(folder)
    was = result(folder)
    (folder / "words.txt").write_text("\n".join([*WORDS[:11], "thousand"]))
    _, heard = toy_run(folder)
    pairs = [f"pairs/w0{n}.w03" for n in range(4)]
    assert sorted(heard.did("run")) == sorted(["words/w03", "letters/w03", *pairs, "total/total"])
    assert {reason for _, how, reason in heard.events if how == "run"} == {
        "input changed: found",
        "input changed: words",
        "input changed: letters",
        "input changed: pairs",
    }
    assert result(folder) > was


def test_an_input_made_again_to_the_same_content_runs_nothing_after_it(folder: Path) -> None:
    toy_run(folder)
    (folder / "words.txt").write_text("\n".join([*WORDS[:11], "zwölfe"]))  # as many letters as "twelve"
    _, heard = toy_run(folder)
    assert heard.did("run") == ["words/w03", "letters/w03"]


def test_changed_parameters_say_so(folder: Path) -> None:
    toy_run(folder)
    _, heard = toy_run(folder, letters=Letters(2))
    reasons = {address[0]: reason for address, how, reason in heard.events if how == "run"}
    assert reasons == {
        "letters": "params changed: times 1 → 2",
        "pairs": "input changed: letters",
        "total": "input changed: pairs",
    }


def test_retired_artifacts_are_taken_back(folder: Path) -> None:
    runner, _ = toy_run(folder)
    store = runner.resolver.store
    changed, _ = toy_run(folder, letters=Letters(2))
    for stage in ("letters", "pairs"):
        store.retire_all_but(stage, frozenset(r.name for (s, _), r in changed.receipts.items() if s == stage))
    _, heard = toy_run(folder)
    assert heard.did("run") == []


@pytest.mark.parametrize("damage", ["delete", "truncate"])
@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_one_lost_artifact_costs_one_task(folder: Path, stage: str, damage: str) -> None:
    toy_run(folder)
    whole = {path: path.read_bytes() for path in (folder / "run").rglob("*.parquet")}
    lost = sorted(path for path in whole if path.parent.name == stage)[0]
    lost.unlink() if damage == "delete" else lost.write_bytes(whole[lost][:100])
    _, heard = toy_run(folder)
    assert len(heard.did("run")) == 1
    assert {path: path.read_bytes() for path in (folder / "run").rglob("*.parquet")} == whole


def damage_page(artifact: Path) -> None:
    """Flip the last bits of a column's page; the footer stays as it was."""
    whole, column = artifact.read_bytes(), pq.read_metadata(artifact).row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    place = start + column.total_compressed_size - 1
    artifact.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])


@pytest.mark.parametrize("window", [2, 3, 50])
def test_an_input_that_many_find_damaged_is_made_again_for_all(folder: Path, window: int) -> None:
    """While the input is made again, other tasks that read the input are ready, running, or become ready."""
    toy_run(folder)
    expected = result(folder)
    damage_page(next((folder / "run" / "letters").glob("w00-*")))
    for path in (*(folder / "run" / "pairs").iterdir(), folder / "run" / "total" / "total.parquet"):
        path.unlink()
    executor = Window()
    executor.window = window
    runner, heard = toy_run(folder, executor)
    assert not runner.failures
    assert result(folder) == expected
    assert "letters/w00" in heard.did("run")


def test_an_input_whose_pages_are_damaged_is_made_again(folder: Path) -> None:
    toy_run(folder)
    artifact = sorted((folder / "run" / "letters").iterdir())[1]
    whole = artifact.read_bytes()
    damage_page(artifact)
    next((folder / "run" / "pairs").glob("w01.w02-*")).unlink()
    runner, heard = toy_run(folder)
    assert sorted(heard.did("run")) == ["letters/w01", "pairs/w01.w02"]
    assert not runner.failures
    assert artifact.read_bytes() == whole


def test_a_failed_task_blocks_only_tasks_that_need_it(folder: Path) -> None:
    runner, heard = toy_run(folder, pairs=Pairs(fail="w01.w02"))
    assert [failure.message for failure in runner.failures] == ["told to fail"]
    assert heard.did("failed") == ["pairs/w01.w02"]
    assert heard.did("blocked") == ["total/total"]
    assert len(heard.did("run")) == 4 + 4 + 9
    _, heard = toy_run(folder, pairs=Pairs())
    assert "pairs/w01.w02" in heard.did("run")


def test_a_failure_that_passes_is_tried_again(folder: Path) -> None:
    runner, _ = toy_run(folder, pairs=Pairs(fail="w01.w02", flaky=True))
    assert not runner.failures
    assert result(folder) > 0


class Full(SynchronousExecutor):
    """A disk that is full for the first tries at each task."""

    def __init__(self, tries: int) -> None:
        super().__init__()
        self.tries = tries
        self.times: dict[Address, list[float]] = {}

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        times = self.times.setdefault(self._calls[0].address, [])
        times.append(time.monotonic())
        if len(times) <= self.tries:
            return [Outcome(self._calls.popleft().address, message="disk full", transient=True)]
        return super().finished(within)


def test_storage_that_recovers_is_waited_for_ever_longer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE", 0.1)
    executor = Full(tries=3)
    runner, heard = toy_run(folder, executor)
    assert not runner.failures
    assert len(heard.did("run")) == 19
    for times in executor.times.values():
        pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=True))


def test_full_storage_is_retried_long_for_one_task_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE", 0.01)
    executor = Full(tries=1_000)
    runner, _ = toy_run(folder, executor)
    assert [failure.message for failure in runner.failures] == ["disk full"] * 4
    tries = [len(times) for times in executor.times.values()]
    assert max(tries) == attempts.PATIENT_ATTEMPTS
    assert toy_run(folder)[0].failures == []


class Faulty(SynchronousExecutor):
    """Storage that fails for the first tries at some tasks."""

    def __init__(self, tries: dict[Address, int]) -> None:
        super().__init__()
        self.tries = Counter(tries)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        address = self._calls[0].address
        if self.tries[address]:
            self.tries[address] -= 1
            return [Outcome(self._calls.popleft().address, message="no answer", transient=True)]
        return super().finished(within)


def test_storage_that_has_worked_since_is_waited_for_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE", 0.0)
    executor = Faulty({("letters", "w00"): 1_000, ("pairs", "w01.w01"): 2})
    runner, heard = toy_run(folder, executor)
    assert [failure.address for failure in runner.failures] == [("letters", "w00")]
    assert "pairs/w01.w01" in heard.did("run")


class Window(SynchronousExecutor):
    """An executor that holds bundles until `window` bundles wait, and records the number of bundles."""

    window = 3

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Sequence[Call]] = []
        self.most = 0

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        self.held.extend(bundles)
        self.most = max(self.most, len(self.held))

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        return run_bundle(self.held.pop(), 5.0)


def test_the_window_is_never_exceeded_and_always_used(folder: Path) -> None:
    executor = Window()
    runner, heard = toy_run(folder, executor)
    assert executor.most == 3
    assert not runner.failures
    assert len(heard.did("run")) == 19


class Deadly(Window):
    """An executor in which one task kills its worker, and Dask blames all tasks that waited on the worker."""

    culprit = ("letters", "w01")

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        held = [call.address for bundle in self.held for call in bundle]
        if self.culprit not in held:
            return super().finished(within)
        self.held.clear()
        return [Outcome(address, message="each worker that ran this task died", suspect=True) for address in held]


def test_who_kills_its_worker_every_time_fails_alone(folder: Path) -> None:
    runner, heard = toy_run(folder, Deadly())
    assert [failure.address for failure in runner.failures] == [Deadly.culprit]
    assert heard.did("failed") == ["letters/w01"]
    assert len(heard.did("run")) == 4 + 3 + 6, "all that does not need it"


def test_the_first_pair_comes_long_before_the_last_partition(folder: Path) -> None:
    _, heard = toy_run(folder)
    order = heard.did("run")
    assert order.index("pairs/w00.w00") < order.index("letters/w01")
    assert order.index("pairs/w00.w01") < order.index("letters/w02")


def test_stages_that_need_each_other_are_refused() -> None:
    a, b = (Stage(name, 1, (need,), Nothing, TOTAL) for name, need in (("a", "b"), ("b", "a")))
    with pytest.raises(ConfigError, match="stages a, b: expected no cycle"):
        in_order([a, b])
