"""The lock on an object store."""

import errno
import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.messages.errors import LockedError
from pipeline.store import owner as owners
from pipeline.store.backends import conditional, object_lock, retries, storage
from pipeline.store.backends.locations import Place, place, use
from pipeline.store.lock import RunLock
from pipeline.store.owner import DEAD_AFTER
from tests.end_to_end.object_store import ObjectStore, object_store


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Place]:
    name = f"memory://lock-{abs(hash(request.node.nodeid))}"
    yield place(name)
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


def owner(folder: Place) -> dict[str, Any]:
    return dict(json.loads(storage.read_bytes(folder / ".lock")))


def test_the_second_run_is_refused(folder: Place) -> None:
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
        ({"boot": "another"}, 0, True),
        ({"boot": "another"}, DEAD_AFTER + 5, False),
        ({"namespace": "pid:[1]"}, 0, True),
        ({"host": "elsewhere"}, 0, True),
        ({"host": "elsewhere"}, DEAD_AFTER + 5, False),
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
    monkeypatch.setattr(owners, "DEAD_AFTER", -1.0)
    with pytest.raises(LockedError, match="has just started"), RunLock(folder):
        pytest.fail("another one is taking over")
    monkeypatch.setattr(object_lock, "STALE", -1.0)  # the owner died meanwhile
    with RunLock(folder):
        assert owner(folder)["token"] != "dead"


