"""Measure the largest distance between the members of a cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.kernels.measure.exact import Measure
from stages.kernels.measure.turns import COMPARED, turned

TILE = 256
"""Images per side of a tile."""

Bytes = NDArray[np.uint8]


def distinct(images: Bytes) -> Bytes:
    """Return each different image once, in order of first appearance, uint8 (m, H, W, C).

    The function uses a dictionary of bytes, since `np.unique` over rows makes a record with one field for each byte
    of an image."""
    last = len(images) - 1
    first = {image.tobytes(): last - number for number, image in enumerate(images[::-1])}
    return images[np.sort(np.fromiter(first.values(), np.int64, len(first)))]


def farthest(images: Bytes, turns: int, measure: Measure) -> int:
    """Return the largest distance of two images, each the least over COMPARED[turns].

    images   uint8 (n, H, W, C)
    measure  `exact.Squares` or `zero_mean.ZeroMeanSquares`

    A distance is a sum of squares. Turning both images keeps this sum, so √distance obeys the triangle inequality: with
    the first image f, √distance(a, b) ≤ √distance(f, a) + √distance(f, b). Pairs whose bound is below the largest
    distance so far are not compared."""
    if len(images) < 2:
        return 0

    def least(a: Bytes, b: Bytes) -> NDArray[np.int64]:
        least: NDArray[np.int64] = np.minimum.reduce([measure.cross(a, turned(b, turn)) for turn in COMPARED[turns]])
        return least

    starts = range(0, len(images), TILE)
    from_first = np.concatenate([least(images[:1], images[start : start + TILE])[0] for start in starts])
    order = np.argsort(-from_first, kind="stable")
    images, roots = images[order], np.sqrt(from_first[order])
    most = int(from_first.max())
    for start in starts:
        for other in range(start, len(images), TILE):
            if (roots[start] + roots[other]) ** 2 * (1 + 1e-9) < most:
                break
            most = max(most, int(least(images[start : start + TILE], images[other : other + TILE]).max()))
    return most
