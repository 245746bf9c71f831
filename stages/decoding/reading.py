"""Read a file once, whole, and make sure that it is the one that the scan saw."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.store.backends.storage import entry_of, fetch, opened, retried
from stages.decoding import problems
from stages.decoding.problems import Unreadable

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""O_NONBLOCK: a pipe that has taken the file's place must not be waited for."""


def in_range(time: int) -> int:
    """A time in nanoseconds as 64 bits hold it: until 2262. File systems know later dates."""
    return max(-1 << 63, min(time, (1 << 63) - 1))


class Expected(NamedTuple):
    """A file as the scan found it: `stamp` is its time in nanoseconds, or its digest, by `scan.trust`; of a URL it is
    the ETag, where there is one."""

    path: bytes
    size: int
    stamp: str


def read(file: Expected, trust: str, max_bytes: int) -> tuple[bytes, str]:
    """The file's bytes and their SHA-256 in hex; opened once, read once. Raises Unreadable."""
    if not file.path.startswith(b"/"):
        return _read_url(file, trust, max_bytes)
    with _named():
        number = os.open(file.path, FLAGS)
        try:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise Unreadable(problems.NO_FILE)
            if found.st_size != file.size:
                raise Unreadable(problems.CHANGED)
            if file.size > max_bytes:
                raise Unreadable(problems.MANY_BYTES)
            data = _read_all(number, file.size)
            found = os.fstat(number)
        finally:
            os.close(number)
    digest = hashlib.sha256(data).hexdigest()
    stamp = digest if trust == "bytes" else str(in_range(getattr(found, f"st_{trust}_ns")))
    if not len(data) == found.st_size == file.size or stamp != file.stamp:
        raise Unreadable(problems.CHANGED)
    return data, digest


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Errors of storage, of this machine's and of a URL's, by what they say of the file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unreadable(problems.GONE) from error
    except PermissionError as error:
        raise Unreadable(problems.FORBIDDEN) from error
    except MemoryError as error:
        raise Unreadable(problems.MEMORY) from error
    except (OSError, ImportError) as error:
        raise Unreadable(problems.BROKEN_DISK) from error


def _read_url(file: Expected, trust: str, max_bytes: int) -> tuple[bytes, str]:
    if file.size > max_bytes:
        raise Unreadable(problems.MANY_BYTES)
    with _named():
        data, stamp = read_url(file.path.decode())
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.size or (digest if trust == "bytes" else stamp) != file.stamp:
        raise Unreadable(problems.CHANGED)
    return data, digest


def read_url(url: str) -> tuple[bytes, str]:
    """A file as a whole, in one request where the store's answer holds its tag, and its stamp. Raises OSError."""
    system, path = opened(url)
    data, tag = retried(lambda: fetch(system, path), url)
    if tag is None:
        entry = entry_of(retried(lambda: system.info(path), url))
        tag = entry.tag or str(entry.mtime_ns)
    return data, tag


def _read_all(number: int, size: int) -> bytes:
    """So many bytes, or those that there are."""
    data = os.read(number, size)
    if len(data) == size:
        return data
    pieces = [data]
    while data and size > sum(map(len, pieces)):
        data = os.read(number, size - sum(map(len, pieces)))
        pieces.append(data)
    return b"".join(pieces)
