"""A task on a worker computes, unless its artifact is current."""

from pathlib import Path

import pytest

from pipeline.execution.task import current, run_task
from pipeline.store.artifact import Record
from pipeline.store.store import Store
from tests.pipeline.plan.test_resolve import judged
from tests.pipeline.toy import TOTAL, Letters, toy_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("one two three four five")
    return tmp_path


def test_a_task_computes_once_unless_it_is_forced(folder: Path) -> None:
    toy_run(folder)
    call = judged(folder, "letters/w00", letters=Letters(2)).call
    runs = [run_task(each) for each in (call, call, call._replace(forced=True), call)]
    assert [outcome.ran for outcome in runs] == [True, False, True, False]
    assert {outcome.receipt for outcome in runs if outcome.receipt is None} == set()


def test_an_artifact_of_another_configuration_is_not_current(folder: Path) -> None:
    """An artifact with a fixed file name has the path of the wanted artifact, but another fingerprint."""
    toy_run(folder)
    store, name = Store(folder / "run"), "total.parquet"
    fingerprint = store.record("total", name).fingerprint
    found = current(store, "total", "total", name, fingerprint)
    assert found is not None
    assert found.fingerprint == fingerprint
    assert current(store, "total", "total", name, "0" * 64) is None
    assert current(store, "total", "total", "nothing.parquet", fingerprint) is None


def test_an_artifact_is_current_only_with_the_files_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish_file("report/page.html", b"page")
    record = Record("stage", "k", "f" * 64, {}, {}, files={"report/page.html": [4, "0" * 64]})
    store.publish("k.parquet", record, TOTAL, [])
    assert current(store, "stage", "k", "k.parquet", "f" * 64) is not None
    (tmp_path / "report" / "page.html").unlink()
    assert current(store, "stage", "k", "k.parquet", "f" * 64) is None
