"""List the rows of Parquet and Arrow files, without reading their images.

A row of a Parquet file is located by its row group; the size of the row's image is unknown until the row is read. A row
of an uncompressed Arrow file is located by the offset of its bytes in the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.decoding.opened_file import OpenedFile
from stages.decoding.sources import is_of_storage
from stages.listing.image_columns import BYTES, ImageColumn, has_dictionary, image_column, row_names
from stages.listing.members import Member, broken
from stages.listing.values import ValuesBeside, text_of

T = TypeVar("T")

BATCH = 16
"""Greatest number of images in memory while the rows of a row group are searched for image bytes."""

MAGIC = b"ARROW1"
"""Start of an Arrow file; a file without this start is an Arrow stream, as the library `datasets` writes."""
END = b"\xff\xff\xff\xff\0\0\0\0"
"""End of an Arrow stream."""


def parquet_rows(opened: OpenedFile, column: str | None, columns: Sequence[str] = ()) -> Iterator[Member]:
    """Yield the rows of a Parquet file as members.

    column   the column of images; None: the column that looks like images
    columns  names of other columns; each member gets the values of its row"""

    def parse() -> tuple[pa.Schema, tuple[pq.ParquetFile, list[int]]]:
        file = pq.ParquetFile(opened.file(), pre_buffer=False)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        return file.schema_arrow, (file, groups)

    if isinstance(table := _parsed(parse, column), Member):
        yield table
        return
    found, (file, groups) = table
    first = 0
    for group, rows in enumerate(groups):
        keys = _keys(file, group, found, rows)
        names = row_names(first, rows, sum(groups), keys)
        values = _values(file, group, columns, rows)
        empty = _empty(file, group, found, rows) if found.is_named and keys is not None else ()
        for row, name in enumerate(names):
            member = Member(name, 0, "parquet", f"{group}:{row}:{found.number}", values[row] if values else ())
            is_named = row in empty and keys is not None and keys[row]
            yield member._replace(kind="broken", at="named") if is_named else member
        first += rows


def _parsed(parse: Callable[[], tuple[pa.Schema, T]], column: str | None) -> tuple[ImageColumn, T] | Member:
    """Return the column of images and the rest of `parse`'s result.

    A table that can't be parsed, or that has no column of images, yields a broken member instead.

    Raises:
        OSError: the file can't be read."""
    try:
        schema, rest = parse()
        found = image_column(schema, column)
    except Exception as error:  # hostile bytes
        if is_of_storage(error):
            raise
        return broken(b"", "container")
    return broken(b"", "column") if found is None else (found, rest)


def _keys(file: pq.ParquetFile, group: int, column: ImageColumn, rows: int) -> Sequence[object] | None:
    """Return the key of each row of a row group; None without keys, or where a page of keys is damaged."""
    if not column.key:
        return None
    try:
        values = file.read_row_group(group, columns=[column.key], use_threads=False).column(0).combine_chunks()
        keys = list((values.field(0) if pa.types.is_struct(values.type) else values).to_pylist())
    except Exception:  # a damaged page of keys: the images may be whole
        return None
    return keys if len(keys) == rows else None


def _empty(file: pq.ParquetFile, group: int, column: ImageColumn, rows: int) -> Container[int]:
    """Return the rows of a row group without image bytes.

    The result is empty if a page is damaged, or if the footer does not count such rows: only reading all images would
    find the rows."""
    name = f"{column.name}.{BYTES}"
    chunks = map(file.metadata.row_group(group).column, range(file.metadata.num_columns))
    counts = next((each.statistics for each in chunks if each.path_in_schema == name), None)
    count = counts.null_count if counts is not None and counts.has_null_count else 0
    if count in (0, rows):
        return range(count)
    try:
        batches = file.iter_batches(BATCH, row_groups=[group], columns=[name], use_threads=False)
        valid = np.concatenate(
            [each.column(0).field(BYTES).is_valid().to_numpy(zero_copy_only=False) for each in batches]
        )
    except Exception:  # a damaged page of images
        return ()
    return frozenset(np.flatnonzero(~valid).tolist())


def _values(file: pq.ParquetFile, group: int, columns: Sequence[str], rows: int) -> list[ValuesBeside]:
    """Return the values of each row of a row group: nothing without `columns`, None if a page is damaged."""
    if not columns:
        return []
    try:
        there = [name for name in columns if name in file.schema_arrow.names]
        return _of_table(file.read_row_group(group, columns=there, use_threads=False), columns, rows)
    except Exception:  # a damaged page of values: the images may be whole
        return [(None,) * len(columns)] * rows


