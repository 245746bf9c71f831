"""Read thumbnails of single images out of the partitions that hold them, with a cache per process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Job, Settings
from stages.comparing.kept import Kept
from stages.decoding.child import Limits
from stages.kernels.bounds.coarse import fits_int32, length

BOUNDS = ("thumbnail.max_memory", "thumbnail.timeout")
"""Settings that `limits` reads, beside `thumbnail.plugins`."""
CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}
CACHE = 64 << 20
"""Bytes of thumbnails that a process keeps: those of the partitions used last."""

FEW = 32
"""A partition of which at most one image in so many is wanted is not read whole."""

Bytes = NDArray[np.uint8]


_kept: Kept[Bytes] = Kept(CACHE, least=1)
"""Thumbnails of partitions by the digest of their column."""


def thumbnail_shape(settings: Settings) -> tuple[int, int, int]:
    """Height, width and channels of a thumbnail."""
    width, height = settings("thumbnail.size")
    return height, width, CHANNELS[settings("thumbnail.channels")]


def limits(settings: Settings) -> Limits:
    """Return the memory, time and plugins of decoding processes, for any stage."""
    memory, seconds = map(settings, BOUNDS)
    return Limits(int(memory), float(seconds), tuple(settings("thumbnail.plugins")))


def coarse_type(shape: tuple[int, int, int]) -> pa.DataType:
    """The column of coarse sums of thumbnails of this shape; see `stages/kernels/bounds/coarse.py`."""
    return pa.list_(pa.int32() if fits_int32(shape) else pa.int64(), length(shape))


def pixels(column: pa.ChunkedArray | pa.Array, shape: tuple[int, int, int]) -> Bytes:
    """A column of thumbnails, fixed-size binary (n,), as uint8 (n, H, W, C); rows without one are undefined."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    width = whole.type.byte_width
    buffer = np.frombuffer(whole.buffers()[1], np.uint8) if len(whole) else np.empty(0, np.uint8)
    start = whole.offset * width
    return buffer[start : start + len(whole) * width].reshape(-1, *shape)


class BlockThumbnails:
    """Thumbnails of the images of one block: `(positions)` gives uint8 (n, H, W, C), and which of them are theirs.

    `parts` names partitions and the digests of their thumbnail columns; image i is row `row[i]` of part
    `partition[i]`, and `identity[i]` is the SHA-256 of its thumbnail. Where few images of a partition are asked for,
    only these are read, or their row groups."""

    def __init__(
        self,
        job: Job,
        shape: tuple[int, int, int],
        parts: Sequence[Sequence[str]],
        partition: NDArray[np.int32],
        row: NDArray[np.int32],
        identity: pa.ChunkedArray,
    ) -> None:
        self._job, self._shape, self._parts = job, shape, parts
        self._partition, self._row, self._identity = partition, row, identity

    def __call__(self, positions: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.int64]]:
        out = np.empty((len(positions), *self._shape), np.uint8)
        partition = self._partition[positions]
        for number in np.unique(partition):
            there = partition == number
            out[there] = self._of(int(number), positions[there])
        return out, np.arange(len(out))

    def _of(self, partition: int, positions: NDArray[np.int64]) -> Bytes:
        """Those of some images of a partition."""
        (key, digest), rows = self._parts[partition], self._row[positions]
        kept = _kept.get(digest)
        if kept is None:
            artifact = self._job.find("thumbnail", key, "thumbnail", digest)
            if len(rows) <= artifact.rows // FEW:
                found = artifact.read_rows_unverified("thumbnail", rows.tolist())
                if found is not None and self._right(found, positions):
                    return found.reshape(-1, *self._shape)
                return pixels(artifact.take(["thumbnail"], rows.tolist())["thumbnail"], self._shape)
            kept = pixels(artifact.table(["thumbnail"])["thumbnail"], self._shape)
            _kept.put(digest, kept, kept.nbytes)
        return kept[rows]

    def _right(self, found: Bytes, positions: NDArray[np.int64]) -> bool:
        """Whether they are the thumbnails that the hash stage has seen."""
        expected = self._identity.take(pa.array(positions)).to_pylist()
        return [hashlib.sha256(row).hexdigest() for row in found] == expected
