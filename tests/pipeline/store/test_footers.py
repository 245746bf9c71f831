"""The index of footers gives the content of footers without reading the footers."""

import os
import random
import resource
import uuid
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import Record, artifact_name, read_record
from pipeline.store.backends.locations import place
from pipeline.store.footer_index import footer_of
from pipeline.store.footers import INDEX, Footers
from pipeline.store.store import RETIRED, Store
from tests.pipeline.toy import toy_run

SCHEMA = pa.schema([("path", pa.string()), ("value", pa.float64())])
TABLE = pa.table({"path": ["a", "b"], "value": [1.0, 2.0]}, SCHEMA)
KEYS = [f"k{number}" for number in range(5)]


def published(folder: Path, key: str, fingerprint: str = "f" * 64, filename: str | None = None) -> str:
    record = Record("stage", key, fingerprint, {"params": {}}, {"of": "x"}, summary={"n": 3, "of": [key]})
    name = artifact_name(key, fingerprint, filename)
    Store(folder).publish(name, record, SCHEMA, [TABLE], "path")
    return name


def known(folder: Path) -> dict[str, Record]:
    """Return all records by name, and the number of footers read."""
    with Footers(Store(folder)) as footers:
        return {name: footers.record("stage", name) for name in footers.names("stage")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for key in KEYS:
        published(tmp_path, key)
    known(tmp_path)
    return tmp_path


def reads(folder: Path) -> int:
    """Return the number of footers that are read for all records, and assert that the records equal the footers."""
    with mock.patch("pipeline.store.backends.files.read_record", side_effect=read_record) as read:
        records = known(folder)
    there = {path.name: path for path in (folder / "stage").glob("*.parquet")}
    assert records == {name: read_record(path, "stage", name) for name, path in there.items()}
    return read.call_count


def test_footers_in_the_index_are_not_read(folder: Path) -> None:
    before = (folder / INDEX).read_bytes()
    assert reads(folder) == 0
    assert (folder / INDEX).read_bytes() == before
    published(folder, "new")
    assert reads(folder) == 1
    assert reads(folder) == 0


def test_an_index_with_few_outdated_lines_is_appended_to_not_rewritten(folder: Path) -> None:
    before = (folder / INDEX).stat().st_ino
    published(folder, "new")
    assert reads(folder) == 1
    assert (folder / INDEX).stat().st_ino == before


def test_a_missing_index_is_made_again(folder: Path) -> None:
    before = (folder / INDEX).read_bytes()
    (folder / INDEX).unlink()
    assert reads(folder) == len(KEYS)
    assert sorted((folder / INDEX).read_bytes().splitlines()) == sorted(before.splitlines())


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def lengthen(path: Path) -> None:
    stat = path.stat()
    with path.open("ab") as file:
        file.write(b"x")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"fingerprint": "ff', b'"fingerprint": "fe'))


@pytest.mark.parametrize(("change", "whole"), [(touch, True), (lengthen, False), (alter, False)])
def test_an_artifact_whose_size_or_time_differs_is_read(
    folder: Path, change: Callable[[Path], None], whole: bool
) -> None:
    path = folder / "stage" / artifact_name("k1", "f" * 64)
    change(path)
    with (
        mock.patch("pipeline.store.backends.files.read_record", side_effect=read_record) as read,
        Footers(Store(folder)) as footers,
    ):
        if whole:
            assert footers.record("stage", path.name).key == "k1"
        else:
            with pytest.raises(ArtifactDamaged):
                footers.record("stage", path.name)
    assert read.call_count == 1


def test_no_damage_to_the_index_gives_a_wrong_record(folder: Path) -> None:
    whole = (folder / INDEX).read_bytes()
    chance = random.Random(1)
    for start in chance.sample(range(len(whole)), 300):
        (folder / INDEX).write_bytes(whole[:start] + bytes([whole[start] ^ 1 << start % 8]) + whole[start + 1 :])
        reads(folder)
    for size in chance.sample(range(len(whole)), 50):
        (folder / INDEX).write_bytes(whole[:size])
        reads(folder)
        assert reads(folder) == 0
    (folder / INDEX).write_bytes(b"\xff\n\t\t\t\t\n" + bytes(chance.randrange(256) for _ in range(10_000)))
    assert reads(folder) == len(KEYS)


def test_a_retired_artifact_is_known_where_it_lies_now(folder: Path) -> None:
    name = artifact_name("k2", "f" * 64)
    Store(folder).retire_all_but("stage", frozenset())
    with mock.patch("pipeline.store.backends.files.read_record") as read, Footers(Store(folder)) as footers:
        assert footers.record(f"stage/{RETIRED}", name).key == "k2"
        with pytest.raises(ArtifactDamaged):
            footers.record("stage", name)
        footers.forget(f"stage/{RETIRED}", name)
        with pytest.raises(ArtifactDamaged):
            footers.record(f"stage/{RETIRED}", name)
    assert read.call_count == 0


def test_an_artifact_with_a_name_of_its_own_is_always_read(tmp_path: Path) -> None:
    published(tmp_path, "all", filename="all.parquet")
    assert [reads(tmp_path) for _ in range(3)] == [1, 1, 1]


def test_an_index_does_not_grow_with_the_runs(folder: Path) -> None:
    sizes = []
    for number in range(30):
        for path in (folder / "stage").glob("*.parquet"):
            path.unlink()
        for key in KEYS:
            published(folder, key, f"{number:02}".ljust(64, "0"))
        known(folder)
        sizes.append((folder / INDEX).stat().st_size)
    assert max(sizes) < 4 * sizes[0]
    assert reads(folder) == 0


def test_a_folder_that_can_not_be_written_is_no_reason_to_stop(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / INDEX).unlink()
    (folder / INDEX).mkdir()
    assert reads(folder) == len(KEYS)
    (record,) = caplog.records
    assert record.getMessage() == f"{folder / INDEX} can't be used (Is a directory)"


def test_a_fifo_in_its_place_does_not_hang(folder: Path) -> None:
    (folder / INDEX).unlink()
    os.mkfifo(folder / INDEX)
    with Footers(Store(folder), read_only=True) as footers:
        assert footers.record("stage", artifact_name("k0", "f" * 64)).key == "k0"
    assert (folder / INDEX).is_fifo()
    assert [reads(folder), reads(folder)] == [len(KEYS), 0]


def test_a_full_disk_costs_the_footers_that_did_not_fit(folder: Path) -> None:
    new = published(folder, "new")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / INDEX).stat().st_size + 10, hard))
    try:
        with Footers(Store(folder)) as footers:
            assert footers.record("stage", new).key == "new"
            assert footers.record("stage", artifact_name("k0", "f" * 64)).key == "k0"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (folder / INDEX).read_bytes().endswith(b"\n")
    assert [reads(folder) for _ in range(2)] == [1, 0]


