"""Choose row groups, pages, compression and dictionaries of an artifact's file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

DICTIONARY = 16 << 20
"""Greatest size in bytes of a text column's dictionary, which is written once per row group: a row then takes a
few bytes, however long the texts are."""
SHORT_GROUP = 1 << 10
IN_CACHE = {"data_page_size": 1 << 16, "write_batch_size": 8}
"""Page sizes for compressed wide columns: a page fits into a core's cache. An uncompressed column has one page per row
group, in which `FixedRows.read` finds single rows."""
SHRINKS = 0.8
"""A wide column is compressed if lz4 shrinks the first values to less than this share."""
PACKED = "lz4"
SAMPLE = 32
"""Number of first values on which lz4 is tried."""


def layout(first: pa.Table, row_group: int) -> dict[str, Any]:
    """Return the options of `pyarrow.parquet.ParquetWriter` for an artifact.

    The options depend on the first rows of the artifact."""
    schema = first.schema
    compression = {name: _compression(first.column(name), row_group) for name in schema.names}
    wide = [column.name for column in schema if pa.types.is_fixed_size_binary(column.type)]
    packed = any(compression[name] == PACKED for name in wide)
    return {
        "compression": compression,
        "use_dictionary": [column.name for column in schema if pa.types.is_string(column.type)],
        "write_statistics": [name for name in schema.names if name not in wide],
        "dictionary_pagesize_limit": DICTIONARY,
        "write_page_checksum": True,
        "store_schema": True,
        **(IN_CACHE if packed else {}),
    }


def _compression(first: pa.ChunkedArray, row_group: int) -> str:
    """Return the compression of a column, chosen by the first values.

    Rows of wide columns are read at random. If compression saves little, a wide column stays uncompressed, so that a
    row is read without decompressing other rows. For short row groups, starting zstd takes longer than writing the
    rest."""
    if pa.types.is_fixed_size_binary(first.type) and first.num_chunks:
        chunk, width = first.chunk(0), first.type.byte_width
        values = chunk.buffers()[1].slice(chunk.offset * width, min(len(chunk), SAMPLE) * width)
        return PACKED if pa.compress(values, PACKED).size < SHRINKS * values.size else "none"
    return PACKED if row_group < SHORT_GROUP else "zstd"


def row_groups(tables: Iterable[pa.Table], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """Yield rows in pieces of one size, so that equal content gives equal files."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table if table.schema.equals(schema) else table.cast(schema))
        rows += table.num_rows
        if rows >= size:
            whole = pa.concat_tables(waiting)
            full = rows - rows % size
            for start in range(0, full, size):
                yield whole.slice(start, size).combine_chunks()
            waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()
