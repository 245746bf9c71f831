"""Compute coarse sums, and vectors whose distances are lower bounds.

**The bound.** Cut a thumbnail into g x g cells of m pixels each. Let s be the sum of a cell's values in one channel and
q the sum of their squares. Let σ² = Σ (q - s²/m), summed over the channels: the sum of squares that is left in the cell
after subtracting the means. For two images a and b, the values of a cell in one channel are two vectors of m numbers.
Split each vector into its mean part, s/√m along the direction (1, ..., 1)/√m, and a rest at a right angle to that
direction. By Pythagoras the squared distance is the sum of the squared distances of the mean parts and of the rests.
The rests of all channels together are two vectors of lengths σ_a and σ_b, so their distance is at least |σ_a - σ_b|.
Over one cell, therefore,

    Σ (a - b)²  ≥  Σ over channels (s_a - s_b)²/m  +  (σ_a - σ_b)²,

and over all cells |u - v|² ≤ Σ (a - b)², where u holds s/√m of every cell and channel and σ of every cell. Pixels
outside all cells only add to the right side. `orbits.py` extends the bound to turned images.

**Without means.** `pairs.exposure: ignore` takes the mean out of each channel (`measure/zero_mean.py`): the squared
distance is Σ (d - Σd/n)² for the differences d = a - b of the n pixels of a channel. Its part over the M pixels of all
cells is at least Σ (d - k)² for the constant k that makes this sum least, the mean of d over these M pixels. Now apply
the bound to a - Σs_a/M and b - Σs_b/M, with Σs summed over all cells of the channel. Subtracting a constant changes no
rest, so every σ stays, and s/√m becomes (s - m Σs/M)/√m. So u without means has the entries (M s - m Σs)/(M √m) and σ.
A turn permutes cells of equal m and keeps Σs and M, so a turn permutes these entries as the entries of u, and
`orbits.py` holds for both.

**Rounding.** Entries of u are computed in float64 and rounded once to float32. σ is as accurate as the other entries,
because no large float is subtracted. Write s² = (s² // m)·m + (s² mod m). The quotients are subtracted from q in
integers. What remains for floats is the sum of at most four terms (s² mod m)/m, a number below 4. And σ² is either
exactly 0 or at least 1/2, since m integers that are not all equal have Σ (value - mean)² ≥ 1 - 1/m. Without means,
M s - m Σs is an integer below 2⁴⁵. Before rounding, every entry therefore has a relative error below 2⁻³⁹. `slack.py`
accounts for the rounding.

**Measured** on 30,240 photographs' thumbnails, threshold 200, no turns: of 457 million pairs, 12,410 pass 4x4 cells,
3,849 pass 8x8 cells and 1,470 pass 16x16 cells; 231 are matches. One σ per cell lets 16 % fewer pairs pass than no σ;
one σ for the whole image lets 3 % fewer pass."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import native_for

GRID = 4
"""Cells per side of the sums that are stored with each thumbnail."""
CENTRE = 128
ROWS = 4_096
"""Number of images whose vectors are computed together."""
COMPILED = 10_000
"""Images above which a compiled loop saves time: loading takes 0.5 s, and then an image takes 4 µs instead of 25 µs."""
BYTES = 64 << 20
"""Greatest number of bytes of floats in memory while thumbnails are summed."""

Shape = tuple[int, int, int]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


def edges(side: int, grid: int = GRID) -> list[tuple[int, int]]:
    """Return the first pixel, and one past the last pixel, of each cell along a side.

    grid  number of cells, even, at most `side`

    The edges are symmetric about the middle; an odd side leaves out its middle line."""
    lower = [side * number // grid for number in range(grid // 2 + 1)]
    cells = list(pairwise(lower))
    return cells + [(side - end, side - start) for start, end in reversed(cells)]


def length(shape: Shape, grid: int = GRID) -> int:
    """Return how many sums `coarse` makes of a thumbnail (height, width, channels)."""
    return grid * grid * (shape[2] + 1)


def fits_int32(shape: Shape) -> bool:
    """Return whether the sums of thumbnails of this shape are below 2³¹."""
    return int(_pixels(shape[0], shape[1], GRID).max()) * shape[2] * 255**2 < 2**31


@cache
def _inside(side: int, grid: int) -> Doubles:
    """Return which pixels along a side lie in each cell, 0 or 1, float64 (grid, side)."""
    held = np.zeros((grid, side))
    for cell, (start, stop) in enumerate(edges(side, grid)):
        held[cell, start:stop] = 1
    return held


@cache
def _pixels(height: int, width: int, grid: int) -> Ints:
    """Return the number of pixels of each cell, int64 (grid, grid)."""
    return np.outer(_inside(height, grid).sum(axis=1), _inside(width, grid).sum(axis=1)).astype(np.int64)


def coarse(thumbnails: Bytes, grid: int = GRID) -> Ints:
    """Return the coarse sums of thumbnails, int64 (n, grid·grid·(C + 1)).

    thumbnails  uint8 (n, H, W, C), each side at least `grid`

    Cells come row by row. For each cell: the sum of its values in each channel, then the sum of all squares."""
    n, height, width, channels = thumbnails.shape
    native = native_for("cells", n, COMPILED)
    if native is not None:
        sides = (np.array(edges(side, grid)) for side in (height, width))
        found: Ints = native.cells(thumbnails, *sides).reshape(n, grid * grid * (channels + 1))
        return found
    sums = np.empty((n, grid, grid, channels + 1), np.int64)
    step = max(1, BYTES // (4 * height * width * channels))
    down, across = _inside(height, grid), _inside(width, grid)
    exact: Any = np.float32 if int(down.sum(axis=1).max()) * 255**2 < 2**24 else np.float64
    for start in range(0, n, step):
        values = thumbnails[start : start + step].astype(exact).reshape(-1, height, width * channels)
        lines = _down(values, down.astype(exact), channels)
        sums[start : start + step, ..., :-1] = across @ lines
        squares = _down(np.square(values, out=values), down.astype(exact), channels).sum(axis=3)
        sums[start : start + step, ..., -1] = squares @ across.T
    return sums.reshape(n, grid * grid * (channels + 1))


def _down(values: NDArray[np.floating], down: NDArray[np.floating], channels: int) -> Doubles:
    """Return sums over the lines of each row of cells, float64 (n, grid, W, C).

    values  (n, H, W·C), of a float type that represents the sums exactly; the sums are integers
    down    the lines of each row of cells: 0 or 1, (grid, H)"""
    return (down @ values).astype(np.float64).reshape(len(values), len(down), -1, channels)


def contrast(thumbnails: Bytes, sums: Ints) -> Floats:
    """Return the standard deviation of the values of each thumbnail, float32 (n,).

    sums  the thumbnails' coarse sums

    The deviation is computed from integers, so every machine gives the same number."""
    n, height, width, channels = thumbnails.shape
    if height % 2 or width % 2:  # the cells leave out a line
        flat = thumbnails.reshape(n, -1)
        total = flat.sum(axis=1, dtype=np.int64)
        squares = np.array([np.dot(row, row) for row in flat.astype(np.int64)], np.int64)
    else:
        cells = sums.reshape(n, -1, channels + 1)
        total, squares = cells[..., :-1].sum(axis=(1, 2)), cells[..., -1].sum(axis=1)
    size = height * width * channels
    found: Floats = (np.sqrt((size * squares - total**2).astype(np.float64)) / size).astype(np.float32)
    return found


def vectors(sums: NDArray[np.integer], shape: Shape, grid: int = GRID, zero_mean: bool = False) -> Floats:
    """Return the vectors u of images from their coarse sums, float32 (n, grid·grid·(C + 1)).

    zero_mean  subtract the mean of each channel; otherwise CENTRE is subtracted from all values

    A vector holds for each cell s/√m of each channel, where s is the sum of values after the subtraction, then σ."""
    found = np.empty(sums.shape, np.float32)
    for start in range(0, len(sums), ROWS):  # the int64 and float64 copies take several times the result's memory
        part = slice(start, start + ROWS)
        _vectors(sums[part].astype(np.int64), shape, grid, zero_mean, found[part])
    return found


def _vectors(sums: Ints, shape: Shape, grid: int, zero_mean: bool, found: Floats) -> None:
    height, width, channels = shape
    cells = sums.reshape(-1, grid, grid, channels + 1)
    pixels = _pixels(height, width, grid)[:, :, None]
    quotient, remainder = np.divmod(cells[..., :-1] ** 2, pixels)
    left = (cells[..., -1] - quotient.sum(axis=3)) - (remainder / pixels).sum(axis=3)
    out = found.reshape(cells.shape)
    if zero_mean:
        all_pixels = int(pixels.sum())
        total = cells[..., :-1].sum(axis=(1, 2), keepdims=True)
        out[..., :-1] = (all_pixels * cells[..., :-1] - pixels * total) / (all_pixels * np.sqrt(pixels))
    else:
        out[..., :-1] = (cells[..., :-1] - CENTRE * pixels) / np.sqrt(pixels)
    out[..., -1] = np.sqrt(np.maximum(left, 0.0))


def limit(threshold: float, divisor: int) -> int:
    """Return the greatest integer L with L / divisor ≤ threshold in float64.

    A pair with a sum of squared differences up to L is a match. No pair of thumbnails exceeds four channels of 255²
    a pixel; a higher threshold counts as that maximum."""
    if threshold >= 4 * 255**2:
        return 4 * 255**2 * divisor
    greatest = int(threshold * divisor)
    while greatest / divisor > threshold:
        greatest -= 1
    while (greatest + 1) / divisor <= threshold:
        greatest += 1
    return greatest
