"""Parquet on object stores, a range at a time.

A footer is one request for the last TAIL bytes; there is no need to ask for the size first, since the offsets in it
count from the beginning. What a reader asks for beyond that is one range for each run of neighbouring column chunks
(Arrow's `pre_buffer`), and nothing is read ahead. A file shorter than TAIL is there as a whole with its footer.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import file_system, key_of, retried
from pipeline.store.regular import check_regular

TAIL = 32 << 10
"""Bytes of the first request: most footers are smaller."""
MAGIC = 8
"""Bytes behind a footer: its length, and PAR1."""
FAR = 1 << 62
"""Said to be the size of a file whose size is not known; no column chunk ends behind it."""


class ParquetObject:
    """A Parquet file on an object store, with its footer.

    Raises OSError where there is no such file, pyarrow.ArrowInvalid where it is no Parquet."""

    def __init__(self, place: Place) -> None:
        self._place, self._system = place, file_system(place)
        tail = self._last(TAIL)
        if footer_size(tail) > len(tail):
            tail = self._last(footer_size(tail))
        self.metadata = parsed(tail)
        self._whole = tail if len(tail) < TAIL else None

    def _last(self, size: int) -> bytes:
        return retried(lambda: _tail(self._system, key_of(self._place), size), self._place)

    def open(self) -> pq.ParquetFile:
        """For reading columns; page checksums are verified."""
        source = io.BytesIO(self._whole) if self._whole is not None else _Ranges(self._system, self._place)
        return pq.ParquetFile(
            source, metadata=self.metadata, pre_buffer=self._whole is None, page_checksum_verification=True
        )


def open_parquet(place: Place) -> pq.ParquetFile:
    """A Parquet file anywhere; page checksums are verified. Raises OSError, pyarrow.ArrowException."""
    if isinstance(place, Path):
        check_regular(place)
        return pq.ParquetFile(place, page_checksum_verification=True)
    return ParquetObject(place).open()


def read_footer(place: Place) -> pq.FileMetaData:
    """The footer of a Parquet file anywhere. Raises OSError, pyarrow.ArrowException."""
    if isinstance(place, Path):
        check_regular(place)
        return pq.read_metadata(place)
    return ParquetObject(place).metadata


class _Ranges(io.RawIOBase):
    """Each read is one request."""

    def __init__(self, system: Any, place: Place) -> None:
        super().__init__()
        self._system, self._place, self._at = system, place, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: FAR}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size <= 0:
            return b""
        start, key = self._at, key_of(self._place)
        data = bytes(retried(lambda: self._system.cat_file(key, start=start, end=start + size), self._place))
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        raise OSError("a column chunk is read, not the whole file")

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def footer_size(tail: bytes) -> int:
    """Bytes that the footer takes at the end of a file, by the file's last bytes. Raises pyarrow.ArrowInvalid."""
    if tail[-4:] != b"PAR1" or len(tail) < MAGIC:
        raise pa.ArrowInvalid("no Parquet file")
    return int.from_bytes(tail[-8:-4], "little") + MAGIC


def parsed(tail: bytes) -> pq.FileMetaData:
    """The footer in the last bytes of a file. Raises pyarrow.ArrowInvalid."""
    return pq.read_metadata(io.BytesIO(tail))


def footers(system: Any, keys: Sequence[str]) -> list[bytes]:
    """The footers of some objects, all asked for at a time; empty where one can't be had, or is longer than TAIL."""
    if not keys:
        return []
    if "abfs" in system.protocol:
        return [b""] * len(keys)
    count = len(keys)
    found = retried(lambda: system.cat_ranges(list(keys), [-TAIL] * count, [None] * count, on_error="return"), keys[0])
    return [_cut(bytes(tail)) if isinstance(tail, bytes | bytearray) else b"" for tail in found]


def _cut(tail: bytes) -> bytes:
    """The footer alone, without the rows before it."""
    with contextlib.suppress(pa.ArrowInvalid):
        size = footer_size(tail)
        return tail[-size:] if size <= len(tail) else b""
    return b""


def _tail(system: Any, key: str, size: int) -> bytes:
    if "abfs" in system.protocol:  # Azure knows no range that counts from the end
        return bytes(system.cat_file(key, start=max(0, system.size(key) - size)))
    return bytes(system.cat_file(key, start=-size))


def piecewise(file: pq.ParquetFile, columns: Sequence[str] | None, ranged: bool) -> Iterator[pa.RecordBatch]:
    """Rows piece by piece; `ranged`: a row group at a time, so that no more than one of them is fetched ahead."""
    if not ranged:
        yield from file.iter_batches(columns=columns, use_threads=False)
        return
    for group in range(file.num_row_groups):
        yield from file.iter_batches(row_groups=[group], columns=columns, use_threads=False)
