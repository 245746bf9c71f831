"""Build tables of decoded images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.comparing.thumbnails import coarse_type
from stages.decoding.recheck import SCAN
from stages.decoding.rows import FileFacts, ThumbnailRow
from stages.kernels.bounds.coarse import coarse, contrast

BOX = ("box_left", "box_top", "box_right", "box_bottom")
"""Columns with the edges of the picture inside uniform borders."""


def thumbnail_schema(shape: tuple[int, int, int], trim: bool = False) -> pa.Schema:
    """Return the schema of thumbnails of a shape (height, width, channels).

    trim  whether uniform borders are cut

    width, height                   pixels of the upright image
    contrast                        standard deviation of the thumbnail's values
    alpha                           share of the image that is transparent
    scale                           the image was decoded at 1/scale of its width (`decode: fast`)
    decoder                         library that decoded the image, or the missing library
    error_limit                     the limit on memory, in bytes, or on time, in seconds, that decoding exceeded
    camera, software                from EXIF; software is Adobe if only an Adobe marker exists
    gps                             whether EXIF or XMP has a location
    orientation                     EXIF's orientation
    quality, tables, subsampling, progressive  of a JPEG: quality in libjpeg's terms, tables `standard` or `own`
    was_jpeg                        whether a lossless image has the pixels of a decoded JPEG; null: unknown
    annotations                     names of existing annotations (caption, keywords, people, rating), with spaces
    box_left …                      only with `trim`: edges of the picture inside the borders, in pixels of the upright
                                    image; right and bottom are one past the last pixel
    thumbnail                       values in C order
    location                        position of a member in its container; null for a file"""
    return pa.schema(
        [
            ("path", pa.string()),
            ("path_bytes", pa.binary()),
            ("set", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("format", pa.string()),
            ("mode", pa.string()),
            ("digest", pa.string()),
            ("error", pa.string()),
            ("error_detail", pa.string()),
            ("note", pa.string()),
            ("contrast", pa.float32()),
            ("alpha", pa.float32()),
            ("frames", pa.int32()),
            ("taken", pa.timestamp("ms")),
            ("scale", pa.int8()),
            ("decoder", pa.string()),
            ("error_limit", pa.float64()),
            ("camera", pa.string()),
            ("software", pa.string()),
            ("gps", pa.bool_()),
            ("orientation", pa.int8()),
            ("quality", pa.int8()),
            ("tables", pa.string()),
            ("subsampling", pa.string()),
            ("progressive", pa.bool_()),
            ("was_jpeg", pa.bool_()),
            ("annotations", pa.string()),
            *((name, pa.int32()) for name in BOX if trim),
            ("thumbnail", pa.binary(math.prod(shape))),
            ("coarse", coarse_type(shape)),
            ("bytes", pa.int64()),
            ("stamp", pa.string()),
            ("location", pa.string()),
        ]
    )


def thumbnail_table(
    scan: pa.Table, rows: Sequence[ThumbnailRow], shape: tuple[int, int, int], form: pa.Schema
) -> pa.Table:
    """Return a table of images: scan columns, facts about files, thumbnails, coarse sums.

    scan  rows of the scan, one for each of `rows`
    rows  facts about each file, and its thumbnail or None
    form  the schema of the table"""
    nothing = bytes(math.prod(shape))
    data = b"".join(thumbnail or nothing for _, thumbnail in rows)
    pixels = np.frombuffer(data, np.uint8).reshape(-1, *shape)
    missing = np.array([thumbnail is None for _, thumbnail in rows])
    sums = coarse(pixels)
    kind = form.field("coarse").type
    # Lists of nulls instead of null lists: pyarrow before 26 can't read null lists of a fixed size.
    values = pa.array(sums.ravel().astype(kind.value_type.to_pandas_dtype()), mask=np.repeat(missing, kind.list_size))
    names = [name for name in FileFacts._fields if name in form.names]  # the columns of BOX come last
    found = pa.array([row[: len(names)] for row, _ in rows], pa.struct([form.field(name) for name in names]))
    known = {name: scan.column(name) for name in SCAN} | {
        "thumbnail": pa.Array.from_buffers(
            form.field("thumbnail").type, len(rows), [pa.array(~missing).buffers()[1], pa.py_buffer(data)]
        ),
        "coarse": pa.FixedSizeListArray.from_arrays(values, type=kind),
        "contrast": pa.array(contrast(pixels, sums), mask=missing),
        **dict(zip(names, found.flatten(), strict=True)),
    }
    known["bytes"] = pc.coalesce(known["bytes"], scan.column("bytes"))
    return pa.table([known[field.name] for field in form], schema=form)
