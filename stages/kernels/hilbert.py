"""Hilbert's curve: an order of the cells of a square in which neighbours in line are neighbours in the square.

Every square of 2**n cells a side that lies at a multiple of its side is walked through in one go, so a run of k cells
lies in a few rows and a few columns, some root of k of each, whatever k is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def places(rows: Ints, columns: Ints) -> Ints:
    """Places of cells along the curve, int64 (n,), from 0; it begins in the corner (0, 0) and goes along the columns
    first at the largest scale.

    The square is the least with a power of two a side that holds all cells. After "Hilbert curve", Wikipedia: at each
    scale the quadrant gives two bits, and what is inside it is turned so that the curve enters where it left."""
    x, y = rows.astype(np.int64), columns.astype(np.int64)
    found = np.zeros(len(x), np.int64)
    side = 1 << int(max(x.max(initial=0), y.max(initial=0))).bit_length()
    while side > 1:
        side //= 2
        right, upper = (x & side) > 0, (y & side) > 0
        found += side * side * ((3 * right) ^ upper)
        x, y = x & (side - 1), y & (side - 1)
        mirrored = right & ~upper
        x, y = np.where(mirrored, side - 1 - x, x), np.where(mirrored, side - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
    return found
