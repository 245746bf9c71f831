"""Files that a task publishes beside its artifact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from pipeline.execution.job import StoredJob
from pipeline.stage import Output, Task
from pipeline.store.artifact import Record
from pipeline.store.store import RETIRED, Store

SCHEMA = pa.schema([("number", pa.int64())])
STAGE: Any = SimpleNamespace(name="total", output=Output(files=("page/*",)))


def job(folder: Path) -> StoredJob:
    call = SimpleNamespace(context=SimpleNamespace(stage=STAGE), task=Task("all", filename="total.parquet"))
    return StoredJob(cast(Any, call), Store(folder))


def made(folder: Path, fingerprint: str, *pages: str) -> None:
    """Run a task that publishes an artifact and files beside the artifact."""
    task = job(folder)
    for page in pages:
        task.publish(f"page/{page}", page.encode())
    record = Record("total", "all", fingerprint * 64, {}, {}, files=dict(task.published))
    task.store.publish("total.parquet", record, SCHEMA, [])


def test_an_artifact_does_not_speak_for_files_that_come_after_it(tmp_path: Path) -> None:
    """Publishing a changed file retires the artifact, even if the task ends before the other files are written."""
    made(tmp_path, "a", "one", "two")
    task = job(tmp_path)
    assert (tmp_path / "total" / "total.parquet").exists()
    task.publish("page/one", b"ONE")
    assert not (tmp_path / "total" / "total.parquet").exists()
    assert [path.name[:5] for path in (tmp_path / "total" / RETIRED).iterdir()] == ["all-a"]
    made(tmp_path, "b", "three")
    assert Store(tmp_path).record("total", "total.parquet", "all").fingerprint == "b" * 64


@pytest.mark.parametrize("cut_short", [False, True])
def test_files_of_the_last_artifact_are_adopted_if_they_are_as_they_were(tmp_path: Path, cut_short: bool) -> None:
    made(tmp_path, "a", "one", "two", "three")
    task = job(tmp_path)
    if cut_short:
        task.publish("page/three", b"THREE")
        task = job(tmp_path)
    (tmp_path / "page" / "two").write_bytes(b"TWO")
    (tmp_path / "page" / "three").write_bytes(b"3")
    seen: list[bytes] = []
    assert not task.adopt("page/two", lambda data: not seen.append(data)), "other bytes of the same size"
    assert not task.adopt("page/one", lambda data: bool(seen.append(data)))
    assert task.adopt("page/one", lambda data: not seen.append(data))
    assert seen == [b"one", b"one"]
    assert [task.adopt(f"page/{name}") for name in ("one", "three", "four")] == [True, False, False]
    task.publish("page/five", b"five")
    assert task.adopt("page/one"), "what was retired is still known"
    assert set(task.published) == {"page/one", "page/five"}


def test_files_are_synced_before_the_artifact_unless_they_are_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "a", "one", "two")
    task = job(tmp_path)
    task.adopt("page/one")
    task.publish("page/two", b"2")
    synced: list[str] = []
    monkeypatch.setattr(task.store.files, "sync_files", synced.extend)
    record = Record("total", "all", "b" * 64, {}, {}, files=dict(task.published))
    task.store.publish("total.parquet", record, SCHEMA, [])
    assert synced == ["page/two"]


def test_a_damaged_artifact_is_deleted_before_its_files_are_written(tmp_path: Path) -> None:
    made(tmp_path, "a", "one")
    (tmp_path / "total" / "total.parquet").write_bytes(b"PAR1")
    job(tmp_path).publish("page/one", b"ONE")
    assert not list((tmp_path / "total").glob("*.parquet"))


def test_the_last_artifact_is_retired_once_by_any_number_of_threads(tmp_path: Path) -> None:
    made(tmp_path, "a", "one", "two", "three")
    task = job(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: task.publish(f"page/{number}", b"x"), range(64)))
    assert len(list((tmp_path / "total" / RETIRED).iterdir())) == 1
