"""Read Parquet files on object stores by ranges.

A footer takes one request for the last TAIL bytes. The file's size is not needed, since offsets in a footer count from
the start of the file. Column data takes one range request for each group of neighbouring column chunks (Arrow's
`pre_buffer`), without read-ahead. The first request fetches a file shorter than TAIL as a whole.
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
from pipeline.store.backends.retries import retried
from pipeline.store.backends.storage import file_system, key_of
from pipeline.store.regular import check_regular

TAIL = 32 << 10
"""Bytes of the first request; most footers are smaller."""
MAGIC = 8
"""Bytes after a footer: the length of the footer, and PAR1."""
FAR = 1 << 62
"""Stand-in for the unknown size of a file; greater than the end of every column chunk."""


class ParquetObject:
    """A Parquet file on an object store, with its footer.

    Raises OSError for a missing file, pyarrow.ArrowInvalid for a file that is not Parquet."""

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
        """Open the file for reading columns, with page checksums verified."""
        source = io.BytesIO(self._whole) if self._whole is not None else _Ranges(self._system, self._place)
        return pq.ParquetFile(
            source, metadata=self.metadata, pre_buffer=self._whole is None, page_checksum_verification=True
        )


def open_parquet(place: Place) -> pq.ParquetFile:
    """Open a Parquet file; verify checksums. Raises OSError, pyarrow.ArrowException."""
    if isinstance(place, Path):
        check_regular(place)
        return pq.ParquetFile(place, page_checksum_verification=True)
    return ParquetObject(place).open()


def read_footer(place: Place) -> pq.FileMetaData:
    """Return the footer of a Parquet file. Raises OSError, pyarrow.ArrowException."""
    if isinstance(place, Path):
        check_regular(place)
        return pq.read_metadata(place)
    return ParquetObject(place).metadata


class _Ranges(io.RawIOBase):
    """An object as a file; each read is one range request."""

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


def footer_size(tail: bytes) -> int:
    """Return the bytes of a footer, with MAGIC, from the last bytes of a file.

    Raises pyarrow.ArrowInvalid."""
    if tail[-4:] != b"PAR1" or len(tail) < MAGIC:
        raise pa.ArrowInvalid("not a Parquet file")
    return int.from_bytes(tail[-8:-4], "little") + MAGIC


def parsed(tail: bytes) -> pq.FileMetaData:
    """Parse the footer in the last bytes of a file. Raises pyarrow.ArrowInvalid."""
    return pq.read_metadata(io.BytesIO(tail))


def footers(system: Any, keys: Sequence[str]) -> list[bytes]:
    """Fetch footers in parallel; b"" if a fetch fails or the footer exceeds TAIL."""
    if not keys:
        return []
    if "abfs" in system.protocol:
        return [b""] * len(keys)
    count = len(keys)
    found = retried(lambda: system.cat_ranges(list(keys), [-TAIL] * count, [None] * count, on_error="return"), keys[0])
    return [_cut(bytes(tail)) if isinstance(tail, bytes | bytearray) else b"" for tail in found]


def _cut(tail: bytes) -> bytes:
    """Return the footer without the column data before the footer."""
    with contextlib.suppress(pa.ArrowInvalid):
        size = footer_size(tail)
        return tail[-size:] if size <= len(tail) else b""
    return b""


def _tail(system: Any, key: str, size: int) -> bytes:
    if "abfs" in system.protocol:  # Azure supports no range from the end
        return bytes(system.cat_file(key, start=max(0, system.size(key) - size)))
    return bytes(system.cat_file(key, start=-size))


def piecewise(file: pq.ParquetFile, columns: Sequence[str] | None, ranged: bool) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows; `ranged` fetches one row group at a time."""
    if not ranged:
        yield from file.iter_batches(columns=columns, use_threads=False)
        return
    for group in range(file.num_row_groups):
        yield from file.iter_batches(row_groups=[group], columns=columns, use_threads=False)
