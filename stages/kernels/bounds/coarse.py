"""Coarse sums of thumbnails, and vectors made of them whose squared distances are lower bounds.

**The bound.** Cut a thumbnail into g x g cells of m pixels each. Let s be the sum of a cell's values in one channel and
q the sum of their squares; σ² = Σ (q - s²/m), summed over the channels, is what is left within the cell after the means
are taken out. For two images a and b the values of a cell in one channel are two vectors of m numbers. Split each into
its mean part, s/√m along the direction of (1, ..., 1)/√m, and the rest at a right angle to it. By Pythagoras the mean
parts and the rests contribute apart; and the rests of all channels together are two vectors of lengths σ_a and σ_b, so
at least |σ_a - σ_b| apart. Over one cell, therefore,

    Σ (a - b)²  ≥  Σ over channels (s_a - s_b)²/m  +  (σ_a - σ_b)²,

and over all cells |u - v|² ≤ Σ (a - b)², where u holds s/√m of every cell and channel and σ of every cell. Pixels
outside all cells only add to the right side.

**Turns.** Cell edges mirror each other about the middle, so a quarter turn of a square thumbnail maps cells onto cells:
it permutes the columns of u, the σ like one more channel, and needs no new sums (`orders`).

**What no turn changes.** A quarter turn moves each cell round an orbit of four: (i, j), (j, g-1-i), ... Let x_0 ... x_3
be the entries of u along an orbit, and X_k = ½ Σ x_j i^(-jk) their discrete Fourier transform, which keeps distances. A
turn shifts the x_j, so it multiplies each X_k by a number of magnitude 1 and leaves |X_k| as it is. Magnitudes are
never further apart than the numbers themselves, so with w(u) = (X_0, |X_2|, √2 |X_1|) over all orbits

    |w(u) - w(v)|² ≤ |u - turned v|²   for each of the four turns:

one comparison bounds all four (X_0 is real and keeps its sign; X_3 is the conjugate of X_1, hence the √2).

**In floats.** Entries of u are computed in float64 and rounded once to float32. That σ is as accurate as the rest is
owed to subtracting nothing large in floats: with s² = (s² // m)·m + (s² mod m) the quotients are taken off q in
integers, what is left for floats is the sum of at most four (s² mod m)/m, below 4; and σ² is either 0, exactly, or at
least 1/2, since m integers that are not all equal have Σ (value - mean)² ≥ 1 - 1/m. So before it is rounded every entry
is off by less than 2⁻³⁹ of itself. What the rounding costs is counted in `slack.py`.

**Measured** on 30,240 photographs' thumbnails, threshold 200: without turns 12,410 of 457 million pairs pass 4x4 cells,
3,849 pass 8x8, 1,470 pass 16x16, and 231 are matches. A σ for each cell lets 16 % fewer pass than no σ, one σ for the
whole image 3 %.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import loops

GRID = 4
"""Cells a side of the sums that are stored with each thumbnail."""
CENTRE = 128
ROWS = 4_096
"""Images whose vectors are computed at a time."""
COMPILED = 10_000
"""Images from which it pays to load the compiled loop, which takes half a second and 4 µs an image against 25."""
BYTES = 64 << 20
"""Bytes of floats on the way from thumbnails to sums, at a time."""

_made: Counter[str] = Counter()
"""Images whose sums this process has computed, many or few at a time."""

Shape = tuple[int, int, int]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


def edges(side: int, grid: int = GRID) -> list[tuple[int, int]]:
    """First and one past the last pixel of each of `grid` cells (an even number) along a side of at least so many.

    They mirror each other about the middle; an odd side leaves out its middle line."""
    lower = [side * number // grid for number in range(grid // 2 + 1)]
    cells = list(pairwise(lower))
    return cells + [(side - end, side - start) for start, end in reversed(cells)]


def length(shape: Shape, grid: int = GRID) -> int:
    """How many numbers `coarse` gives for a thumbnail of (height, width, channels); as many as a vector has."""
    return grid * grid * (shape[2] + 1)


def fits_int32(shape: Shape) -> bool:
    """Whether the numbers of `coarse` are below 2³¹ for thumbnails of this shape."""
    return int(_pixels(shape[0], shape[1], GRID).max()) * shape[2] * 255**2 < 2**31


@cache
def _inside(side: int, grid: int) -> Doubles:
    """Which pixels each cell along a side holds: 0 or 1, (grid, side)."""
    held = np.zeros((grid, side))
    for cell, (start, stop) in enumerate(edges(side, grid)):
        held[cell, start:stop] = 1
    return held


@cache
def _pixels(height: int, width: int, grid: int) -> Ints:
    """Pixels of each cell, int64 (grid, grid)."""
    return np.outer(_inside(height, grid).sum(axis=1), _inside(width, grid).sum(axis=1)).astype(np.int64)


def coarse(thumbnails: Bytes, grid: int = GRID) -> Ints:
    """Coarse sums of thumbnails, uint8 (n, H, W, C) with sides of at least `grid`: int64 (n, grid·grid·(C + 1)).

    For each cell, row by row: the sum of its values in each channel, then the sum of all their squares."""
    n, height, width, channels = thumbnails.shape
    _made.update(images=n)
    native = loops(_made["images"] >= COMPILED)
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
    """Sums over the lines of each cell, (n, H, W·C) to (n, grid, W, C): integers that are exact in these floats."""
    return (down @ values).astype(np.float64).reshape(len(values), len(down), -1, channels)


def contrast(thumbnails: Bytes, sums: Ints) -> Floats:
    """Standard deviation of the values of each thumbnail, float32 (n,), whose coarse sums are known; from integers, so
    that it is the same on every machine."""
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


def vectors(sums: NDArray[np.integer], shape: Shape, grid: int = GRID) -> Floats:
    """The vectors u, float32 (n, grid·grid·(C + 1)), of images with these coarse sums, (n, length(shape, grid)).

    For each cell: s/√m about the middle of the range in each channel, then σ."""
    found = np.empty(sums.shape, np.float32)
    for start in range(0, len(sums), ROWS):  # int64 and float64 on the way takes several times the result
        part = slice(start, start + ROWS)
        _vectors(sums[part].astype(np.int64), shape, grid, found[part])
    return found


def _vectors(sums: Ints, shape: Shape, grid: int, found: Floats) -> None:
    height, width, channels = shape
    cells = sums.reshape(-1, grid, grid, channels + 1)
    pixels = _pixels(height, width, grid)[:, :, None]
    whole, part = np.divmod(cells[..., :-1] ** 2, pixels)
    left = (cells[..., -1] - whole.sum(axis=3)) - (part / pixels).sum(axis=3)
    out = found.reshape(cells.shape)
    out[..., :-1] = (cells[..., :-1] - CENTRE * pixels) / np.sqrt(pixels)
    out[..., -1] = np.sqrt(np.maximum(left, 0.0))


def orders(channels: int, turns: int, grid: int = GRID) -> Ints:
    """For each turn k, int64 (turns, d): columns of u in the order that gives those of the thumbnail turned k times."""
    places = np.arange(grid * grid * (channels + 1)).reshape(grid, grid, channels + 1)
    return np.stack([np.rot90(places, turn).ravel() for turn in range(turns)])


def invariants(vectors: Floats, channels: int) -> Doubles:
    """What no quarter turn changes, float64 (n, 12·(C + 1)), of vectors on the GRID x GRID cells of a square."""
    native = loops(False)
    if native is not None:
        unturned: Doubles = native.invariants(vectors.reshape(len(vectors), GRID, GRID, channels + 1))
        return unturned
    cells = vectors.astype(np.float64).reshape(-1, GRID, GRID, channels + 1)
    last, half = GRID - 1, range(GRID // 2)
    found = []
    for i, j in ((i, j) for i in half for j in half):
        x0, x1, x2, x3 = cells[:, i, j], cells[:, j, last - i], cells[:, last - i, last - j], cells[:, last - j, i]
        found.append((x0 + x1 + x2 + x3) / 2)
        found.append(np.abs(x0 - x1 + x2 - x3) / 2)
        found.append(np.sqrt(((x0 - x2) ** 2 + (x1 - x3) ** 2) / 2))
    return np.concatenate(found, axis=1)


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
