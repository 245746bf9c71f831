"""Read thumbnails of single images, with a cache per process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from cachetools import LRUCache
from numpy.typing import NDArray

from pipeline.stage import Job, Settings, SingleRows
from stages.decoding.options import DecodeOptions, Limits
from stages.kernels.bounds.coarse import fits_int32, length
from stages.kernels.measure.identity import digest

BOUNDS = ("thumbnail.max_memory", "thumbnail.timeout")
"""Settings that `limits` reads, in addition to `thumbnail.plugins`."""
CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}
MODES = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}
PIXELS = tuple(f"thumbnail.{key}" for key in ("decode", "background", "orientation", "colour", "truncated", "plugins"))
"""Settings that `decode_again` and `limits` read and that change pixels."""
CACHE = 64 << 20
"""Bytes of cached thumbnails in each process."""
READERS = 1 << 14
"""Number of cached readers in each process, each of some hundred bytes."""

FEW = 32
"""If at most 1/FEW of the images of a partition are needed, only these images are read, not the whole partition."""

Bytes = NDArray[np.uint8]


_cached: LRUCache[str, Bytes] = LRUCache(CACHE, getsizeof=lambda thumbnails: min(thumbnails.nbytes, CACHE))
"""Thumbnails by the digest of the partition's column; a partition that exceeds the cache is kept alone."""
_readers: LRUCache[str, SingleRows] = LRUCache(READERS)
"""Readers of single thumbnails by the digest of the partition's column."""
_lock = threading.Lock()


def thumbnail_shape(settings: Settings) -> tuple[int, int, int]:
    """Return the height, width and channels of a thumbnail."""
    width, height = settings("thumbnail.size")
    return height, width, CHANNELS[settings("thumbnail.channels")]


def limits(settings: Settings) -> Limits:
    """Return the memory, time and plugins of decoding processes."""
    memory, seconds = map(settings, BOUNDS)
    return Limits(int(memory), float(seconds), tuple(settings("thumbnail.plugins")))


def decode_again(settings: Settings, size: tuple[int, int], channels: str) -> DecodeOptions:
    """Return the options to decode readable images again, at another size (width, height).

    A file counts as unchanged if its digest is the same. The numbers of bytes and pixels are not limited, since the
    thumbnail stage has checked the limits."""
    from PIL import ImageColor

    red, green, blue, *_ = ImageColor.getrgb(settings("thumbnail.background"))
    return DecodeOptions(
        size,
        MODES[channels],
        settings("thumbnail.decode") == "fast",
        (red, green, blue),
        settings("thumbnail.orientation") == "exif",
        max_bytes=1 << 40,
        max_pixels=1 << 40,
        trust="bytes",
        srgb=settings("thumbnail.colour") == "srgb",
        salvage=settings("thumbnail.truncated") == "accept",
    )


def coarse_type(shape: tuple[int, int, int]) -> pa.DataType:
    """Return the type of the column of coarse sums; see `stages/kernels/bounds/coarse.py`."""
    return pa.list_(pa.int32() if fits_int32(shape) else pa.int64(), length(shape))


def pixels(column: pa.ChunkedArray | pa.Array, shape: tuple[int, int, int]) -> Bytes:
    """Return a column of thumbnails, fixed-size binary (n,), as uint8 (n, H, W, C).

    The values of rows without a thumbnail are undefined."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    width = whole.type.byte_width
    buffer = np.frombuffer(whole.buffers()[1], np.uint8) if len(whole) else np.empty(0, np.uint8)
    start = whole.offset * width
    return buffer[start : start + len(whole) * width].reshape(-1, *shape)


class BlockThumbnails:
    """A function from positions of images in one block to the images' thumbnails.

    A call returns thumbnails, uint8 (k, H, W, C), and for each position the row of its thumbnail, int64. If few images
    of a partition are needed, only the rows of these images, or the row groups with these rows, are read.

    parts      key of each partition, and digest of the partition's thumbnail column
    partition  number of the partition of each image, int32 (n,)
    row        row of each image in its partition, int32 (n,)
    identity   digest of each thumbnail"""

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
        """Return the thumbnails of some images of one partition."""
        (key, digest), rows = self._parts[partition], self._row[positions]
        with _lock:
            kept, reader = _cached.get(digest), _readers.get(digest)
        if kept is not None:
            return kept[rows]
        artifact = None if reader else self._job.find("thumbnail", key, "thumbnail", digest)
        if artifact and (reader := artifact.fixed_rows("thumbnail")):
            with _lock:
                _readers[digest] = reader
        if reader and len(rows) <= len(reader) // FEW:
            found = reader.read(rows.tolist())
            if found is not None and self._have_digests(found, positions):
                return found.reshape(-1, *self._shape)
        artifact = artifact or self._job.find("thumbnail", key, "thumbnail", digest)
        if len(rows) <= artifact.rows // FEW:
            return pixels(artifact.take(["thumbnail"], rows.tolist())["thumbnail"], self._shape)
        kept = pixels(artifact.table(["thumbnail"])["thumbnail"], self._shape)
        with _lock:
            _cached[digest] = kept
        return kept[rows]

    def _have_digests(self, found: Bytes, positions: NDArray[np.int64]) -> bool:
        """Return whether thumbnails have the digests that the hash stage recorded."""
        expected = self._identity.take(pa.array(positions)).to_pylist()
        return bool([digest(row) for row in found] == expected)
