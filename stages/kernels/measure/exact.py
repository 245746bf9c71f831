"""Measure the distance of two images, with the same exact result on every machine.

A measure compares points (thumbnails, bits of hashes, vectors) in two ways: `pairs` for single candidates, and
`cross` for every row of a tile with every other row. Both give the same distance, however the work is cut into tiles.

`Squares` compares unsigned bytes in integers. A float32 product of bytes - 128 is exact as long as every partial sum
is an integer of at most 2²⁴, and 1,024 products of at most 128² sum to just 2²⁴. Products are therefore summed in
chunks of 1,024 values, and the chunks in float64, which is exact up to 2⁵³. If NumKong is installed, NumKong's product
of bytes is used instead: exact in 32 bits up to 66,051 values, and several times as fast. `floats.py` holds the other
measures."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import CPU, Device, compiled, native_for
from stages.kernels.measure.turns import least

CHUNK = 1_024
CENTRE = 128
GATHERED = 32 << 20
"""Bytes of points that are gathered together."""
COMPILED = 20_000
"""Pairs above which the compiled loop saves time: loading takes 0.5 s, and then a pair takes 0.3 µs instead of 10."""
WIDEST = (2**32 - 1) // 255**2
"""Greatest number of byte values whose sum of squares fits in 32 bits."""
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Points = Any
"""The input of a measure: an array with one row per image."""
Values = NDArray[Any]
"""Distances, int64 or float64."""
Most: TypeAlias = "float | NDArray[Any]"
"""The greatest distance of a match: one for all pairs, or one for each pair."""


class Costs(NamedTuple):
    """Costs of comparing a pair in one turn.

    The unit is one column of a float32 product, about 0.02 ns on one core.

    product  a pair in the product of a whole tile
    apart    a pair that is measured alone and is not a match
    alike    a pair that is measured alone and is a match"""

    product: float
    apart: float
    alike: float


class TileMatches(NamedTuple):
    """Matches of a tile, sorted.

    i, j    rows on either side, int64 (n,)
    values  the least distance over the turns
    turns   the places of the turns that attain the least distance, as bits"""

    i: Ints
    j: Ints
    values: Values
    turns: NDArray[np.uint8]


class Measure(Protocol):
    """Interface of measures, which compute the distance of two images."""

    @property
    def numbers(self) -> type:
        """Return the type of a distance: np.int64 or np.float64."""
        ...

    def costs(self, size: int) -> Costs:
        """Return the costs of comparing images of `size` bytes."""
        ...

    def cross(self, a: Points, b: Points) -> Values:
        """Return the distance of every row of a from every row of b, (n, m)."""
        ...

    def near(self, lefts: Sequence[Points], rights: Sequence[Points], wanted: Mask, most: float) -> TileMatches:
        """Return the wanted pairs that are at most `most` apart in some turn.

        lefts, rights  the points of the same images in each turn
        wanted         pairs to consider, bool (n, m)"""
        ...

    def pairs(self, a: Points, b: Points, i: Ints, j: Ints, most: float) -> Values:
        """Return the distances of rows a[i] from rows b[j], (pairs,).

        A distance above `most` may be returned too small, but never as `most` or less."""
        ...


class Squares:
    """Sums of squared differences of unsigned bytes, int64. Points are uint8, (n, …).

    Unlike in `Measure`, `most` may be an array with a limit for each pair: (n, m) in `near`, (pairs,) in `pairs`."""

    numbers: type = np.int64

    def __init__(self, device: Device = CPU) -> None:
        self._device = device

    def costs(self, size: int) -> Costs:
        """Return the costs of comparing images of `size` bytes.

        The costs were measured at 12,288 bytes, with BLAS, with NumKong, and on an H100 including transfers."""
        product = size * (0.03 if self._device.free else 0.1 if self._kong(size) else 1.05)
        if not compiled():
            return Costs(product, 2_000 + 43 * size, 2_000 + 43 * size)
        alike = 1_000 + 3.3 * size
        return Costs(product, min(alike, 7_500), alike)

    def cross(self, a: Bytes, b: Bytes) -> Ints:
        """Return the distance of every row of a from every row of b, int64 (n, m)."""
        kong = self._kong(math.prod(a.shape[1:]))
        if kong is None or not len(a) or not len(b):
            return np.asarray(self._device.get(self._chunked(a, b))).astype(np.int64)
        return _products(kong, a, _packed(kong, b)).astype(np.int64)

    def near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: Most) -> TileMatches:
        """Return the wanted pairs whose distance is at most `most` in some turn."""
        kong = self._kong(math.prod(lefts[0].shape[1:]))
        if kong is None or not wanted.size:
            return self._near(lefts, rights, wanted, most)
        packed = {id(right): right for right in rights}
        packs = {key: _packed(kong, right) for key, right in packed.items()}
        sums = [_products(kong, left, packs[id(right)]) for left, right in zip(lefts, rights, strict=True)]
        smallest = functools.reduce(np.minimum, sums)
        highest = WIDEST * 255**2
        most = np.minimum(most, highest) if isinstance(most, np.ndarray) else min(most, highest)
        places = np.flatnonzero(wanted & (smallest <= most))
        values, bits = least(np.stack([each.ravel()[places] for each in sums]))
        return TileMatches(*np.divmod(places, wanted.shape[1]), values.astype(np.int64), bits)

    def _kong(self, size: int) -> Any:
        """Return NumKong if installed and fit for images of `size` bytes, else None."""
        return fast_bytes() if not self._device.free and size <= WIDEST else None

    def _near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: Most) -> TileMatches:
        """Return the wanted pairs within `most`, found on the device and copied back once."""
        xp, device = self._device.xp, self._device
        sums = [self._chunked(left, right) for left, right in zip(lefts, rights, strict=True)]
        smallest = functools.reduce(xp.minimum, sums)
        limit = device.put(most) if isinstance(most, np.ndarray) else most
        i, j = xp.nonzero(xp.logical_and(device.put(wanted), smallest <= limit))
        places = i * wanted.shape[1] + j
        values = xp.take(xp.reshape(smallest, (-1,)), places)
        bits = xp.zeros(values.shape, dtype=xp.float64)
        for turn, each in enumerate(sums):
            attained = xp.take(xp.reshape(each, (-1,)), places) == values
            bits = bits + xp.astype(attained, xp.float64) * (1 << turn)
        found = np.asarray(device.get(xp.stack([xp.astype(i, xp.float64), xp.astype(j, xp.float64), values, bits])))
        i, j, values = found[:3].astype(np.int64)
        return TileMatches(i, j, values, found[3].astype(np.uint8))

    def _chunked(self, a: Bytes, b: Bytes) -> Any:
        """Return sums of squared differences, float64 (n, m) on the device.

        The last sum is a matrix product in float32, which is exact for a chunk of CHUNK values:

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

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: Most) -> Ints:
        """Return the distances of rows a[i] from rows b[j], int64 (pairs,)."""
        a, b = (np.ascontiguousarray(rows).reshape(len(rows), -1) for rows in (a, b))
        native = native_for("sums", len(i), COMPILED)
        if native is not None:
            found: Ints = native.sums(a, b, i, j, np.minimum(most, 2**62))
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
    """Return the right side of a product, and the sums of its squares."""
    flat = _flat(b)
    return kong.dots_pack(flat), _lengths(kong, flat)


def _lengths(kong: Any, flat: Bytes) -> NDArray[np.uint32]:
    return np.asarray(kong.dot(flat, flat)).reshape(len(flat)).astype(np.uint32)


def _products(kong: Any, a: Bytes, packed: tuple[Any, NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Return sums of squared differences, uint32 (n, m).

    Intermediate results are computed modulo 2³². The sums are below 2³², so the sums are correct."""
    flat = _flat(a)
    sums = np.add.outer(_lengths(kong, flat), packed[1])
    products = np.array(kong.dots_packed(flat, packed[0]), np.uint32)
    products *= np.uint32(2)
    sums -= products
    return sums


@functools.cache
def fast_bytes() -> Any:
    """Return the optional library NumKong, or None."""
    try:
        import numkong
    except ImportError:
        return None
    return numkong