@pytest.mark.parametrize("next_run", [b"", b'{"token": "next"}'])
def test_a_lock_that_was_released_meanwhile_is_only_created(
    folder: Place, next_run: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes(folder / ".lock", json.dumps({"token": "dead", "host": "x", "boot": "y"}).encode())
    monkeypatch.setattr(owners, "DEAD_AFTER", -1.0)
    real, looks = object_lock.ObjectLock._read, iter(["as it is", "released"])

    def read(lock: object_lock.ObjectLock) -> tuple[dict[str, Any], str | None]:
        if next(looks, "") != "released":
            return real(lock)
        storage.delete(folder, [storage.key_of(folder / ".lock")])
        if next_run:  # begins after the read and before the put
            storage.write_bytes(folder / ".lock", next_run)
        return {}, None

    monkeypatch.setattr(object_lock.ObjectLock, "_read", read)
    if next_run:
        with pytest.raises(LockedError), RunLock(folder):
            pytest.fail("the next run holds the lock")
        assert owner(folder) == {"token": "next"}
    else:
        with RunLock(folder) as held:
            assert owner(folder)["token"] == held._lock.token


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
        assert "does not support conditional puts" in held.note
        assert owner(folder)["token"] == held.token
    assert storage.below(folder) == {}


@pytest.fixture
def unconditional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return a store that has no conditional put, and says so."""

    def create(path: Place, data: bytes) -> bool:
        raise conditional.NoConditionalPut

    monkeypatch.setattr(object_lock, "create", create)
    monkeypatch.setattr(object_lock, "SETTLED", 0.0)


@pytest.mark.usefixtures("unconditional")
def test_without_conditions_a_lock_without_an_owner_is_taken(folder: Place) -> None:
    storage.write_bytes(folder / ".lock", b"damaged")
    with RunLock(folder) as held:
        assert owner(folder)["token"] == held.token


@pytest.mark.usefixtures("unconditional")
def test_without_a_condition_a_dead_owner_is_replaced(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(folder / ".lock", b'{"token": "dead"}')
    monkeypatch.setattr(owners, "DEAD_AFTER", -1.0)
    with RunLock(folder) as held:
        assert owner(folder)["token"] == held.token


@pytest.mark.usefixtures("unconditional")
def test_without_a_condition_an_owner_that_runs_keeps_the_lock(folder: Place) -> None:
    with RunLock(folder) as held:
        with pytest.raises(LockedError, match="in use by another run"), RunLock(folder):
            pytest.fail("two runs at once")
        assert owner(folder)["token"] == held.token


@pytest.mark.usefixtures("unconditional")
def test_without_a_condition_the_last_of_two_that_begin_at_once_holds_the_lock(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        storage.write_bytes(folder / ".lock", json.dumps(OTHER).encode())

    monkeypatch.setattr(object_lock, "SETTLED", 2.5)
    monkeypatch.setattr(object_lock, "time", SimpleNamespace(sleep=wait))
    with pytest.raises(LockedError, match="elsewhere"), RunLock(folder):
        pytest.fail("the other one was last")
    assert waits == [2.5]
    assert owner(folder) == OTHER


def test_a_lock_without_an_owner_is_taken(folder: Place) -> None:
    storage.write_bytes(folder / ".lock", b"damaged")
    with RunLock(folder) as held:
        assert owner(folder)["token"] == held.token
    assert storage.below(folder) == {}


def test_a_lock_that_was_replaced_between_two_reads_is_kept(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(folder / ".lock", b'{"token": "dead"}')

    def look(*_: object) -> bool:
        storage.write_bytes(folder / ".lock", json.dumps(OTHER).encode())
        return False

    monkeypatch.setattr(object_lock, "is_alive", look)
    with pytest.raises(LockedError, match="elsewhere"), RunLock(folder):
        pytest.fail("the other one holds it")
    assert owner(folder) == OTHER
    assert list(storage.below(folder)) == [".lock"]


def test_of_two_that_find_a_stale_mark_one_takes_over(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(folder / ".lock", b'{"token": "dead"}')
    monkeypatch.setattr(owners, "DEAD_AFTER", -1.0)
    monkeypatch.setattr(object_lock, "STALE", -1.0)
    monkeypatch.setattr(object_lock, "create", lambda path, data: False)  # the other run was first each time
    storage.write_bytes(folder / ".lock.dead.taken", b"")
    with pytest.raises(LockedError, match="has just started"), RunLock(folder):
        pytest.fail("another one is taking over")
    assert owner(folder) == {"token": "dead"}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        store.client.create_bucket(Bucket="locks")
        yield store


@pytest.fixture
def store(server: ObjectStore) -> Iterator[ObjectStore]:
    use(server.options)
    server.fault = lambda method, path: None
    yield server
    use({})


OTHER = {"token": "of a successor", "host": "elsewhere"}


def replaced_after_a_look(held: RunLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run takes the lock after this run has read the lock, and before this run writes the lock."""
    real = object_lock.read_tagged

    def look(path: Place) -> tuple[bytes, str]:
        found = real(path)
        storage.write_bytes(path, json.dumps(OTHER).encode())
        return found

    monkeypatch.setattr(object_lock, "read_tagged", look)


def test_s3_a_successor_is_never_written_over(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place("s3://locks/successor")
    with RunLock(folder) as held:
        assert held._lock.beat()
        with monkeypatch.context() as patch:
            replaced_after_a_look(held, patch)
            with pytest.raises(LockedError, match="another run has taken over"):
                held.check(now=True)
        assert owner(folder) == OTHER


def test_s3_a_successor_is_never_deleted(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place("s3://locks/deleted")
    with RunLock(folder):
        replaced_after_a_look(RunLock(folder), monkeypatch)
    monkeypatch.undo()
    assert owner(folder) == OTHER


def test_s3_of_two_that_take_over_one_does(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run finds the first run's mark stale; the conditional put still lets only one run take the lock."""
    folder = place("s3://locks/two")
    storage.write_bytes(folder / ".lock", json.dumps({"token": "dead", "host": "x"}).encode())
    monkeypatch.setattr(owners, "DEAD_AFTER", -1.0)
    real = object_lock.replace

    def late(path: Place, data: bytes, tag: str) -> bool:
        storage.write_bytes(path, json.dumps(OTHER).encode())
        return real(path, data, tag)

    monkeypatch.setattr(object_lock, "replace", late)
    with pytest.raises(LockedError, match="elsewhere"), RunLock(folder):
        pytest.fail("the other one was first")
    assert owner(folder) == OTHER


def test_s3_a_lost_answer_is_no_lost_lock(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)
    folder = place("s3://locks/deaf")
    with RunLock(folder) as held:
        failed: list[str] = []

        def deaf_once(method: str, path: str) -> str | None:
            if method == "PUT" and not failed:
                failed.append(path)
                return "deaf"
            return None

        store.fault = deaf_once
        assert held._lock.beat()
        assert failed
    assert storage.below(folder) == {}


def test_s3_a_store_without_conditions_is_written_to(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place("s3://locks/unable")
    with RunLock(folder) as held:
        system = storage.file_system(folder)
        real = type(system).call_s3

        def refuses(self: Any, method: str, *args: Any, **more: Any) -> Any:
            if "IfMatch" in more:
                raise OSError(errno.ENOSYS, "A header you provided implies functionality that is not implemented")
            return real(self, method, *args, **more)

        monkeypatch.setattr(type(system), "call_s3", refuses)
        store.asked.clear()
        assert held._lock.beat()
        assert [method for method, _, _ in store.asked] == ["GET", "PUT"]
    assert storage.below(folder) == {}


def test_a_put_whose_answer_was_lost_counts_where_its_text_is_there(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an ETag is no digest of the text, the second try finds another ETag."""

    def changed(*_: object, **__: object) -> bool:
        raise conditional._Changed

    monkeypatch.setattr(conditional, "_if_match", changed)
    storage.write_bytes(folder / ".lock", b"mine")
    assert conditional.replace(folder / ".lock", b"mine", "tag")
    assert not conditional.replace(folder / ".lock", b"yours", "tag")
    storage.remove(folder / ".lock")
    assert not conditional.replace(folder / ".lock", b"mine", "tag")
