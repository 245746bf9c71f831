"""Sums of squared differences of bytes, in integers.

A float32 product of bytes - 128 is exact as long as every partial sum is an integer of at most 2²⁴: 1,024 products of
at most 128² reach just that. So a product of thumbnails is summed in chunks of 1,024 values, and the chunks in float64,
which is exact up to 2⁵³.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHUNK = 1_024
CENTRE = 128
GATHER = 32 << 20
"""Bytes of thumbnails that are gathered at a time."""

Bytes = NDArray[np.uint8]
Sums = NDArray[np.int64]


def cross(a: Bytes, b: Bytes) -> Sums:
    """Sums of squared differences of every row of a, uint8 (n, D), with every row of b, (m, D): int64 (n, m)."""
    squares = [np.zeros(len(rows)) for rows in (a, b)]
    products = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], CHUNK):
        left, right = (rows[:, start : start + CHUNK].astype(np.float32) - CENTRE for rows in (a, b))
        for total, rows in zip(squares, (left, right), strict=True):
            total += np.einsum("nd,nd->n", rows, rows)
        products += left @ right.T
    return (squares[0][:, None] + squares[1] - 2 * products).astype(np.int64)


def aligned(a: Bytes, b: Bytes) -> Sums:
    """Sums of squared differences of row i of a with row i of b, both uint8 (n, ...): int64 (n,)."""
    sums = np.empty(len(a), np.int64)
    size = int(np.prod(a.shape[1:], dtype=np.int64))
    step = max(1, GATHER // (8 * size))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        apart = a[rows].astype(np.int32).reshape(-1, size) - b[rows].reshape(-1, size)
        sums[rows] = np.multiply(apart, apart, out=apart).sum(axis=1, dtype=np.int64)
    return sums


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Thumbnails (n, H, W, C), each by `turn` quarter turns counter-clockwise."""
    return np.ascontiguousarray(np.rot90(thumbnails, turn, axes=(1, 2)))


def least(sums: Sums) -> tuple[Sums, NDArray[np.uint8]]:
    """Over the first axis of int64 (turns, ...): the least, and which turns attain it, as bits."""
    smallest = sums.min(axis=0)
    bits = np.zeros(smallest.shape, np.uint8)
    for turn, each in enumerate(sums):
        bits |= (each == smallest).astype(np.uint8) << turn
    return smallest, bits


def least_over_turns(a: Bytes, b: Bytes, turns: int) -> tuple[Sums, NDArray[np.uint8]]:
    """Row by row, the least sum of squares over the first `turns` quarter turns of b, and the turns that attain it.

    a and b are uint8 (n, H, W, C); with turns > 1 they must be square."""
    return least(np.stack([aligned(a, turned(b, turn)) for turn in range(turns)]))


def cross_over_turns(a: Bytes, b: Bytes, turns: int) -> tuple[Sums, NDArray[np.uint8]]:
    """The same for every row of a (n, H, W, C) with every row of b (m, H, W, C): int64 and uint8 (n, m)."""
    flat = a.reshape(len(a), -1)
    return least(np.stack([cross(flat, turned(b, turn).reshape(len(b), -1)) for turn in range(turns)]))
