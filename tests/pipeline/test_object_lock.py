"""The lock on an object store."""

import json
import time
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import lock, object_lock, storage
from pipeline.errors import LockedError
from pipeline.locations import Place, place
from pipeline.lock import RunLock


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Place]:
    name = f"memory://lock-{abs(hash(request.node.nodeid))}"
    yield place(name)
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


def owner(folder: Place) -> dict[str, Any]:
    return dict(json.loads(storage.read_bytes(folder / ".lock")))


def test_the_second_run_is_told(folder: Place) -> None:
    with RunLock(folder) as held:
        assert not held.note
        with pytest.raises(LockedError, match="in use by another run"), RunLock(folder):
            pytest.fail("two runs at once")
    assert storage.below(folder) == {}
    with RunLock(folder):
        pass


@pytest.mark.parametrize(
    ("changes", "age", "alive"),
    [
        ({"started": "1"}, 0, False),
        ({"boot": "another"}, 0, False),
        ({"host": "elsewhere"}, 0, True),
        ({"host": "elsewhere"}, lock.DEAD_AFTER + 5, False),
    ],
)
def test_who_counts_as_alive(
    folder: Place, changes: dict[str, str], age: float, alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock(folder):
        text = owner(folder) | changes
    storage.write_bytes(folder / ".lock", json.dumps(text).encode())
    real = storage.modified_ns
    shift = int(age * 1e9)
    monkeypatch.setattr(object_lock, "modified_ns", lambda p: real(p) - (shift if p.name == ".lock" else 0))
    if alive:
        with pytest.raises(LockedError), RunLock(folder):
            pytest.fail("the owner is alive")
    else:
        with RunLock(folder):
            assert owner(folder)["token"] != text["token"]
        assert storage.below(folder) == {}


def test_of_two_that_take_over_one_does(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(folder / ".lock", json.dumps({"token": "dead", "host": "x", "boot": "y"}).encode())
    storage.write_bytes(folder / ".lock.dead.taken", b"")
    monkeypatch.setattr(lock, "DEAD_AFTER", -1.0)
    with pytest.raises(LockedError, match="has just started"), RunLock(folder):
        pytest.fail("another one is taking over")
    monkeypatch.setattr(object_lock, "STALE", -1.0)  # it died while doing so
    with RunLock(folder):
        assert owner(folder)["token"] != "dead"


def test_a_heartbeat_writes_nothing_over_another_owner(folder: Place) -> None:
    with RunLock(folder) as held:
        before = storage.modified_ns(folder / ".lock")
        time.sleep(0.01)
        held._lock.beat()
        assert storage.modified_ns(folder / ".lock") > before
        storage.write_bytes(folder / ".lock", b'{"token": "other"}')
        held._lock.beat()
        assert owner(folder) == {"token": "other"}
    assert owner(folder) == {"token": "other"}


@pytest.mark.parametrize("unable", ["says so", "does it all the same"])
def test_a_store_without_conditional_puts(folder: Place, unable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemoryFileSystem.pipe_file

    def pipe_file(self: Any, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        if mode == "create" and unable == "says so":
            raise NotImplementedError
        real(self, path, value, **more)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    monkeypatch.setattr(object_lock, "SETTLED", 0.01)
    with RunLock(folder) as held:
        assert "knows no conditional put" in held.note
        assert owner(folder)["token"] == held.token
    assert storage.below(folder) == {}
