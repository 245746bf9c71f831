"""Conditional puts and deletes of objects. Every function raises OSError.

S3 supports `If-None-Match` and `If-Match`. For other stores, fsspec sends at best `If-None-Match`. On such a store
`replace` and `delete_own` work without a condition, and their callers read the object first.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from pipeline.store.backends.locations import Place
from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import fetch, file_system, key_of, remove, write_bytes

UNKNOWN = frozenset({"NotImplemented", "InvalidArgument", "ParamValidationError"})
"""Error codes of stores, and of older versions of botocore, for an unsupported condition."""


class NoConditionalPut(Exception):
    """The store does not support this condition."""


class _Changed(Exception):
    """The object has another ETag."""


def create(place: Place, data: bytes) -> bool:
    """Put an object unless one exists; return whether the object now holds `data`.

    `data` must differ from the data of all other callers. Raises NoConditionalPut if unsupported."""
    system = file_system(place)

    def work() -> bool:
        try:
            system.pipe_file(key_of(place), data, mode="create")
        except FileExistsError:  # perhaps put by this call: responses get lost, and libraries retry by themselves
            with contextlib.suppress(FileNotFoundError):
                return bool(fetch(system, key_of(place))[0] == data)
            return False
        except (TypeError, ValueError, NotImplementedError) as error:  # the file system has no such mode
            raise NoConditionalPut(str(error)) from error
        except OSError as error:
            if error.errno == errno.ENOSYS:
                raise NoConditionalPut(str(error)) from error
            raise
        return True

    try:
        return retried(work, place)
    except OSError as error:
        if isinstance(error.__cause__, NoConditionalPut):
            raise NoConditionalPut(str(error)) from error
        raise


def read_tagged(place: Place) -> tuple[bytes, str]:
    """Return an object's content and its ETag, empty if unknown."""
    system = file_system(place)
    data, tag = retried(lambda: fetch(system, key_of(place)), place)
    return bytes(data), tag or ""


def replace(place: Place, data: bytes, tag: str) -> bool:
    """Put `data` if the object has this ETag; return whether `data` is there now."""
    try:
        return _if_match(place, "put_object", tag, Body=data)
    except FileNotFoundError:
        return False
    except NoConditionalPut:
        write_bytes(place, data)
        return True
    except _Changed:  # perhaps by the first try, whose response got lost
        with contextlib.suppress(FileNotFoundError):
            return read_tagged(place)[0] == data
        return False


def delete_own(place: Place, tag: str) -> None:
    """Delete an object if the object has this ETag."""
    try:
        _if_match(place, "delete_object", tag)
    except (FileNotFoundError, _Changed):
        return
    except NoConditionalPut:
        remove(place)


def _if_match(place: Place, method: str, tag: str, **more: Any) -> bool:
    """Send a request on condition that the ETag matches; return True.

    Raises NoConditionalPut, _Changed."""
    system = file_system(place)
    if not tag or not hasattr(system, "_call_s3"):
        raise NoConditionalPut(method)
    bucket, key, _ = system.split_path(key_of(place))
    try:
        retried(lambda: system.call_s3(method, Bucket=bucket, Key=key, IfMatch=f'"{tag}"', **more), place)
    except OSError as error:
        code = _answer(error)
        if code in ("PreconditionFailed", "412"):
            raise _Changed from error
        if error.errno == errno.ENOSYS or code in UNKNOWN:
            raise NoConditionalPut(code) from error
        raise
    return True


def _answer(error: BaseException | None) -> str:
    """Return the error code in the store's response, else the type of the error."""
    name = ""
    while error is not None:
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        if code:
            return str(code)
        name, error = type(error).__name__, error.__cause__
    return name
