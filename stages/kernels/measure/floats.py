"""Measure distances in float64: of vectors, and by a user's function.

Differences, squares and sums of vectors are computed in float64 and rounded one by one, in the order of the entries. No
faster order of additions is used, so every machine returns the same distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import native_for
from stages.kernels.measure.exact import COMPILED, Bytes, Costs, Ints, Mask, Points, TileMatches, Values
from stages.kernels.measure.turns import least

SMALL = 1 << 16
"""Number of values that are computed together: few enough that three arrays of float64 stay in the cache."""


def _nearest(distances: Values, wanted: Mask, most: float) -> TileMatches:
    """Return the wanted pairs whose least distance over turns is at most `most`.

    distances  float64 (turns, n, m)"""
    smallest, bits = least(distances)
    places = np.flatnonzero(wanted & (smallest <= most))
    return TileMatches(*np.divmod(places, wanted.shape[1]), smallest.ravel()[places], bits.ravel()[places])


def squared_lengths(rows: NDArray[np.floating]) -> Values:
    """Return the sum of squares of each row, float64 (n,), added in the entries' order.

    rows  (n, d), d at least 1"""
    found = np.empty(len(rows))
    step = max(1, SMALL // rows.shape[1])
    for start in range(0, len(rows), step):
        squares = rows[start : start + step].astype(np.float64)
        np.multiply(squares, squares, out=squares)
        found[start : start + step] = np.cumsum(squares, axis=1, out=squares)[:, -1]
    return found


class FloatSquares:
    """Squared distances of vectors, float64, times `scale`; points are float32 (n, d)."""

    numbers: type = np.float64

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def costs(self, size: int) -> Costs:
        """Return the costs of comparing vectors of `size` bytes, measured with 512 entries."""
        return Costs(12 * size, 30 * size, 30 * size)

    def near(self, lefts: Sequence[Points], rights: Sequence[Points], wanted: Mask, most: float) -> TileMatches:
        """Return the wanted pairs whose distance is at most `most` in some turn."""
        return _nearest(np.stack([self.cross(a, b) for a, b in zip(lefts, rights, strict=True)]), wanted, most)

    def cross(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> Values:
        """Return the distance of every row of a from every row of b, float64 (n, m)."""
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
        """Return the distances of rows a[i] from rows b[j], float64 (pairs,)."""
        native = native_for("squares", len(i), COMPILED)
        if native is not None:
            a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
            distances: Values = native.squares(a, b, i, j, self._scale, most)
            return distances
        found = np.empty(len(i))
        step = max(1, SMALL // a.shape[1])
        for start in range(0, len(i), step):
            some = slice(start, start + step)
            found[some] = squared_lengths(a[i[some]].astype(np.float64) - b[j[some]])
        return np.multiply(found, self._scale, out=found)


class UserFunction:
    """Distances by a user's function, which maps n images and one image to n distances.

    The images are uint8 (n, H, W, C), the one image is uint8 (H, W, C).

    Raises:
        ValueError: the function does not return n numbers of 0 or more."""

    numbers: type = np.float64

    def __init__(self, function: Callable[[Bytes, Bytes], Any]) -> None:
        self._function = function

    def costs(self, size: int) -> Costs:
        """Return equal costs: a user's function may cost the same per pair in any call."""
        return Costs(1, 1, 1)

    def near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: float) -> TileMatches:
        """Return the wanted pairs whose distance is at most `most` in some turn."""
        return _nearest(np.stack([self.cross(a, b) for a, b in zip(lefts, rights, strict=True)]), wanted, most)

    def _distances(self, images: Bytes, image: Bytes) -> Values:
        images.flags.writeable = image.flags.writeable = False
        given = np.asarray(self._function(images, image))
        if given.shape != (len(images),) or given.dtype.kind not in "iufb":
            raise ValueError(f"expected {len(images)} numbers, got an array {given.shape} of {given.dtype}")
        distances = given.astype(np.float64)
        if not (distances >= 0).all():
            raise ValueError("expected numbers of 0 or more, got a negative number or NaN")
        return distances

    def cross(self, a: Bytes, b: Bytes) -> Values:
        """Return the distance of every row of a from every row of b, float64 (n, m)."""
        return np.array([self._distances(np.array(b), image) for image in np.array(a)]).reshape(len(a), len(b))

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: float) -> Values:
        """Return the distances of rows a[i] from rows b[j], float64 (pairs,)."""
        found = np.empty(len(i))
        for row in np.unique(i):
            there = i == row
            found[there] = self._distances(b[j[there]], np.array(a[row]))
        return found
