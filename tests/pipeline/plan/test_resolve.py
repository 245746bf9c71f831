"""Which earlier artifacts a run takes, builds on and takes back; with the toy stages.

The bounds of the caches in `resolve.py` (`PARTS`, `VERSIONS`) change no result, only what is looked at again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.machine.installation import version_of
from pipeline.plan.call import BasePaths
from pipeline.plan.racy import racy_rows
from pipeline.plan.resolve import Resolver, Verdict
from pipeline.plan.tasks import Node
from pipeline.stage import CacheKey, Inputs, Job, Output, Result, Reuse, Source, Task
from pipeline.store.artifact import artifact_name
from pipeline.store.store import RETIRED, SUMMARY, Store
from tests.pipeline import toy
from tests.pipeline.execution.test_runner import damage_page
from tests.pipeline.toy import WORDS, Letters, Pairs, toy_plan, toy_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("one two three four five")
    return tmp_path


def declare(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Change the declaration of a toy stage."""
    monkeypatch.setattr(toy, "STAGES", [replace(s, **changes) if s.name == name else s for s in toy.STAGES])


def judged(folder: Path, name: str, read_only: bool = False, **params: Any) -> Verdict:
    """Return the verdict on the task `name`, whose inputs are current."""
    _, resolver = toy_plan(folder, **params)
    resolver.read_only = read_only
    with resolver.footers:
        return verdicts(resolver)[name]


def verdicts(resolver: Resolver) -> dict[str, Verdict]:
    """Return the verdicts on tasks in order, while the inputs are known."""
    found: dict[str, Verdict] = {}
    receipts: dict[tuple[str, str], Any] = {}
    for address, node in sorted(resolver.plan.nodes.items(), key=lambda item: item[1].rank):
        if all(needed in receipts for needed in node.task.inputs):
            verdict = found["/".join(address)] = resolver.resolve(node, receipts)
            if verdict.receipt:
                receipts[address] = verdict.receipt
            elif node.stage.source:
                receipts[address] = resolver.foreseen(node, verdict)
    return found


def retire(folder: Path, stage: str) -> Path:
    """Retire the artifacts of a stage; return the folder of retired artifacts."""
    Store(folder / "run").retire_all_but(stage, frozenset())
    return folder / "run" / stage / RETIRED


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_a_task_builds_on_artifacts_that_differ_only_in_permitted_parameters(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "pairs", reuse=Reuse(builds_on=("sleep",)))
    toy_run(folder)
    (made,) = (folder / "run" / "pairs").glob("w00.w01-*")
    inputs = [
        str(next((folder / "run" / "letters").glob(f"{key}-*")).relative_to(folder / "run")) for key in ("w00", "w01")
    ]
    params = {"fail": "", "flaky": False, "sleep": 0.0}
    expected = (BasePaths(f"pairs/{made.name}", inputs, params),)
    assert judged(folder, "pairs/w00.w01", pairs=Pairs(sleep=0.001)).call.bases == expected
    assert judged(folder, "pairs/w00.w01", pairs=Pairs(fail="w00.w00")).call.bases == ()
    assert judged(folder, "pairs/w00.w01", pairs=Pairs(flaky=True, sleep=0.001)).call.bases == ()
    declare(monkeypatch, "pairs", reuse=Reuse(retry=lambda summary, params: True))
    assert judged(folder, "pairs/w00.w01").call.bases == (), "what is to be made again is not built on itself"


def test_artifacts_without_their_inputs_are_not_built_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, "pairs", reuse=Reuse(builds_on=("sleep",)))
    toy_run(folder)
    assert len(judged(folder, "pairs/w00.w00", pairs=Pairs(sleep=0.001)).call.bases) == 1
    next((folder / "run" / "letters").glob("w00-*")).unlink()
    (folder / "words.txt").write_text("one two three! four five")
    toy_run(folder, pairs=Pairs(fail="w00.w00"))
    assert judged(folder, "pairs/w00.w00", pairs=Pairs(sleep=0.001)).call.bases == ()


