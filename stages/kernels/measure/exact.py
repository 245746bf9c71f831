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
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import CPU, Device, compiled, loops

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
Mask = NDArray[np.bool_]
Points = Any
"""One row an image: what a measure compares."""
Values = NDArray[Any]
"""int64 or float64: the distances."""


class Costs(NamedTuple):
    """What comparing a pair in one turn costs, in columns of a float32 product: some 0.02 ns each on one core.

    product  with all the others of a tile
    apart    by itself, where it turns out to be no match
    alike    by itself, where it is one
    """

    product: float
    apart: float
    alike: float


class Near(NamedTuple):
    """Pairs of a tile: rows i and j, int64 (n,), sorted; the least figure, and the turns that attain it, as bits."""

    i: Ints
    j: Ints
    values: Values
    turns: NDArray[np.uint8]


class Measure(Protocol):
    """How far apart images are."""

    @property
    def numbers(self) -> type:
        """np.int64 or np.float64."""
        ...

    def costs(self, size: int) -> Costs:
        """For images of so many bytes."""
        ...

    def cross(self, a: Points, b: Points) -> Values:
        """Every row of a with every row of b: (n, m)."""
        ...

    def near(self, lefts: Sequence[Points], rights: Sequence[Points], wanted: Mask, most: float) -> Near:
        """Every row of the lefts with every row of the rights, the same images in each turn, bool (n, m) of them: those
        that are at most `most` apart in some turn."""
        ...

    def pairs(self, a: Points, b: Points, i: Ints, j: Ints, most: float) -> Values:
        """Rows a[i] with rows b[j]: (pairs,). What exceeds `most` may be given too small, but above `most`."""
        ...


def _nearest(figures: Values, wanted: Mask, most: float) -> Near:
    """Of figures (turns, n, m)."""
    smallest, bits = least(figures)
    places = np.flatnonzero(wanted & (smallest <= most))
    return Near(*np.divmod(places, wanted.shape[1]), smallest.ravel()[places], bits.ravel()[places])


