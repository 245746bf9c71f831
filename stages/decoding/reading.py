"""Read a file once, and check that the file has not changed since the scan."""

from __future__ import annotations

import hashlib
import os
import stat

from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import entry_of, fetch, opened
from stages.decoding import problems
from stages.decoding.containers import OpenContainers, read_member
from stages.decoding.problems import Unreadable
from stages.decoding.sources import FLAGS, Expected, in_range, storage_errors_converted


def read(file: Expected, trust: str, max_bytes: int, containers: OpenContainers | None = None) -> tuple[bytes, str]:
    """Return an image's bytes and their SHA-256 in hex.

    A file is opened and read once.

    containers  containers that stay open; None: the container is opened for this member alone

    Raises:
        Unreadable: the file can't be read, has changed, or is too large."""
    if file.location:
        return read_member(file, trust, max_bytes, containers)
    if not file.path.startswith(b"/"):
        return _read_url(file, trust, max_bytes)
    with storage_errors_converted():
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


def _read_url(file: Expected, trust: str, max_bytes: int) -> tuple[bytes, str]:
    if file.size > max_bytes:
        raise Unreadable(problems.MANY_BYTES)
    with storage_errors_converted():
        data, stamp = read_url(file.path.decode())
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.size or (digest if trust == "bytes" else stamp) != file.stamp:
        raise Unreadable(problems.CHANGED)
    return data, digest


def read_url(url: str) -> tuple[bytes, str]:
    """Return a remote file's bytes and its stamp.

    One request is enough where the store's answer holds the ETag.

    Raises:
        OSError: the store reports an error."""
    system, path = opened(url)
    data, tag = retried(lambda: fetch(system, path), url)
    if tag is None:
        entry = entry_of(retried(lambda: system.info(path), url))
        tag = entry.tag or str(entry.mtime_ns)
    return data, tag


def _read_all(number: int, size: int) -> bytes:
    """Return `size` bytes, or all bytes of a shorter file."""
    data = os.read(number, size)
    if len(data) == size:
        return data
    pieces = [data]
    while data and size > sum(map(len, pieces)):
        data = os.read(number, size - sum(map(len, pieces)))
        pieces.append(data)
    return b"".join(pieces)