def test_the_latest_artifact_to_build_on_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, "pairs", reuse=Reuse(builds_on=("sleep",)))
    for sleep in (0.001, 0.002, 0.003):
        toy_run(folder, pairs=Pairs(sleep=sleep))
    retire(folder, "pairs")
    bases = judged(folder, "pairs/w00.w00", pairs=Pairs(sleep=0.004)).call.bases
    assert [base.params["sleep"] for base in bases] == [0.003, 0.002, 0.001]
    assert {base.path.rpartition("/")[0] for base in bases} == {f"pairs/{RETIRED}"}


@pytest.mark.parametrize("many", [1_000, 5], ids=["sent", "from a file"])
def test_a_single_artifact_builds_on_the_last_one_with_the_inputs_of_its_time(
    many: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five of the fifteen inputs change, so the resolver can't try every combination of versions."""
    monkeypatch.setattr("pipeline.execution.task.MANY", many)
    sums: list[int] = []

    def compute(inputs: Inputs, params: Any, job: Job) -> pa.Table:
        for base in job.bases():
            assert base.artifact.table().equals(toy.total(base.inputs, params, job))
            sums.append(len(base.inputs.artifacts))
        return toy.total(inputs, params, job)

    declare(monkeypatch, "total", compute=compute, reuse=Reuse(builds_on=()))
    for first in ("one", "eleven"):
        (folder / "words.txt").write_text(" ".join([first, *("two" for _ in range(14))]))
        toy_run(folder)
    assert sums == [15]


def test_the_columns_that_an_artifact_was_made_of_follow_from_its_own_parameters(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(params: Pairs, settings: Any) -> dict[str, tuple[str, ...]]:
        return {"letters": ("word", "letters") if params.sleep else ("letters",)}

    declare(monkeypatch, "pairs", cache_key=CacheKey(reads), reuse=Reuse(builds_on=("sleep",)))
    toy_run(folder)
    assert len(judged(folder, "pairs/w00.w00", pairs=Pairs(sleep=0.001)).call.bases) == 1


def test_rows_are_taken_only_from_artifacts_made_in_the_same_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(
        monkeypatch, "letters", reuse=Reuse(("word",)), cache_key=CacheKey(libraries=("numpy",), optional=("pyarrow",))
    )
    toy_run(folder)
    donors = [f"letters/{path.name}" for path in sorted((folder / "run" / "letters").glob("*.parquet"))]
    (folder / "words.txt").write_text("one two three! four five")
    assert list(judged(folder, "letters/w00").call.reusable) == donors[:1]
    (folder / "words.txt").write_text("five one zoo four five")
    assert list(judged(folder, "letters/w00").call.reusable) == donors
    assert judged(folder, "letters/w00", letters=Letters(2)).call.reusable == ()
    monkeypatch.setattr("pipeline.plan.fingerprint.version_of", {"numpy": version_of("numpy")}.get)
    assert list(judged(folder, "letters/w00").call.reusable) == donors, "an optional library counts row by row"
    monkeypatch.setattr("pipeline.plan.fingerprint.version_of", lambda name: "0.1")
    assert judged(folder, "letters/w00").call.reusable == ()


def test_rows_are_copied_only_where_a_source_says_which_there_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "pairs", reuse=Reuse(("product",)))
    toy_run(folder)
    assert judged(folder, "pairs/w00.w00", pairs=Pairs(sleep=0.001)).call.reusable == ()


def test_a_retired_artifact_is_read_before_it_is_taken_back(folder: Path) -> None:
    toy_run(folder)
    (retired,) = retire(folder, "letters").glob("w00-*")
    damage_page(retired)
    runner, heard = toy_run(folder)
    assert "letters/w00" in heard.did("run")
    assert "letters/w01" in heard.did("skipped")
    assert not runner.failures
    assert pq.read_table(folder / "run" / "letters", page_checksum_verification=True).num_rows == 5


def test_a_retired_artifact_with_another_fingerprint_is_not_restored(folder: Path) -> None:
    toy_run(folder)
    (retired,) = retire(folder, "letters").glob("w00-*")
    wanted = judged(folder, "letters/w00", read_only=True, letters=Letters(2)).call.fingerprint
    retired.rename(retired.with_name(artifact_name("w00", wanted)))
    assert judged(folder, "letters/w00", letters=Letters(2)).receipt is None
    assert retired.with_name(artifact_name("w00", wanted)).exists()


def test_who_only_looks_moves_nothing(folder: Path) -> None:
    toy_run(folder)
    retire(folder, "letters")
    before = files(folder)
    assert judged(folder, "letters/w00", read_only=True).receipt is not None
    assert files(folder) == before
    assert judged(folder, "letters/w00").receipt is not None
    assert files(folder).keys() != before.keys()


def test_a_restored_artifact_is_no_longer_retired(folder: Path) -> None:
    """A restored artifact may turn out damaged in the same run, and the run must then make the artifact again."""
    toy_run(folder)
    retire(folder, "letters")
    _, resolver = toy_plan(folder)
    node: Node = resolver.plan.nodes["letters", "w00"]
    with resolver.footers:
        words = resolver.resolve(resolver.plan.nodes["words", "w00"], {}).receipt
        assert words is not None
        receipts = {("words", "w00"): words}
        back = resolver.resolve(node, receipts).receipt
        assert back is not None
        assert back.name not in resolver.footers.names(f"letters/{RETIRED}")
        (folder / "run" / "letters" / back.name).unlink()
        assert resolver.resolve(node, receipts).receipt is None


def test_racy_rows_are_rechecked_and_only_wrong_rows_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def recheck(artifact: Any, racy: Any) -> list[str]:
        asked.append(sorted(racy))
        assert artifact.table().num_rows == 3
        return [row for row in racy if row == "two"]

    declare(monkeypatch, "letters", reuse=Reuse(recheck=recheck))
    toy_run(folder)
    _, resolver = toy_plan(folder)
    resolver.racy = {("words", "w00"): ["one", "two"], ("words", "w01"): []}
    with resolver.footers:
        found = verdicts(resolver)
        assert asked == [["one", "two"]]
        assert found["letters/w00"].reason == "input changed, with equal size and time: 1"
        assert (found["letters/w00"].call.forced, found["letters/w00"].call.distrust) == (True, {"two"})
        assert found["letters/w01"].receipt is not None
        resolver.racy = {("words", "w00"): ["one"]}
        assert verdicts(resolver)["letters/w00"].receipt is not None
        damage_page(next((folder / "run" / "letters").glob("w00-*")))
        assert verdicts(resolver)["letters/w00"].call.distrust == {"one"}


def test_errors_that_may_pass_are_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_run(folder)
    declare(monkeypatch, "letters", reuse=Reuse(retry=lambda summary, params: True))
    verdict = judged(folder, "letters/w00")
    assert (verdict.reason, verdict.call.forced, verdict.call.distrust) == ("errors to try again", True, frozenset())
    _, heard = toy_run(folder)
    assert heard.did("run") == ["letters/w00", "letters/w01"]


def test_the_fingerprint_covers_exactly_the_columns_that_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint covers each input's key and the columns that the stage reads: the order of inputs matters."""
    _, resolver = toy_plan(folder)
    resolver.footers.close()
    (wide,) = (node for address, node in resolver.plan.nodes.items() if address == ("pairs", "w00.w01"))
    content = {key: {"word": "1", "letters": key, "#summary": "3"} for key in ("w00", "w01")}

    def digests(node: Node, **changes: str) -> dict[str, str]:
        changed = {key: columns | changes for key, columns in content.items()}
        return resolver._input_digests(node, lambda needed: changed[needed[1]])

    whole = digests(wide)
    assert resolver._input_digests(wide, lambda needed: content[needed[1]]) == whole
    assert resolver._input_digests(wide, lambda needed: content[needed[1]]) == whole
    assert digests(wide, word="2") == whole
    assert digests(wide, letters="4") != whole
    assert digests(wide, **{"#summary": "4"}) != whole
    turned = replace(wide, task=replace(wide.task, inputs=wide.task.inputs[::-1]))
    assert digests(turned) != whole
    monkeypatch.setattr(resolver, "reads", {"pairs": {}})
    assert digests(wide, word="2") != digests(wide)
    assert digests(wide, word="2", letters="1") != digests(wide, word="1", letters="2")


def test_reasons_name_missing_inputs(folder: Path) -> None:
    assert judged(folder, "words/w00").reason == "missing"
    toy_run(folder)
    (made,) = (folder / "run" / "letters").glob("w00-*")
    whole = made.read_bytes()
    made.write_bytes(whole[:99])
    assert judged(folder, "letters/w00").reason == "unreadable"
    made.write_bytes(whole)
    assert judged(folder, "letters/w00", letters=Letters(2)).reason == "params changed: times 1 → 2"
    retire(folder, "letters")
    assert judged(folder, "letters/w00", letters=Letters(2)).reason == "params changed: times 1 → 2"


def test_a_receipt_that_is_foreseen_is_the_one_that_comes(folder: Path) -> None:
    _, resolver = toy_plan(folder)
    with resolver.footers:
        node = resolver.plan.nodes["words", "w01"]
        verdict = resolver.resolve(node, {})
        foreseen = resolver.foreseen(node, verdict)
        assert resolver.foreseen(node, verdict._replace(call=verdict.call._replace(content=None))).content.keys() == {
            SUMMARY
        }
    toy_run(folder)
    assert judged(folder, "words/w01").receipt == foreseen


def test_an_artifact_counts_only_with_the_files_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files must have the recorded size; files of a restored artifact must also have the recorded bytes."""

    def compute(inputs: Inputs, params: Letters, job: Job) -> Result:
        return Result((toy.letters(inputs, params, job),), files=(job.publish(f"side/{job.task.key}.txt", b"text"),))

    declare(monkeypatch, "letters", compute=compute, output=Output(files=("side/*",)))
    toy_run(folder)
    side = folder / "run" / "side" / "w00.txt"
    side.unlink()
    assert judged(folder, "letters/w00").reason == "missing: files beside the artifact"
    side.write_bytes(b"tex")
    assert judged(folder, "letters/w00").receipt is None
    side.write_bytes(b"texT")
    assert judged(folder, "letters/w00").receipt is not None, "files that are there are told by their size"
    retire(folder, "letters")
    assert judged(folder, "letters/w00", read_only=True).receipt is None
    side.write_bytes(b"text")
    assert judged(folder, "letters/w00", read_only=True).receipt is not None


def test_the_reason_is_that_of_the_latest_artifact_that_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_run(folder)
    declare(monkeypatch, "total", version=2)
    assert judged(folder, "total/total").reason == "version 1 → 2"
    retire(folder, "letters")
    toy_run(folder, letters=Letters(2))
    assert judged(folder, "letters/w00", letters=Letters(3)).reason == "params changed: times 2 → 3"
    (made,) = (folder / "run" / "letters").glob("w00-*")
    made.write_bytes(made.read_bytes()[:99])
    assert judged(folder, "letters/w00", letters=Letters(3)).reason == "params changed: times 1 → 3"


def test_an_artifact_without_rows_gives_and_takes_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact without rows spans nothing."""

    def source(params: Any, settings: Any, *given: Any) -> Iterator[tuple[Task, pa.Table]]:
        words = (folder / "words.txt").read_text().split()
        yield Task("w00"), pa.table({"word": words}, WORDS)
        yield Task("w01"), pa.table({"word": ["zoo"]}, WORDS)

    declare(monkeypatch, "words", source=Source(source))
    declare(monkeypatch, "letters", reuse=Reuse(("word",)))
    for words, donors in (("", 0), ("one two", 0), ("one", 1), ("", 0)):
        (folder / "words.txt").write_text(words)
        assert len(judged(folder, "letters/w00").call.reusable) == donors, words
        toy_run(folder)
    retire(folder, "letters")
    (folder / "words.txt").write_text("seven")
    assert [name.rpartition("/")[0] for name in judged(folder, "letters/w00").call.reusable] == [f"letters/{RETIRED}"]


def test_racy_rows_are_those_that_stand_in_a_table() -> None:
    assert racy_rows(pa.table({"word": ["a", "b", "a"]}, WORDS), "word", {"a", "c"}) == ["a", "a"]
    assert racy_rows(pa.table({"word": ["a"]}, WORDS), "word", set()) == []