def _of_table(table: Any, columns: Sequence[str], rows: int) -> list[ValuesBeside]:
    """Return the values of each row of a table or a record batch."""
    there = [
        map(text_of, table.column(name).to_pylist()) if name in table.schema.names else (None,) * rows
        for name in columns
    ]
    return list(zip(*there, strict=True))


def arrow_rows(opened: OpenedFile, column: str | None, columns: Sequence[str] = ()) -> Iterator[Member]:
    """Yield the rows of an Arrow file or stream as members; see `parquet_rows`."""
    parts: list[tuple[list[int], list[int], Sequence[object] | None, list[ValuesBeside]]] = []
    whole = False

    def parse() -> tuple[pa.Schema, tuple[Any, pa.Schema]]:
        source: Any = pa.memory_map(os.fsdecode(opened.name)) if opened.is_local else pa.PythonFile(opened.file())
        source.seek(8 if source.read(len(MAGIC)) == MAGIC else 0)
        schema = pa.ipc.read_schema(source)
        return schema, (source, schema)

    if isinstance(table := _parsed(parse, column), Member):
        yield table
        return
    found, (source, schema) = table
    if any(has_dictionary(field.type) for field in schema):
        yield broken(b"", "dictionary")
        return
    try:
        while True:
            message = pa.ipc.read_message(source)
            parts.append(_in_file(message, schema, source.tell(), found, columns))
    except EOFError:
        whole = opened.read(source.tell() - len(END), source.tell()) == END
    except Exception as error:  # hostile bytes
        if is_of_storage(error):
            raise
    of = sum(len(sizes) for _, sizes, *_ in parts)
    first = 0
    for places, sizes, keys, values in parts:
        names = row_names(first, len(sizes), of, keys)
        for row, (name, place, size) in enumerate(zip(names, places, sizes, strict=True)):
            member = Member(name, size, "raw", str(place))
            if place < 0 or size <= 0:
                empty = "named" if size < 0 and found.is_named and keys is not None and keys[row] else "value"
                member = broken(name, "method" if place < 0 else empty)
            yield member._replace(values=values[row]) if values else member
        first += len(sizes)
    if not whole:
        yield broken(b"", "ends")


def _in_file(
    message: Any, schema: pa.Schema, end: int, column: ImageColumn, columns: Sequence[str]
) -> tuple[list[int], list[int], Sequence[object] | None, list[ValuesBeside]]:
    """Return offset in the file, size, key and values of each row of a record batch.

    The offset is -1 if the bytes are compressed. The size is -1 if the row has no bytes.

    end  offset in the file at which the message ends, directly after its body

    Raises:
        ValueError: the message is not a record batch, or its offsets are wrong."""
    batch = pa.ipc.read_record_batch(message, schema)
    for name in {column.name, column.key.rpartition(".")[0] or column.key, *columns} & set(schema.names):
        batch.column(name).validate(full=True)  # offsets of a damaged file may point anywhere
    values = batch.column(column.number)
    values = values.field(BYTES) if column.is_struct else values
    _, offsets, data = values.buffers()
    keys: Sequence[object] | None = None
    if column.key:
        name, _, field = column.key.rpartition(".")
        keys = (batch.column(name).field(field) if name else batch.column(column.key)).to_pylist()
    rows = len(values)
    others = _of_table(batch, columns, rows) if columns else []
    if not rows:
        return [], [], keys, others
    kind = np.int64 if pa.types.is_large_binary(values.type) else np.int32
    edges = np.frombuffer(offsets, kind)[values.offset : values.offset + rows + 1].astype(np.int64)
    sizes = np.diff(edges)
    length = data.size if data is not None else 0
    if len(edges) != rows + 1 or edges[0] < 0 or edges[-1] > length or (sizes < 0).any():
        raise ValueError("offsets")
    inner = data.address - message.body.address if data is not None else 0
    if not 0 <= inner <= message.body.size:  # a compressed body
        return [-1] * rows, sizes.tolist(), keys, others
    sizes[values.is_null().to_numpy(zero_copy_only=False)] = -1
    return (end - message.body.size + inner + edges[:-1]).tolist(), sizes.tolist(), keys, others
