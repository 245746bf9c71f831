"""The figures themselves: how far apart two images are, by each metric, always the same to the last bit.

A measure compares points - thumbnails, bits of hashes, embeddings - in two ways: `pairs` for candidates, one by one,
and `cross` for every row of a tile with every other. Both give the same, on every machine and however work was cut:

Squares   unsigned bytes, in integers. A product of bytes - 128 in float32 is exact as long as every partial sum is an
          integer of at most 2²⁴: 1,024 products of at most 128² reach just that. So products are summed in chunks of
          1,024 values, and the chunks in float64, which is exact up to 2⁵³. Where NumKong is installed its product of
          bytes is taken instead: exact in 32 bits up to 66,051 values, and several times as fast.
Floats    vectors of float32: differences, squares and sums in float64, each rounded, added in the order of the
          entries; nothing that a faster order would change.
Function  a user's function of an array of images and one image.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import CPU, Device

CHUNK = 1_024
CENTRE = 128
GATHERED = 32 << 20
"""Bytes of points that are gathered at a time."""
COMPILED = 20_000
"""Pairs from which it pays to load the compiled check: it takes half a second to load, and 0.3 µs a pair against 10."""
WIDEST = (2**32 - 1) // 255**2
"""Values whose product fits 32 bits."""
SMALL = 1 << 16
"""Pairs of a tile of floats: three arrays of that size stay in the cache."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Points = Any
"""One row an image: what a measure compares."""
Values = NDArray[Any]
"""int64 or float64: the distances."""


class Measure(Protocol):
    """How far apart images are."""

    @property
    def dense(self) -> float:
        """Share of candidates in a tile from which `cross` is cheaper than `pairs`."""
        ...

    @property
    def numbers(self) -> type:
        """np.int64 or np.float64."""
        ...

    def cross(self, a: Points, b: Points) -> Values:
        """Every row of a with every row of b: (n, m)."""
        ...

    def pairs(self, a: Points, b: Points, i: Ints, j: Ints, most: float) -> Values:
        """Rows a[i] with rows b[j]: (pairs,). What exceeds `most` may be given too small, but above `most`."""
        ...


