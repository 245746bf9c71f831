"""Rows of decoded files as tables, and rows that are no longer true."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Artifact
from stages.decoding.problems import Unreadable
from stages.decoding.reading import Expected, read
from stages.decoding.rows import FileFacts, Row
from stages.kernels.bounds.coarse import coarse, contrast

SCAN = ("path", "path_bytes", "set", "bytes", "stamp")
"""Columns of the scan that determine thumbnails."""


def names_of(table: pa.Table) -> list[bytes]:
    """Return the true name of each file."""
    return cast("list[bytes]", pc.coalesce(table["path_bytes"], table["path"].cast(pa.binary())).to_pylist())


def table_of(scan: pa.Table, rows: Sequence[Row], shape: tuple[int, int, int], form: pa.Schema) -> pa.Table:
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


def recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
    """Return the paths whose bytes have changed since the artifact was made."""
    rows = artifact.table(["path", "path_bytes", "digest", "error", "bytes", "stamp"])
    changed = []
    asked = pc.is_in(rows["path"], pa.array(list(paths), pa.string()))
    rows = rows.filter(pc.and_(asked, pc.is_valid(rows["digest"])))
    for name, row in zip(names_of(rows), rows.to_pylist(), strict=True):
        try:
            _, digest = read(Expected(name, row["bytes"], row["digest"]), "bytes", row["bytes"])
        except Unreadable:
            digest = None
        if digest != row["digest"]:
            changed.append(row["path"])
    return changed
