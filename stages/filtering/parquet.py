"""Write a copy of a Parquet file without some rows.

Row groups, compression, encodings, statistics and the metadata of the schema are kept; a row group without remaining
rows is left out. One row group is in memory at a time, since a row group is written as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.decoding.opened_file import OpenedFile
from stages.filtering.outcome import Refused, Removal, Rewritten, check_found
from stages.listing.parquet import parquet_rows

ENCODINGS = frozenset({"DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT"})
"""Encodings, besides the default ones, that a writer can be told to use for a column."""
CODECS = {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4", "LZ4_HADOOP": "lz4"}
"""The writer's names of codecs that have other names in a footer."""


def rewrite_parquet(opened: OpenedFile, removal: Removal, out: BinaryIO) -> Rewritten:
    """Write a copy of a Parquet file without the rows of removed images.

    Raises:
        Refused: an image to remove is not in the file, or the file can't be read.
        OSError: a file can't be read or written."""
    names = [member.name for member in parquet_rows(opened, removal.column)]
    check_found(removal.names, set(names))
    keeps = np.array([name not in removal.names for name in names], bool)
    images = int((~keeps).sum())
    file = _opened(opened)
    kept = unreadable = first = 0
    schema = file.schema_arrow
    with pq.ParquetWriter(out, schema, **writer_options(file.metadata)) as writer:
        for number in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            here = keeps[first : first + rows]
            first += rows
            table = _row_group(file, number)
            unreadable += int(here[len(table) :].sum())
            images -= int((~here[len(table) :]).sum())
            unreadable += int((~here[len(table) :]).sum())
            table = _filtered(table, here[: len(table)])
            if len(table):
                writer.write_table(table, row_group_size=len(table))
            kept += len(table)
        writer.add_key_value_metadata(_other_metadata(file))
    note = f"damaged: {unreadable:,} rows after damaged pages can't be read" if unreadable else ""
    return Rewritten(len(names), kept, images, 0, unreadable, note)


def _other_metadata(file: pq.ParquetFile) -> dict[bytes, bytes]:
    """Return the key-value metadata of a footer that are not part of the schema."""
    own = {b"ARROW:schema", *(file.schema_arrow.metadata or ())}
    return {key: value for key, value in (file.metadata.metadata or {}).items() if key not in own}


def _opened(opened: OpenedFile) -> pq.ParquetFile:
    source = os.fsdecode(opened.name) if opened.is_local else opened.file()
    try:
        return pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True)
    except Exception as error:  # hostile bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refused("the footer can't be read") from error


def _filtered(table: pa.Table, keeps: NDArray[np.bool_]) -> pa.Table:
    return table if keeps.all() else table.filter(pa.array(keeps))


def _row_group(file: pq.ParquetFile, number: int) -> pa.Table:
    """Return the rows of a row group before the first damaged page. Raises OSError."""
    try:
        return file.read_row_group(number, use_threads=False)
    except Exception as error:  # a damaged page raises errors of many kinds
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
    batches = []
    try:
        for batch in file.iter_batches(1, row_groups=[number], use_threads=False):
            batches.append(batch)  # noqa: PERF402  # batches read before an error count
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
    return pa.Table.from_batches(batches, file.schema_arrow)


def writer_options(metadata: Any) -> dict[str, Any]:
    """Return the options for writing a Parquet file like an existing file.

    metadata  the footer of the existing file"""
    options: dict[str, Any] = {"version": metadata.format_version}
    if not metadata.num_row_groups:
        return options
    group = metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    dictionary = [each.path_in_schema for each in columns if each.has_dictionary_page or _has_dictionary(each)]
    counted = [each.path_in_schema for each in columns if each.is_stats_set]
    options |= {
        "compression": {each.path_in_schema: CODECS.get(each.compression, each.compression) for each in columns},
        "use_dictionary": dictionary or False,
        "write_statistics": counted or False,
        "write_page_index": any(each.has_offset_index for each in columns),
        "use_deprecated_int96_timestamps": any(each.physical_type == "INT96" for each in columns),
    }
    encoded = {each.path_in_schema: ENCODINGS.intersection(each.encodings) for each in columns}
    if named := {name: found for name, found in encoded.items() if len(found) == 1 and name not in dictionary}:
        options["column_encoding"] = {name: next(iter(found)) for name, found in named.items()}
    if group.sorting_columns:
        options["sorting_columns"] = group.sorting_columns
    return options


def _has_dictionary(column: Any) -> bool:
    return any("DICTIONARY" in encoding for encoding in column.encodings)


def count_parquet(path: Path) -> int:
    """Return the number of rows of a Parquet file.

    Raises:
        OSError: the file can't be read.
        Exception: the file is damaged."""
    return int(pq.ParquetFile(path).metadata.num_rows)