def test_the_first_run_in_a_folder_leaves_an_index(tmp_path: Path) -> None:
    folder = tmp_path / "not there" / "yet"
    with Footers(Store(folder)) as footers:
        name = published(folder, "k")
        footers.add(footer_of(read_record(folder / "stage" / name, "stage", name), folder / "stage" / name))
    assert reads(folder) == 0


def test_an_object_that_was_deleted_since_is_left_out() -> None:
    """An artifact may be deleted, for example as damaged, after the index has recorded the artifact."""
    folder = place(f"memory://{uuid.uuid4().hex}")
    store = Store(folder)
    records = {key: Record("stage", key, "f" * 64, {}, {}) for key in ("kept", "dropped")}
    with Footers(store) as footers:
        for key, record in records.items():
            name = artifact_name(key, "f" * 64)
            footers.add(footer_of(store.publish(name, record, SCHEMA, [TABLE]), store.path("stage", name)))
        store.files.delete([f"stage/{artifact_name('dropped', 'f' * 64)}"])
    with (
        Footers(Store(folder)) as footers,
        mock.patch("pipeline.store.backends.files.read_record", side_effect=AssertionError),
    ):
        assert footers.record("stage", artifact_name("kept", "f" * 64)).key == "kept"
        with pytest.raises(ArtifactDamaged):
            footers.record("stage", artifact_name("dropped", "f" * 64))


def test_looking_writes_nothing(folder: Path) -> None:
    (folder / INDEX).unlink()
    with Footers(Store(folder), read_only=True) as footers:
        assert footers.record("stage", artifact_name("k0", "f" * 64)).key == "k0"
    assert not (folder / INDEX).exists()


def test_looking_while_a_line_is_being_written_skips_that_line(folder: Path) -> None:
    torn = (folder / INDEX).read_bytes()[:-5]
    (folder / INDEX).write_bytes(torn)
    with (
        mock.patch("pipeline.store.backends.files.read_record", side_effect=read_record) as read,
        Footers(Store(folder), read_only=True) as footers,
    ):
        assert {footers.record("stage", artifact_name(key, "f" * 64)).key for key in KEYS} == set(KEYS)
    assert read.call_count == 1
    assert (folder / INDEX).read_bytes() == torn


def test_a_name_that_would_break_a_line_is_left_out(tmp_path: Path) -> None:
    name = published(tmp_path, "a\tb")
    assert footer_of(read_record(tmp_path / "stage" / name, "stage", name), tmp_path / "stage" / name) is None
    assert [reads(tmp_path) for _ in range(2)] == [1, 1]


def test_a_run_leaves_an_index_of_all_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one two three four five six seven")
    toy_run(tmp_path)
    with mock.patch("pipeline.store.backends.files.read_record", side_effect=read_record) as read:
        toy_run(tmp_path)
    assert [call.args[0].name for call in read.call_args_list] == ["total.parquet"]
