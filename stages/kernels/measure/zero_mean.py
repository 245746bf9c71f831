"""Measure squared differences of thumbnails without the means of channels, exactly.

Let a and b be thumbnails of n pixels, and d = a - b in one channel. If the mean of the channel is subtracted in both
thumbnails, the differences become d - Σd/n, and their squares sum to Σd² - (Σd)²/n. `ZeroMeanSquares` returns n times
this number, an integer, summed over the channels:

    S = n D - E,   where D = Σ d² over all channels, and E = Σ over channels (Σa - Σb)².

S is never negative and at most n D. For thumbnails of up to 1,024 x 1,024 pixels and four channels, n D is at most
4 · 255² n², which is below 2⁵⁸. Therefore 64-bit integers hold every step.

**A metric.** Taking the mean out is the orthogonal projection P on the thumbnails whose channels sum to 0. So
√(S/n) = |Pa - Pb|, which obeys the triangle inequality, and S = 0 holds exactly if a and b differ by a constant in each
channel.

**Turns.** A turn or a mirror permutes the pixels of a channel and keeps their sum. So E is the same in every turn, and
the turns that attain the least S are the turns that attain the least D. If a turned copy of b differs from b by a
constant, the constant is 0, since the sums are equal. So two turned copies of one thumbnail have S = 0 in exactly the
turns in which the copies are identical.

**Limits.** S ≤ L holds exactly if D ≤ (L + E)/n, rounded down. Therefore `exact.Squares` measures D with a limit for
each pair, and measuring a pair beyond its limit ends early."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stages.kernels.arrays import CPU, Device
from stages.kernels.measure.exact import Bytes, Costs, Ints, Mask, Squares, TileMatches

HIGHEST = 2**62
"""A limit above every S, used in place of infinity."""
RESTORED = 2**51
"""An integer below this number can be restored after a division by an integer in float64: multiply, and round.

The division and the multiplication each round by at most 2⁻⁵³ of the number, together by less than 1/2."""


class ZeroMeanSquares:
    """Sums of squared differences without the means of channels, times the number of pixels, int64.

    Points are thumbnails, uint8 (n, H, W, C)."""

    numbers: type = np.int64

    def __init__(self, device: Device = CPU) -> None:
        self._squares = Squares(device)

    def costs(self, size: int) -> Costs:
        """Return the costs of comparing thumbnails of `size` bytes."""
        return self._squares.costs(size)

    def cross(self, a: Bytes, b: Bytes) -> Ints:
        """Return S of every row of a with every row of b, int64 (n, m)."""
        found = self._squares.cross(a, b)
        found *= _pixels(a)
        found -= _shifts(a, b)
        return found

    def near(self, lefts: Sequence[Bytes], rights: Sequence[Bytes], wanted: Mask, most: float) -> TileMatches:
        """Return the wanted pairs whose S is at most `most` in some turn."""
        pixels, shifts = _pixels(lefts[0]), _shifts(lefts[0], rights[0])
        limits = ((_whole(most) + shifts) // pixels).astype(np.float64)  # float64 is exact up to 2⁵³, above every D
        near = self._squares.near(lefts, rights, wanted, limits)
        return near._replace(values=near.values * pixels - shifts[near.i, near.j])

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints, most: float) -> Ints:
        """Return S of rows a[i] and b[j], int64 (pairs,); any number above `most` for a greater S."""
        pixels, shifts = _pixels(a), ((channel_sums(a)[i] - channel_sums(b)[j]) ** 2).sum(axis=1)
        found: Ints = self._squares.pairs(a, b, i, j, (_whole(most) + shifts) // pixels) * pixels - shifts
        return found


def measure_of(zero_mean: bool, device: Device = CPU) -> Squares | ZeroMeanSquares:
    """Return the measure of thumbnails; `zero_mean` first subtracts each channel's mean."""
    return ZeroMeanSquares(device) if zero_mean else Squares(device)


def divisor(shape: tuple[int, int, int], by_value: bool, zero_mean: bool) -> int:
    """Return the number by which a measured distance is divided to give a mean squared error.

    shape     height, width and channels of a thumbnail
    by_value  whether the mean is over values, not over pixels"""
    height, width, channels = shape
    return height * width * (channels if by_value else 1) * (height * width if zero_mean else 1)


def channel_sums(thumbnails: Bytes) -> Ints:
    """Return the sum of each channel of thumbnails, int64 (n, C).

    thumbnails  uint8 (n, H, W, C)"""
    count, height, width, channels = thumbnails.shape
    lines = np.ascontiguousarray(thumbnails).reshape(count, height, width * channels)
    columns = lines.sum(axis=1, dtype=np.uint32)  # summing long rows of memory first is four times as fast
    found: Ints = columns.reshape(count, width, channels).sum(axis=1, dtype=np.int64)
    return found


def _pixels(thumbnails: Bytes) -> int:
    return math.prod(thumbnails.shape[1:3])


def _shifts(a: Bytes, b: Bytes) -> Ints:
    """Return E for every row of a and every row of b, int64 (n, m); see the module's formula."""
    found = np.zeros((len(a), len(b)), np.int64)
    for left, right in zip(channel_sums(a).T, channel_sums(b).T, strict=True):
        apart = left[:, None] - right
        found += np.multiply(apart, apart, out=apart)
    return found


def _whole(most: float) -> int:
    """Return the greatest integer that is at most the limit."""
    return math.floor(min(most, HIGHEST))
