"""Decode images at a model's size; convert vectors to rows of a table and back."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Job
from stages.comparing.thumbnails import CHANNELS, decode_again, limits
from stages.decoding.lanes import Lanes
from stages.decoding.recheck import names_of
from stages.decoding.rows import facts_of, in_order, is_current, should_retry
from stages.decoding.sources import Expected
from stages.vectors.columns import SCHEMA

FileContent = tuple[str, str]
"""Path of a file, and digest of its bytes."""


class VectorRow(NamedTuple):
    """An image's vector, or the error that left the image without a vector."""

    vector: bytes | None = None
    error: str | None = None
    error_detail: str | None = None
    error_limit: float | None = None
    decoder: str | None = None


class DecodedImage(NamedTuple):
    """An image at the model's size, or a row with the error.

    number  the image's row of the table"""

    number: int
    row: VectorRow
    pixels: NDArray[np.uint8] | None


def contents_of(table: pa.Table) -> list[FileContent]:
    """Return path and digest of each row."""
    return list(zip(table["path"].to_pylist(), table["digest"].to_pylist(), strict=True))


def known_vectors(
    keys: Container[FileContent], tables: Iterable[pa.Table], model: str, limit: Mapping[str, float]
) -> dict[FileContent, VectorRow]:
    """Return the rows of earlier artifacts that are still valid.

    model  identity of the model that computes vectors now
    limit  the present value of each limit of decoding, by the limit's name"""
    known: dict[FileContent, VectorRow] = {}
    for table in tables:
        for row in table.filter(pa.compute.equal(table["model"], model)).to_pylist():
            key = row["path"], row["digest"]
            retry = should_retry(row["error"], row["error_limit"], limit) or not is_current(row["decoder"])
            if key in keys and key not in known and not retry:
                known[key] = VectorRow(*(row[name] for name in VectorRow._fields))
    return known


def decoded(
    job: Job, rows: pa.Table, wanted: Sequence[int], size: tuple[int, int], channels: str
) -> Iterator[DecodedImage]:
    """Yield the decoded images of the rows `wanted` of the table of thumbnails.

    Raises:
        TaskError: no decoding process can be started."""
    bounds = limits(job.settings)
    table = rows.take(pa.array(wanted, pa.int64()))
    names, columns = names_of(table), table.select(["bytes", "digest"]).to_pylist()
    files = [Expected(name, row["bytes"], row["digest"]) for name, row in zip(names, columns, strict=True)]
    lanes = Lanes(files, decode_again(job.settings, size, channels), bounds, job.spare_core)
    found = ((place, (facts_of(seen, bounds.recurring), pixels)) for place, seen, pixels in lanes)
    for number, (facts, pixels) in zip(wanted, in_order([None] * len(wanted), found), strict=True):
        row = VectorRow(None, facts.error, facts.error_detail, facts.error_limit, facts.decoder)
        shape = size[1], size[0], CHANNELS[channels]
        yield DecodedImage(number, row, None if pixels is None else np.frombuffer(pixels, np.uint8).reshape(shape))


def vector_table(rows: pa.Table, vectors: Sequence[VectorRow], model: str) -> pa.Table:
    """Return the table of vectors.

    rows  rows of the table of thumbnails, one for each vector"""
    columns = {name: [getattr(row, name) for row in vectors] for name in VectorRow._fields}
    known = {name: rows[name] for name in ("path", "set", "digest")} | {"model": [model] * len(vectors)}
    return pa.table([(known | columns)[field.name] for field in SCHEMA], schema=SCHEMA)
