"""Open a file, local or behind a URL, and read ranges of bytes or a stream."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from functools import cached_property
from typing import BinaryIO, cast

from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import Entry, entry_of, opened
from stages.decoding import problems
from stages.decoding.problems import Unreadable
from stages.decoding.sources import FLAGS, in_range

BLOCK = 8 << 20
"""Bytes of a request where a file behind a URL is read as a stream."""
BUFFER = 1 << 18
"""Bytes that a local stream reads at a time."""


class OpenedFile:
    """A file that stays open.

    Raises:
        OSError: the file can't be opened.
        Unreadable: the path does not lead to a regular file."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_local = name.startswith(b"/")
        self._window, self._at, self._together = b"", 0, (0, 0)
        self._stream: BinaryIO | None = None
        self.reader: object = None
        if self.is_local:
            self._number = os.open(name, FLAGS)
            if not stat.S_ISREG(os.fstat(self._number).st_mode):
                self.close()
                raise Unreadable(problems.NO_FILE)
        else:
            self._system, self._path = opened(name.decode())

    @cached_property
    def entry(self) -> Entry:
        """Return size, time and tag of a file behind a URL; one request is sent. Raises OSError."""
        return entry_of(retried(lambda: self._system.info(self._path), self.name.decode()))

    @property
    def size(self) -> int:
        """Return the size of the file in bytes. Raises OSError."""
        return os.fstat(self._number).st_size if self.is_local else self.entry.size

    def stamp(self, trust: str) -> str:
        """Return the file's stamp by `scan.trust`; equal stamps mean an unchanged file.

        Raises OSError."""
        if trust == "bytes":
            return self.digest()
        if self.is_local:
            return str(in_range(getattr(os.fstat(self._number), f"st_{trust}_ns")))
        return self.entry.tag or str(self.entry.mtime_ns)

    def has_stamp(self, stamp: str, trust: str) -> bool:
        """Return whether the file has the size and the stamp in `stamp`, a text `size/stamp`.

        With `trust: bytes`, only the size is compared, since a digest would need the whole file. Raises OSError."""
        size, _, rest = stamp.partition("/")
        return size == str(self.size) and (trust == "bytes" or rest == self.stamp(trust))

    def digest(self) -> str:
        """Return the SHA-256 of the file in hex. Raises OSError."""
        whole = hashlib.sha256()
        for start in range(0, self.size, BLOCK):
            whole.update(self._fetched(start, start + BLOCK))
        return whole.hexdigest()

    def read(self, start: int, end: int, together: tuple[int, int] | None = None) -> bytes:
        """Return the bytes from `start` to `end`; fewer at the end of the file.

        together  a range that also covers the next reads; one request gets the whole range

        Raises:
            OSError: the file can't be read."""
        if not self._at <= start <= end <= self._at + len(self._window):
            if together is None:
                return self._fetched(start, end)
            if together != self._together:
                self._window, self._at, self._together = self._fetched(*together), together[0], together
        return self._window[start - self._at : end - self._at]

    def _fetched(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if start >= end:
            return b""
        if not self.is_local:
            url = self.name.decode()
            return bytes(retried(lambda: self._system.cat_file(self._path, start=start, end=end), url))
        pieces: list[bytes] = []
        while start < end and (piece := os.pread(self._number, end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def stream(self, wrapped: Callable[[BinaryIO], BinaryIO]) -> BinaryIO:
        """Return the file's stream; `wrapped` makes the stream on the first call."""
        if self._stream is None:
            self._stream = wrapped(self.file())
        return self._stream

    def file(self, buffer: int = BUFFER) -> BinaryIO:
        """Return a file object with a position of its own.

        buffer  bytes per read of a local file; a request for a file behind a URL gets BLOCK bytes

        Raises:
            OSError: the file can't be read."""
        return cast(BinaryIO, io.BufferedReader(_Raw(self), buffer if self.is_local else BLOCK))

    def close(self) -> None:
        """Close the file."""
        self._stream = self.reader = None
        self._window = b""
        if self.is_local and self._number >= 0:
            os.close(self._number)
            self._number = -1


class _Raw(io.RawIOBase):
    """The bytes of an opened file as a file object."""

    def __init__(self, opened: OpenedFile) -> None:
        self._opened, self._place = opened, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._opened.size}[whence]
        if base + offset < 0:
            raise OSError("negative position")  # zipfile relies on the OSError that files raise
        self._place = base + offset
        return self._place

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._opened.read(self._place, self._place + len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


def decompressed(file: BinaryIO) -> BinaryIO:
    """Return the decompressed content of a gzip, bzip2 or xz file.

    The first bytes decide; any other file is returned unchanged."""
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        import gzip

        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh"):
        import bz2

        return cast(BinaryIO, bz2.BZ2File(file))
    if head == b"\xfd7zXZ\x00":
        import lzma

        return cast(BinaryIO, lzma.LZMAFile(file))
    return file