class Squares:
    """Sums of squared differences of unsigned bytes, int64. Points are uint8, (n, ...)."""

    numbers: type = np.int64

    def __init__(self, device: Device = CPU) -> None:
        self._device = device

    @property
    def dense(self) -> float:
        """A pair checked by itself costs so many of a product; see tests/benchmarks/pairs.py."""
        return 0.05 if compiled() and fast_bytes() else 0.15 if compiled() else 0.007

    def cross(self, a: Bytes, b: Bytes) -> Ints:
        """See `Measure`."""
        a, b = (rows.reshape(len(rows), math.prod(rows.shape[1:])) for rows in (a, b))
        squares = [_squares(rows) for rows in (a, b)]
        return squares[0][:, None] + squares[1] - 2 * self._products(a, b)

    def _products(self, a: Bytes, b: Bytes) -> Ints:
        kong = fast_bytes() if not self._device.free and a.shape[1] <= WIDEST and len(a) and len(b) else None
        if kong is not None:
            a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
            products: Ints = np.asarray(kong.dots_packed(a, kong.dots_pack(b))).astype(np.int64)
            return products
        # Σ ab = Σ (a - c)(b - c) + c Σ a + c Σ b - c² D
        xp, total = self._device.xp, None
        for start in range(0, a.shape[1], CHUNK):
            left, right = (
                xp.astype(self._device.put(rows[:, start : start + CHUNK]), xp.float32) - CENTRE for rows in (a, b)
            )
            part = xp.astype(xp.matmul(left, right.T), xp.float64)
            total = part if total is None else total + part
        centred = np.asarray(self._device.get(total)).astype(np.int64)
        sums_a, sums_b = a.sum(axis=1, dtype=np.int64), b.sum(axis=1, dtype=np.int64)
        return centred + CENTRE * (sums_a[:, None] + sums_b) - CENTRE**2 * a.shape[1]

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: float) -> Ints:
        """See `Measure`."""
        a, b = (np.ascontiguousarray(rows).reshape(len(rows), -1) for rows in (a, b))
        if compiled() and (len(i) >= COMPILED or "stages.kernels.leaves" in sys.modules):
            from stages.kernels import leaves

            return leaves.sums(a, b, i, j, int(min(most, 2**62)))
        sums = np.empty(len(i), np.int64)
        step = max(1, GATHERED // (8 * a.shape[1]))
        for start in range(0, len(i), step):
            rows = slice(start, start + step)
            apart = a[i[rows]].astype(np.int32) - b[j[rows]]
            sums[rows] = np.multiply(apart, apart, out=apart).sum(axis=1, dtype=np.int64)
        return sums


def _squares(rows: Bytes) -> Ints:
    """Sum of squares of each row, int64 (n,): chunks of 256 values are exact in float32."""
    total = np.zeros(len(rows), np.int64)
    for start in range(0, rows.shape[1], 256):
        part = rows[:, start : start + 256].astype(np.float32)
        total += np.einsum("nd,nd->n", part, part).astype(np.int64)
    return total


class Floats:
    """Squared distances of vectors, float64, times `scale`. Points are float32, (n, d)."""

    numbers: type = np.float64
    dense = 0.5

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def cross(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> Values:
        """See `Measure`."""
        found = np.zeros((len(a), len(b)))
        rows = max(1, SMALL // max(1, len(b)))
        columns = b.T.astype(np.float64)
        for start in range(0, len(a), rows):
            total = found[start : start + rows]
            for left, right in zip(a[start : start + rows].T.astype(np.float64), columns, strict=True):
                apart = left[:, None] - right
                total += np.multiply(apart, apart, out=apart)
        return np.multiply(found, self._scale, out=found)

    def pairs(self, a: NDArray[np.float32], b: NDArray[np.float32], i: Ints, j: Ints, most: float) -> Values:
        """See `Measure`."""
        found = np.zeros(len(i))
        for start in range(0, len(i), SMALL):
            total = found[start : start + SMALL]
            left, right = (rows[at[start : start + SMALL]] for rows, at in ((a, i), (b, j)))
            for u, v in zip(left.T, right.T, strict=True):
                apart = u.astype(np.float64) - v
                total += np.multiply(apart, apart, out=apart)
        return np.multiply(found, self._scale, out=found)


class Function:
    """A user's function from images, uint8 (n, H, W, C), and one image (H, W, C), to n distances.

    Raises ValueError where it does not give n numbers, of 0 or more."""

    numbers: type = np.float64
    dense = 0.0

    def __init__(self, function: Callable[[Bytes, Bytes], Any]) -> None:
        self._function = function

    def _distances(self, images: Bytes, image: Bytes) -> Values:
        images.flags.writeable = image.flags.writeable = False
        given = np.asarray(self._function(images, image))
        if given.shape != (len(images),) or given.dtype.kind not in "iufb":
            raise ValueError(f"expected {len(images)} numbers, got an array {given.shape} of {given.dtype}")
        distances = given.astype(np.float64)
        if not (distances >= 0).all():
            raise ValueError("expected numbers of 0 or more, got a negative one or one that is no number")
        return distances

    def cross(self, a: Bytes, b: Bytes) -> Values:
        """See `Measure`."""
        return np.array([self._distances(np.array(b), image) for image in np.array(a)]).reshape(len(a), len(b))

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: float) -> Values:
        """See `Measure`."""
        found = np.empty(len(i))
        for row in np.unique(i):
            there = i == row
            found[there] = self._distances(b[j[there]], np.array(a[row]))
        return found


@functools.cache
def compiled() -> bool:
    """Whether there is numba for this Python."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def fast_bytes() -> Any:
    """NumKong, or None: an optional product of bytes."""
    try:
        import numkong
    except ImportError:
        return None
    return numkong


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Thumbnails (n, H, W, C), each by `turn` quarter turns counter-clockwise."""
    return np.ascontiguousarray(np.rot90(thumbnails, turn, axes=(1, 2)))


def least(values: Values) -> tuple[Values, NDArray[np.uint8]]:
    """Over the first axis of (turns, ...): the least, and which turns attain it, as bits."""
    smallest = values.min(axis=0)
    bits = np.zeros(smallest.shape, np.uint8)
    for turn, each in enumerate(values):
        bits |= (each == smallest).astype(np.uint8) << turn
    return smallest, bits
