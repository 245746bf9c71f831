"""Conditional puts and deletes: answers of stores, and which answers count as success."""

import errno
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from pipeline.store.backends import conditional, storage
from pipeline.store.backends.conditional import NoConditionalPut, create, delete_own, read_tagged, replace
from pipeline.store.backends.locations import Place, place


@pytest.fixture
def there(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Return a place for an object in this process's memory."""
    name = f"memory://conditional-{abs(hash(request.node.nodeid))}"
    yield place(f"{name}/object")
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


class Answers:
    """A store whose put raises an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def pipe_file(self, path: str, data: bytes, mode: str) -> None:
        raise self.error

    def cat_file(self, path: str) -> bytes:
        raise FileNotFoundError


def answers(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(conditional, "file_system", lambda place: Answers(error))


def test_an_object_is_created_once_and_equal_data_counts_as_created(there: Place) -> None:
    assert create(there, b"mine") is True
    assert create(there, b"mine") is True
    assert create(there, b"yours") is False
    assert storage.read_bytes(there) == b"mine"


def test_an_object_that_is_deleted_after_a_refused_put_was_not_created(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, FileExistsError())
    assert create(there, b"mine") is False


@pytest.mark.parametrize(
    "error", [TypeError("mode"), ValueError("mode"), NotImplementedError("mode"), OSError(errno.ENOSYS, "mode")]
)
def test_a_store_without_conditional_puts_is_recognised(
    there: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    answers(monkeypatch, error)
    with pytest.raises(NoConditionalPut, match="mode"):
        create(there, b"mine")


def test_a_put_that_fails_is_an_error(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, OSError(errno.ENOSPC, "full"))
    with pytest.raises(OSError, match="full"):
        create(there, b"mine")


def test_a_store_without_tags_is_written_to_and_deleted_from_without_condition(there: Place) -> None:
    storage.write_bytes(there, b"old")
    assert read_tagged(there) == (b"old", "")
    assert replace(there, b"new", "") is True
    assert storage.read_bytes(there) == b"new"
    delete_own(there, "")
    assert not storage.exists(there)


class S3:
    """A store with tags; records each request as text, and returns prepared answers."""

    _call_s3 = None

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, list[tuple[str, dict[str, Any]]]()

    def split_path(self, path: str) -> tuple[str, str, None]:
        return "bucket", "key", None

    def call_s3(self, method: str, **more: Any) -> None:
        self.asked.append((method, more))
        if self.error is not None:
            raise self.error


def coded(code: str, number: int = errno.EPERM) -> OSError:
    """Return the error of a store that answers with this code."""
    error = OSError(number, "refused")
    error.__cause__ = ValueError("below")
    error.__cause__.response = {"Error": {"Code": code}}  # type: ignore[attr-defined]
    return error


def test_requests_carry_the_tag(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    system = S3()
    monkeypatch.setattr(conditional, "file_system", lambda place: system)
    assert replace(there, b"new", "1") is True
    delete_own(there, "1")
    at = {"Bucket": "bucket", "Key": "key", "IfMatch": '"1"'}
    assert system.asked == [("put_object", {**at, "Body": b"new"}), ("delete_object", at)]


@pytest.mark.parametrize("tag", ["", "1"])
def test_without_a_tag_no_request_has_a_condition(there: Place, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    system = S3() if not tag else SimpleNamespace()
    monkeypatch.setattr(conditional, "file_system", lambda place: system)
    assert replace(there, b"new", tag) is True
    assert storage.read_bytes(there) == b"new"


@pytest.mark.parametrize("code", ["PreconditionFailed", "412"])
def test_an_object_with_another_tag_is_neither_replaced_nor_deleted(
    there: Place, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    storage.write_bytes(there, b"old")
    monkeypatch.setattr(conditional, "file_system", lambda place: S3(coded(code)))
    monkeypatch.setattr(conditional, "read_tagged", lambda place: (b"old", "2"))
    assert replace(there, b"new", "1") is False
    assert replace(there, b"old", "1") is True
    delete_own(there, "1")
    assert storage.read_bytes(there) == b"old"


@pytest.mark.parametrize("error", [coded("NotImplemented"), coded("InvalidArgument"), coded("", errno.ENOSYS)])
def test_a_store_that_refuses_conditions_is_asked_without(
    there: Place, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    monkeypatch.setattr(conditional, "file_system", lambda place: S3(error))
    assert replace(there, b"new", "1") is True
    assert storage.read_bytes(there) == b"new"
    delete_own(there, "1")
    assert not storage.exists(there)


def test_an_older_botocore_that_knows_no_condition_is_asked_without(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ParamValidationError(Exception):
        pass

    monkeypatch.setattr(conditional, "file_system", lambda place: S3(ParamValidationError()))
    assert replace(there, b"new", "1") is True


def test_other_refusals_are_errors(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "file_system", lambda place: S3(coded("AccessDenied")))
    with pytest.raises(OSError, match="refused"):
        replace(there, b"new", "1")
    with pytest.raises(OSError, match="refused"):
        delete_own(there, "1")


def test_a_missing_object_is_not_replaced(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "file_system", lambda place: S3(FileNotFoundError()))
    assert replace(there, b"new", "1") is False
    delete_own(there, "1")
    assert not storage.exists(there)


def test_an_object_that_vanished_after_a_refused_put_is_not_replaced(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditional, "file_system", lambda place: S3(coded("PreconditionFailed")))
    monkeypatch.setattr(conditional, "fetch", lambda system, path: storage.read_bytes(there))
    assert replace(there, b"new", "1") is False


def test_an_object_is_read_with_its_tag(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "fetch", lambda system, path: (b"data", "1"))
    assert read_tagged(there) == (b"data", "1")
