"""Order the cells of a square along Hilbert's curve.

Cells that are near each other along the curve are near each other in the square. The curve visits all cells of an
aligned square of 2**n by 2**n cells one after the other, so k consecutive cells lie in O(√k) rows and O(√k) columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def places(rows: Ints, columns: Ints) -> Ints:
    """Return the position of each cell along the curve, int64 (n,), counted from 0.

    The curve begins in the corner (0, 0), and goes along the columns first at the largest scale. The curve fills the
    smallest square that holds all cells and has a power of two of cells per side.

    Source: "Hilbert curve", Wikipedia. At each scale the quadrant gives two bits; the inside of the quadrant is then
    reflected so that the curve enters the quadrant where the curve left the previous quadrant."""
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