class Squares:
    """Sums of squared differences of unsigned bytes, int64. Points are uint8, (n, ...)."""

    numbers: type = np.int64

    def __init__(self, device: Device = CPU) -> None:
        self._device = device

    def costs(self, size: int) -> Costs:
        """See `Measure`; measured at 12,288 bytes, with BLAS, NumKong, and an H100 that images are moved to."""
        product = size * (0.03 if self._device.free else 0.1 if self._kong(size) else 1.05)
        if not compiled():
            return Costs(product, 2_000 + 43 * size, 2_000 + 43 * size)
        alike = 1_000 + 3.3 * size
        return Costs(product, min(alike, 7_500), alike)

    def cross(self, a: Bytes, b: Bytes) -> Ints:
        """See `Measure`."""
        kong = self._kong(math.prod(a.shape[1:]))
        if kong is None or not len(a) or not len(b):
            return np.asarray(self._device.get(self._chunked(a, b))).astype(np.int64)
        return _products(kong, a, _packed(kong, b)).astype(np.int64)

    def near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: float) -> Near:
        """See `Measure`."""
        kong = self._kong(math.prod(lefts[0].shape[1:]))
        if kong is None or not wanted.size:
            return self._near(lefts, rights, wanted, most)
        packed = {id(right): right for right in rights}
        packs = {key: _packed(kong, right) for key, right in packed.items()}
        sums = [_products(kong, left, packs[id(right)]) for left, right in zip(lefts, rights, strict=True)]
        smallest = functools.reduce(np.minimum, sums)
        places = np.flatnonzero(wanted & (smallest <= min(most, WIDEST * 255**2)))
        values, bits = least(np.stack([each.ravel()[places] for each in sums]))
        return Near(*np.divmod(places, wanted.shape[1]), values.astype(np.int64), bits)

    def _kong(self, size: int) -> Any:
        """NumKong, where it is there and can do it."""
        return fast_bytes() if not self._device.free and size <= WIDEST else None

    def _near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: float) -> Near:
        """The same where arrays lie on the device; what is found comes back in one copy."""
        xp, device = self._device.xp, self._device
        sums = [self._chunked(left, right) for left, right in zip(lefts, rights, strict=True)]
        smallest = functools.reduce(xp.minimum, sums)
        i, j = xp.nonzero(xp.logical_and(device.put(wanted), smallest <= most))
        places = i * wanted.shape[1] + j
        values = xp.take(xp.reshape(smallest, (-1,)), places)
        bits = xp.zeros(values.shape, dtype=xp.float64)
        for turn, each in enumerate(sums):
            attained = xp.take(xp.reshape(each, (-1,)), places) == values
            bits = bits + xp.astype(attained, xp.float64) * (1 << turn)
        found = np.asarray(device.get(xp.stack([xp.astype(i, xp.float64), xp.astype(j, xp.float64), values, bits])))
        i, j, values = found[:3].astype(np.int64)
        return Near(i, j, values, found[3].astype(np.uint8))

    def _chunked(self, a: Bytes, b: Bytes) -> Any:
        """Sums of squared differences, float64 (n, m) on the device, by products of float32 that are exact.

        Σ (a - b)² = Σ (a - c)² + Σ (b - c)² - 2 Σ (a - c)(b - c)"""
        xp = self._device.xp
        rows, columns = self._device.put(_flat(a)), self._device.put(_flat(b))
        total = xp.zeros((len(a), len(b)), dtype=xp.float64)
        squares = [xp.zeros((len(side),), dtype=xp.float64) for side in (a, b)]
        width = math.prod(a.shape[1:])
        for start in range(0, width, CHUNK):
            part, chunks = slice(start, min(start + CHUNK, width)), []
            for number, side in enumerate((rows, columns)):
                chunk = xp.astype(side[:, part], xp.float32)
                chunk -= CENTRE
                chunks.append(chunk)
                squares[number] += xp.astype(xp.sum(chunk * chunk, axis=1), xp.float64)
            total -= xp.astype(xp.matmul(chunks[0], chunks[1].T), xp.float64)
        total *= 2
        total += squares[0][:, None]
        total += squares[1][None, :]
        return total

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: float) -> Ints:
        """See `Measure`."""
        a, b = (np.ascontiguousarray(rows).reshape(len(rows), -1) for rows in (a, b))
        native = loops(len(i) >= COMPILED)
        if native is not None:
            found: Ints = native.sums(a, b, i, j, int(min(most, 2**62)))
            return found
        sums = np.empty(len(i), np.int64)
        step = max(1, GATHERED // (8 * a.shape[1]))
        for start in range(0, len(i), step):
            rows = slice(start, start + step)
            apart = a[i[rows]].astype(np.int32) - b[j[rows]]
            sums[rows] = np.multiply(apart, apart, out=apart).sum(axis=1, dtype=np.int64)
        return sums


def _flat(rows: Bytes) -> Bytes:
    return np.ascontiguousarray(rows).reshape(len(rows), math.prod(rows.shape[1:]))


def _packed(kong: Any, b: Bytes) -> tuple[Any, NDArray[np.uint32]]:
    """The right side of a product, and the sums of its squares."""
    flat = _flat(b)
    return kong.dots_pack(flat), _lengths(kong, flat)


def _lengths(kong: Any, flat: Bytes) -> NDArray[np.uint32]:
    return np.asarray(kong.dot(flat, flat)).reshape(len(flat)).astype(np.uint32)


def _products(kong: Any, a: Bytes, packed: tuple[Any, NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Sums of squared differences. Some steps exceed 32 bits and wrap round; the result does not, so it is right."""
    flat = _flat(a)
    sums = np.add.outer(_lengths(kong, flat), packed[1])
    products = np.array(kong.dots_packed(flat, packed[0]), np.uint32)
    products *= np.uint32(2)
    sums -= products
    return sums


class Floats:
    """Squared distances of vectors, float64, times `scale`. Points are float32, (n, d)."""

    numbers: type = np.float64

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def costs(self, size: int) -> Costs:
        """See `Measure`; measured at 512 numbers."""
        return Costs(12 * size, 30 * size, 30 * size)

    def near(self, lefts: Sequence[Points], rights: Sequence[Points], wanted: Mask, most: float) -> Near:
        """See `Measure`."""
        return _nearest(np.stack([self.cross(a, b) for a, b in zip(lefts, rights, strict=True)]), wanted, most)

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

    def __init__(self, function: Callable[[Bytes, Bytes], Any]) -> None:
        self._function = function

    def costs(self, size: int) -> Costs:
        """See `Measure`: a call with many images costs as much as they do one by one."""
        return Costs(1, 1, 1)

    def near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: float) -> Near:
        """See `Measure`."""
        return _nearest(np.stack([self.cross(a, b) for a, b in zip(lefts, rights, strict=True)]), wanted, most)

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
def fast_bytes() -> Any:
    """NumKong, or None: an optional product of bytes."""
    try:
        import numkong
    except ImportError:
        return None
    return numkong


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Thumbnails (n, H, W, C), each by `turn` quarter turns counter-clockwise."""
    pixels = np.ascontiguousarray(thumbnails).view(f"V{thumbnails.shape[3]}")[..., 0]  # moved whole: half the time
    found: Bytes = np.ascontiguousarray(np.rot90(pixels, turn, axes=(1, 2)))[..., None].view(np.uint8)
    return found


def least(values: Values) -> tuple[Values, NDArray[np.uint8]]:
    """Over the first axis of (turns, ...): the least, and which turns attain it, as bits."""
    if len(values) == 1:
        return values[0], np.ones(values.shape[1:], np.uint8)
    smallest = values.min(axis=0)
    bits = np.zeros(smallest.shape, np.uint8)
    for turn, each in enumerate(values):
        bits |= (each == smallest).astype(np.uint8) << turn
    return smallest, bits
