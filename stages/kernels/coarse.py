"""Lower bounds of distances from coarse sums, and the product that tests a whole tile against them.

**The bound.** Cut a thumbnail into g x g cells of m pixels each, per channel. Let s be the sum of a cell's values and
q the sum of their squares; then σ² = q - s²/m is what is left within the cell after its mean is taken out. For two
images a and b the values of a cell are two vectors of m numbers. Split each into its mean part, s/√m along the
direction of (1, ..., 1)/√m, and the rest, of length σ, at a right angle to it. By Pythagoras, and since two vectors of
lengths σ_a and σ_b are at least |σ_a - σ_b| apart,

    Σ (a - b)²  ≥  (s_a - s_b)²/m + (σ_a - σ_b)².

Summed over cells, the same argument with ρ² = Σ σ² for the whole image gives |u - v|² ≤ Σ (a - b)², where u holds
the s/√m of all the cells and ρ as its last entry. Pixels outside all cells only add to the right side.

Cell edges mirror each other about the middle, so a quarter turn of a square thumbnail maps cells onto cells: it
permutes the sums and leaves ρ as it is.

**The product.** |u - v|² = |u|² + |v|² - 2 u·v. With rows [u, -|u|²/2, 1] on the left and [v, 1, -|v|²/2] on the
right a single matrix product gives t = -|u - v|²/2 for every pair of a tile, to be compared with one constant.

**The slack.** Floats round. Let η = 2⁻²⁴, the unit roundoff of float32, d the number of entries of u, R_a and R_b the
largest norms on either side of the tile, and L the greatest sum of squares that is still a match.

1. Entries of u are computed in float64 and rounded once to float32. Each is off by at most a factor 1 ± η, and by a
   float64 error below 2⁻³⁹ of itself. For ρ that holds because floats subtract nothing large: with
   s² = (s² // m)·m + (s² mod m), the quotients are taken off q in integers; what is left for floats, the sum of the
   64 or fewer (s² mod m)/m, is below 64 and off by less than 2⁻⁴¹; and ρ² is either 0, exactly, or at least 1/2,
   since m integers that are not all equal have a σ² of at least 1 - 1/m. So the rounded vector is within δ = 2ηR of
   the true one. For a match, therefore, the rounded vectors are at most r = √L·(1 + 2⁻²⁰) + δ_a + δ_b apart; the
   factor is ample for the float64 arithmetic in which r itself is computed.
2. The extra columns are computed from the rounded vectors in float64 and rounded once: off by a factor 1 ± η.
3. A float32 inner product of n terms, in whatever order it is summed, is off by at most γ_n = nη/(1 - nη) times the
   sum of the terms' magnitudes (Higham, Accuracy and Stability, section 3.1). There are d + 2 terms; one more η comes
   from 2 and one to spare covers its product with the others: γ = γ_{d+4}. The magnitudes sum to at most
   |u||v| + |u|²/2 + |v|²/2 = (|u| + |v|)²/2 ≤ (R_a + R_b)²/2.

So a match has t ≥ -r²/2 - γ (R_a + R_b)²/2, and `bound` is the next float32 below that: no match is lost. What passes
is checked in integers, so nothing else is let in.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

GRID = 4
CENTRE = 128
ROWS = 4_096
"""Images whose vectors are computed at a time."""
Shape = tuple[int, int, int]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def edges(side: int) -> list[tuple[int, int]]:
    """First and one past the last pixel of each of the GRID cells along a side of at least GRID pixels.

    They mirror each other about the middle; an odd side leaves out its middle line."""
    lower = [side * number // GRID for number in range(GRID // 2 + 1)]
    cells = list(pairwise(lower))
    return cells + [(side - end, side - start) for start, end in reversed(cells)]


def length(shape: Shape) -> int:
    """How many numbers `coarse` gives for a thumbnail of (height, width, channels)."""
    return GRID * GRID * shape[2] + shape[2]


@cache
def _pixels(height: int, width: int) -> NDArray[np.int64]:
    """Pixels of each cell, (GRID, GRID)."""
    tall, wide = ([stop - start for start, stop in edges(side)] for side in (height, width))
    return np.outer(tall, wide)


def coarse(thumbnails: Bytes) -> NDArray[np.int64]:
    """Coarse sums of thumbnails, uint8 (n, H, W, C) with sides of at least GRID: int64 (n, GRID·GRID·C + C).

    First the sum of each cell, row by row, channels last; then the sum of squares per channel over all cells."""
    n, height, width, channels = thumbnails.shape
    sums = np.empty((n, GRID, GRID, channels), np.int64)
    squares = np.zeros((n, channels), np.int64)
    for i, (top, bottom) in enumerate(edges(height)):
        for j, (left, right) in enumerate(edges(width)):
            cell = thumbnails[:, top:bottom, left:right].astype(np.int64)
            sums[:, i, j] = cell.sum(axis=(1, 2))
            squares += np.einsum("nhwc,nhwc->nc", cell, cell)
    return np.concatenate([sums.reshape(n, -1), squares], axis=1)


def vectors(sums: NDArray[np.int64], shape: Shape) -> Floats:
    """The vectors u, float32 (n, d), of images with these coarse sums, int64 (n, length(shape))."""
    found = np.empty((len(sums), GRID * GRID * shape[2] + 1), np.float32)
    for start in range(0, len(sums), ROWS):  # float64 and int64 on the way take many times the result
        rows = slice(start, start + ROWS)
        _vectors(sums[rows], shape, found[rows])
    return found


def _vectors(sums: NDArray[np.int64], shape: Shape, found: Floats) -> None:
    height, width, channels = shape
    cells = sums[:, :-channels].reshape(-1, GRID, GRID, channels)
    pixels = _pixels(height, width)[:, :, None]
    whole, part = np.divmod(cells * cells, pixels)
    left = sums[:, -channels:].sum(axis=1) - whole.sum(axis=(1, 2, 3))
    found[:, -1] = np.sqrt(np.maximum(left - (part / pixels).sum(axis=(1, 2, 3)), 0.0))
    found[:, :-1] = ((cells - CENTRE * pixels) / np.sqrt(pixels)).reshape(found[:, :-1].shape)


def operand(vectors: Floats, right: bool = False) -> tuple[Floats, float]:
    """Rows for the product, float32 (n, d + 2), and the largest norm among the vectors."""
    half = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64) / 2
    extra = (-half, np.ones_like(half))
    columns = np.stack(extra[::-1] if right else extra, axis=1).astype(np.float32)
    return np.concatenate([vectors, columns], axis=1), math.sqrt(2 * half.max(initial=0.0))


def turned(operand: Floats, channels: int, turn: int) -> Floats:
    """Rows of an operand as those of the same thumbnails turned: a quarter turn permutes the cells' columns."""
    cells = np.rot90(np.arange(GRID * GRID).reshape(GRID, GRID), turn).reshape(-1, 1) * channels
    order = np.arange(operand.shape[1])
    order[: GRID * GRID * channels] = (cells + np.arange(channels)).ravel()
    return operand[:, order] if turn else operand


def limit(threshold: float, divisor: int) -> int:
    """The greatest integer L with L / divisor ≤ threshold in float64: a sum of squares up to L is a match.

    No thumbnail reaches more than four channels of 255² a pixel; a higher threshold counts as that."""
    if threshold >= 4 * 255**2:
        return 4 * 255**2 * divisor
    greatest = int(threshold * divisor)
    while greatest / divisor > threshold:
        greatest -= 1
    while (greatest + 1) / divisor <= threshold:
        greatest += 1
    return greatest


def bound(limit: int, norm_a: float, norm_b: float, d: int) -> np.float32:
    """The least value of the product that a pair within `limit` can have; see the head of this module."""
    eta = 2.0**-24
    gamma = (d + 4) * eta / (1 - (d + 4) * eta)
    reach = math.sqrt(limit) * (1 + 2.0**-20) + 2 * eta * (norm_a + norm_b)
    least = -(reach**2) / 2 - gamma * (norm_a + norm_b) ** 2 / 2
    return np.nextafter(np.float32(least), np.float32(-np.inf))


def candidates(left: Floats, right: Floats, bound: np.float32) -> NDArray[np.bool_]:
    """Which pairs of a tile may be matches: bool (n_left, n_right)."""
    return (left @ right.T) >= bound
