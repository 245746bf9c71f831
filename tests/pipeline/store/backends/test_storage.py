"""Object stores: whole objects or none, retries of transient errors, and no byte more than requested."""

import errno
from collections.abc import Iterator
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import Record, StoredArtifact, artifact_name
from pipeline.store.atomic import atomic_write
from pipeline.store.backends import retries, storage
from pipeline.store.backends.locations import Place, place
from pipeline.store.backends.ranges import TAIL
from pipeline.store.store import RETIRED, Store

SCHEMA = pa.schema([("path", pa.string()), ("wide", pa.binary(64)), ("last", pa.int64())])


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Return a new folder in this process's memory."""
    name = f"memory://test-{abs(hash(request.node.nodeid))}/run"
    yield place(name)
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record each request to the file system: the method, and the number of bytes returned."""
    seen: list[tuple[str, int]] = []

    def watched(name: str) -> Any:
        real = getattr(MemoryFileSystem, name)

        def asked(self: Any, *args: Any, **more: Any) -> Any:
            found = real(self, *args, **more)
            seen.append((name, len(found) if isinstance(found, bytes) else 0))
            return found

        return asked

    for name in ("cat_file", "pipe_file", "find", "info", "cp_file", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, name, watched(name))
    return seen


def publish(store: Store, key: str = "k", fingerprint: str = "f" * 64, rows: int = 4_000, group: int = 500) -> str:
    wide = np.random.default_rng(0).bytes(64 * rows)
    table = pa.table(
        [
            [f"/{n}" for n in range(rows)],
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), rows, [None, pa.py_buffer(wide)]),
            list(range(rows)),
        ],
        schema=SCHEMA,
    )
    name = artifact_name(key, fingerprint)
    store.publish(
        name, Record("stage", key, fingerprint, {}, {}, summary={"rows": rows}), SCHEMA, [table], row_group=group
    )
    return name


def test_an_artifact_is_one_put(folder: Place, requests: list[tuple[str, int]]) -> None:
    publish(Store(folder))
    assert [name for name, _ in requests] == ["pipe_file"]


def test_a_footer_is_one_range_and_a_column_is_its_own_bytes(folder: Place, requests: list[tuple[str, int]]) -> None:
    store = Store(folder)
    path = store.path("stage", publish(store))
    size = len(storage.read_bytes(path))
    assert size > 4 * TAIL
    requests.clear()
    artifact = StoredArtifact("stage", "k", path)
    assert artifact.record.rows == artifact.rows == 4_000
    assert artifact.summary == {"rows": 4_000}
    assert requests == [("cat_file", TAIL)]
    requests.clear()
    assert artifact.table(["last"])["last"].to_pylist() == list(range(4_000))
    assert {name for name, _ in requests} == {"cat_file"}
    assert sum(count for _, count in requests) < size / 4
    requests.clear()
    assert artifact.take(["wide", "last"], [700, 701])["last"].to_pylist() == [700, 701]
    assert len(requests) == 1  # neighbours in one row group: one range
    assert requests[0][1] < 2 * 500 * 72


def test_a_short_file_comes_with_its_footer(folder: Place, requests: list[tuple[str, int]]) -> None:
    store = Store(folder)
    artifact = StoredArtifact("stage", "k", store.path("stage", publish(store, rows=10)))
    requests.clear()
    assert artifact.table().num_rows == 10
    assert [name for name, _ in requests] == ["cat_file"]


def test_batches_fetch_a_row_group_at_a_time(folder: Place, requests: list[tuple[str, int]]) -> None:
    store = Store(folder)
    artifact = StoredArtifact("stage", "k", store.path("stage", publish(store)))
    requests.clear()
    batches = artifact.batches(["last"])
    next(batches)
    assert len(requests) == 2  # the footer, and one group's column
    assert sum(batch.num_rows for batch in batches) == 4_000 - 500


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_damage_is_found(folder: Place, damage: str) -> None:
    store = Store(folder)
    path = store.path("stage", publish(store, rows=3_000))
    data = bytearray(storage.read_bytes(path))
    if damage == "gone":
        storage.remove(path)
    else:
        data[100] ^= damage == "flipped"
        storage.write_bytes(path, bytes(data[: {"cut": 1_000, "empty": 0}.get(damage)]))
    with pytest.raises(ArtifactDamaged):
        StoredArtifact("stage", "k", path).table()
    if damage != "flipped":  # the error appears when rows are read
        with pytest.raises(ArtifactDamaged):
            _ = StoredArtifact("stage", "k", path).record


def test_a_listed_store_asks_for_nothing_that_is_not_there(folder: Place, requests: list[tuple[str, int]]) -> None:
    names = [publish(Store(folder), f"k{n}", rows=5) for n in range(30)]
    store = Store(folder, listed=True)
    requests.clear()
    for n in range(1_000):
        with pytest.raises(ArtifactDamaged):
            store.record("stage", f"none-{n}")
    assert store.names("stage") == sorted(names)
    assert [name for name, _ in requests] == ["find"]
    for _ in range(2):
        assert [store.record("stage", name).summary["rows"] for name in names] == [5] * 30
        assert len(requests) == 31


def test_retired_taken_back_and_pruned(folder: Place) -> None:
    store = Store(folder, listed=True)
    keep, other = publish(store, "keep", rows=5), publish(store, "other", rows=5)
    store.refresh()
    assert store.retire_all_but("stage", frozenset({keep})) == 1
    assert (store.names("stage"), store.names(f"stage/{RETIRED}")) == ([keep], [other])
    store.take_back("stage", other, other)
    assert Store(folder).names("stage") == sorted([keep, other])
    store.retire_all_but("stage", frozenset({keep}))
    assert store.prune()[0] == 1
    assert set(storage.below(folder)) == {f"stage/{keep}"}


def test_a_crash_between_copy_and_delete_does_no_harm(folder: Place) -> None:
    store = Store(folder)
    name = publish(store, rows=5)
    storage.write_bytes(folder / "stage" / RETIRED / name, storage.read_bytes(folder / "stage" / name))
    again = Store(folder, listed=True)
    again.retire_all_but("stage", frozenset())
    assert (again.names("stage"), again.names(f"stage/{RETIRED}")) == ([], [name])


def test_nothing_appears_where_writing_fails(folder: Place) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(folder / "file") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert storage.below(folder) == {}


def test_no_room_for_the_temporary_file_is_reported(folder: Place) -> None:
    with pytest.raises(OSError, match=r"no space left in .*, where files are written"), atomic_write(folder / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert storage.below(folder) == {}


class Busy:
    """A call that fails a number of times, with one error after another."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    return pauses


