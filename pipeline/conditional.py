"""Puts and deletes of objects that a store makes only where a condition holds.

S3 knows `If-None-Match` and `If-Match`. Of other stores fsspec passes on the first at most; there `replace` and
`delete_own` do without a condition, and their callers look first.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from pipeline.locations import Place
from pipeline.storage import delete, fetch, file_system, key_of, retried, write_bytes


class NoConditionalPut(Exception):
    """A store that knows no such condition."""


def create(place: Place, data: bytes) -> bool:
    """Put an object unless there is one; whether `data`, which must be nobody else's, is there now.

    Raises OSError; NoConditionalPut where the store knows no such put."""
    system = file_system(place)

    def work() -> bool:
        try:
            system.pipe_file(key_of(place), data, mode="create")
        except FileExistsError:  # it may be the same: answers get lost, and libraries below ask again by themselves
            with contextlib.suppress(FileNotFoundError):
                return bool(fetch(system, key_of(place))[0] == data)
            return False
        except (TypeError, ValueError, NotImplementedError) as error:  # what file systems say that know no such mode
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
    """An object as a whole, and its ETag; empty where the answer has none. Raises OSError."""
    system = file_system(place)
    data, tag = retried(lambda: fetch(system, key_of(place)), place)
    return bytes(data), tag or ""


def replace(place: Place, data: bytes, tag: str) -> bool:
    """Put `data` in place of the object that has this ETag; whether it is there now. Raises OSError."""
    try:
        return _if_match(place, "put_object", tag, Body=data)
    except FileNotFoundError:
        return False
    except NoConditionalPut:
        write_bytes(place, data)
        return True
    except _Changed:  # also where the answer to the first try got lost
        with contextlib.suppress(FileNotFoundError):
            return read_tagged(place)[0] == data
        return False


def delete_own(place: Place, tag: str) -> None:
    """Delete the object that has this ETag; another one stays. Raises OSError."""
    try:
        _if_match(place, "delete_object", tag)
    except (FileNotFoundError, _Changed):
        return
    except NoConditionalPut:
        delete(place, [key_of(place)])


class _Changed(Exception):
    """The object has another ETag."""


def _if_match(place: Place, method: str, tag: str, **more: Any) -> bool:
    """One request on condition that an object has this ETag. Raises OSError, NoConditionalPut, _Changed."""
    system = file_system(place)
    if not tag or not hasattr(system, "_call_s3"):
        raise NoConditionalPut(method)
    bucket, key, _ = system.split_path(key_of(place))
    try:
        retried(lambda: system.call_s3(method, Bucket=bucket, Key=key, IfMatch=f'"{tag}"', **more), place)
    except OSError as error:
        said = _answer(error)
        if said in ("PreconditionFailed", "412"):
            raise _Changed from error
        if error.errno == errno.ENOSYS or said in UNKNOWN:
            raise NoConditionalPut(said) from error
        raise
    return True


UNKNOWN = frozenset({"NotImplemented", "InvalidArgument", "ParamValidationError"})
"""What stores, and older versions of botocore, say of a condition that they do not know."""


def _answer(error: BaseException | None) -> str:
    """The code of the answer below an error, or the name of the error where no answer came."""
    name = ""
    while error is not None:
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        if code:
            return str(code)
        name, error = type(error).__name__, error.__cause__
    return name
