"""Read image bytes from the rows of a Parquet file, each row group in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from stages.decoding import problems
from stages.decoding.opened_file import OpenedFile
from stages.decoding.problems import Unreadable
from stages.decoding.sources import is_of_storage

ROWS = 16
"""Greatest number of rows that are in memory at the same time."""
BUFFER = 1 << 20
"""Bytes of a column that are read at a time, so that a row group is never in memory as a whole."""


class RowReader:
    """The rows of one column of a Parquet file.

    Callers request rows in ascending order; any other order reads a row group again. Rows after a damaged page of a
    row group can't be read."""

    def __init__(self, opened: OpenedFile) -> None:
        source = os.fsdecode(opened.name) if opened.is_local else opened.file()
        self._file = pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True)
        self._group: tuple[int, int] | None = None
        self._damaged: dict[tuple[int, int], int] = {}
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.Array = pa.array([], pa.binary())
        self._first = 0

    def value(self, group: int, row: int, column: int) -> bytes:
        """Return the image bytes of a row; empty where the row has none.

        Raises:
            Exception: the row lies in a damaged page of its row group, or after such a page."""
        if row >= self._damaged.get((group, column), row + 1):
            raise ValueError("damaged page")
        try:
            return self._value(group, row, column, ROWS)
        except Exception:
            self._group = None
        try:
            return self._value(group, row, column, 1)
        except Exception:
            self._group = None
            self._damaged[group, column] = row
            raise

    def _value(self, group: int, row: int, column: int, rows: int) -> bytes:
        if (group, column) != self._group or row < self._first:
            name = self._file.schema_arrow.field(column).name
            is_struct = pa.types.is_struct(self._file.schema_arrow.field(column).type)
            columns = [f"{name}.bytes" if is_struct else name]
            self._batches = self._file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
            self._group, self._first, self._batch = (group, column), 0, pa.array([], pa.binary())
        while row >= self._first + len(self._batch):
            self._first += len(self._batch)
            values = next(self._batches).column(0)
            self._batch = values.field("bytes") if pa.types.is_struct(values.type) else values
        found = self._batch[row - self._first].as_py()
        return found if isinstance(found, bytes) else b""


def row_value(opened: OpenedFile, group: int, row: int, column: int) -> bytes:
    """Return the image bytes of a row.

    Raises:
        Unreadable: the row has no bytes, or its page is damaged.
        OSError: the file can't be read."""
    try:
        if not isinstance(opened.reader, RowReader):
            opened.reader = RowReader(opened)
        found = opened.reader.value(group, row, column)
    except MemoryError as error:
        raise Unreadable(problems.MEMORY) from error
    except Exception as error:  # a damaged page raises errors of many kinds
        if is_of_storage(error):
            raise
        raise Unreadable(problems.MEMBER_BROKEN) from error
    if not found:
        raise Unreadable(problems.NO_VALUE)
    return found