class HTTPClientError(Exception):
    """A stand-in for botocore's error, which is not an OSError."""

    __module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    "error", [OSError(errno.EBUSY, "Please reduce"), TimeoutError(), ConnectionResetError(), HTTPClientError("dropped")]
)
def test_transient_errors_are_retried_with_growing_pauses(error: Exception, no_pause: list[float]) -> None:
    assert retries.retried(Busy(*[error] * 4), "s3://b/x") == "done"
    assert all(2**n * 0.1 <= pause <= 2**n * 0.3 for n, pause in enumerate(no_pause))
    busy = Busy(*[error] * 9)
    with pytest.raises(OSError, match="after 5 tries") as failed:
        retries.retried(busy, "s3://me:word@b/x")
    assert (busy.calls, failed.value.filename) == (retries.TRIES, "s3://***@b/x")


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "none"), PermissionError("no"), OSError(errno.EINVAL, "odd"), RuntimeError("odd")],
)
def test_permanent_errors_are_not_retried(error: Exception) -> None:
    busy = Busy(error)
    with pytest.raises(OSError, match=r"none|no|odd"):
        retries.retried(busy, "s3://b/x")
    assert busy.calls == 1


def test_an_error_without_a_number_keeps_its_words_and_its_kind() -> None:
    with pytest.raises(FileNotFoundError, match=r"The specified bucket does not exist: 's3://\*\*\*@b/x'") as failed:
        retries.retried(Busy(FileNotFoundError("The specified bucket does not exist")), "s3://me:hunter2@b/x")
    assert failed.value.strerror == "The specified bucket does not exist"


def test_a_large_file_is_not_held_in_memory(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "IN_ONE_PIECE", 1_000)
    files: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "put_file", lambda self, name, key: files.append(key))
    with atomic_write(folder / "large") as file:
        file.write(bytes(2_000))
    assert files == [storage.key_of(folder / "large")]


def test_a_store_sees_artifacts_of_others_and_after_a_refresh_in_its_listing(folder: Place) -> None:
    plain, listed = Store(folder), Store(folder, listed=True)
    assert plain.names("stage") == listed.names("stage") == []
    name = publish(Store(folder))
    assert plain.record("stage", name).rows == 4_000
    with pytest.raises(ArtifactDamaged):
        listed.record("stage", name)
    listed.refresh()
    assert listed.record("stage", name).rows == 4_000


def test_a_listed_store_knows_the_files_that_it_writes(folder: Place) -> None:
    listed = Store(folder, listed=True)
    assert listed.files.size("report/page.html") is None
    listed.publish_file("report/page.html", b"page")
    assert listed.files.size("report/page.html") == 4
