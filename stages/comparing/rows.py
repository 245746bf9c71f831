"""Decoded images as rows of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stages.decoding.recheck import SCAN
from stages.decoding.rows import FileFacts, ThumbnailRow
from stages.kernels.bounds.coarse import coarse, contrast


def thumbnail_table(
    scan: pa.Table, rows: Sequence[ThumbnailRow], shape: tuple[int, int, int], form: pa.Schema
) -> pa.Table:
    """Return some rows as a table.

    The columns: from the scan, the facts, and sums computed from the pixels."""
    nothing = bytes(math.prod(shape))
    data = b"".join(thumbnail or nothing for _, thumbnail in rows)
    pixels = np.frombuffer(data, np.uint8).reshape(-1, *shape)
    missing = np.array([thumbnail is None for _, thumbnail in rows])
    sums = coarse(pixels)
    kind = form.field("coarse").type
    # Lists of nulls instead of null lists: pyarrow before 26 can't read null lists of a fixed size.
    values = pa.array(sums.ravel().astype(kind.value_type.to_pandas_dtype()), mask=np.repeat(missing, kind.list_size))
    found = pa.array([row for row, _ in rows], pa.struct([form.field(name) for name in FileFacts._fields]))
    known = {name: scan.column(name) for name in SCAN} | {
        "thumbnail": pa.Array.from_buffers(
            form.field("thumbnail").type, len(rows), [pa.array(~missing).buffers()[1], pa.py_buffer(data)]
        ),
        "coarse": pa.FixedSizeListArray.from_arrays(values, type=kind),
        "contrast": pa.array(contrast(pixels, sums), mask=missing),
        **dict(zip(FileFacts._fields, found.flatten(), strict=True)),
    }
    return pa.table([known[field.name] for field in form], schema=form)
