"""Groups of images that need comparing only once, and rows about groups turned into rows about images.

Images of one block and set whose thumbnails agree - up to a quarter turn where turns count - and which every rule
treats alike form a group. Its first member in path order stands for it. If x is np.rot90(r, p) and y is np.rot90(s, q)
for the representatives r and s, then

    |x - rot90(y, k)| = |rot90(r, p) - rot90(s, q + k)| = |r - rot90(s, q + k - p)|,

so a turn k attains the least for (x, y) exactly if q + k - p does for (r, s). Such p come from the turns that take each
member to the form that they share: rot90(x, turn_x) = rot90(r, turn_r) gives p = turn_r - turn_x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.kernels.measure import turns

Ints = NDArray[np.int64]


def aspect_classes(width: Ints, height: Ints, same: str, rotations: bool) -> Ints:
    """A number per image, int64 (n,): only images with equal numbers are compared.

    `same` is any, dimensions (equal width and height) or aspect (equal ratio); where turns count, transposed sizes
    are the same."""
    if same == "any":
        return np.zeros(len(width), np.int64)
    if same == "aspect":
        common = np.gcd(width, height)
        width, height = width // common, height // common
    if rotations:
        width, height = np.minimum(width, height), np.maximum(width, height)
    return width << 32 | height


def representatives(keys: Ints) -> Ints:
    """For each row of int64 (n, k), the first row that is equal: int64 (n,)."""
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)


@dataclass(frozen=True)
class Rows:
    """Rows of a pairs table with image numbers for paths; all arrays (n,)."""

    a: Ints
    b: Ints
    mse: NDArray[np.float64]
    turns: NDArray[np.uint8]
    measured: NDArray[np.bool_]


def expand(rows: Rows, representative: Ints, turn: Ints, symmetry: Ints, swap: bool) -> Rows:
    """Every pair of images that the rows stand for: what `identical: all` would have recorded.

    Images are numbered in path order, blocks one after the other; `representative`, `turn` and `symmetry` are int64
    (images,). `swap` for a single set, where the image with the smaller number comes first. The order of the rows is
    not stated."""
    order = np.argsort(representative, kind="stable")
    starts = np.searchsorted(representative[order], np.arange(len(order)))
    sizes = np.bincount(representative, minlength=len(order))
    inside = representative[rows.a] == representative[rows.b]
    return _joined(
        _across(_where(rows, ~inside), order, starts, sizes, representative, turn, swap),
        _within(_where(rows, inside), order, starts, sizes, turn, symmetry),
    )


def _where(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    return Rows(*(getattr(rows, name)[mask] for name in Rows.__dataclass_fields__))


def _joined(*parts: Rows) -> Rows:
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__))


def _product(sizes_a: Ints, sizes_b: Ints) -> tuple[Ints, Ints, Ints]:
    """For each pair of sizes, all pairs of places: the number of the pair, and the place on either side."""
    total = sizes_a * sizes_b
    pair = np.repeat(np.arange(len(total)), total)
    place = np.arange(total.sum()) - np.repeat(np.cumsum(total) - total, total)
    return pair, place // sizes_b[pair], place % sizes_b[pair]


def _across(rows: Rows, order: Ints, starts: Ints, sizes: Ints, representative: Ints, turn: Ints, swap: bool) -> Rows:
    pair, place_a, place_b = _product(sizes[rows.a], sizes[rows.b])
    a, b = order[starts[rows.a[pair]] + place_a], order[starts[rows.b[pair]] + place_b]
    from_a, from_b = (turn[representative[side]] - turn[side] for side in (a, b))
    # Pairs that were not measured agree in hash, and so do all members of their groups, in the same turns.
    bits = np.where(rows.measured[pair], turns.shifted(rows.turns[pair], from_a - from_b), rows.turns[pair])
    swapped = swap & (a > b)
    return Rows(
        np.where(swapped, b, a),
        np.where(swapped, a, b),
        rows.mse[pair],
        np.where(swapped, turns.reversed_(bits), bits),
        rows.measured[pair],
    )


def _within(rows: Rows, order: Ints, starts: Ints, sizes: Ints, turn: Ints, symmetry: Ints) -> Rows:
    """All pairs of each group that has rows; its rows join the representative, `a`, with each other member."""
    groups, first = np.unique(rows.a, return_index=True)
    pair, place_a, place_b = _product(sizes[groups], sizes[groups])
    upper = place_a < place_b
    pair, place_a, place_b = pair[upper], place_a[upper], place_b[upper]
    a, b = order[starts[groups[pair]] + place_a], order[starts[groups[pair]] + place_b]
    measured = rows.measured[first][pair]
    bits = np.where(measured, turns.between(turn[a], turn[b], symmetry[b]), rows.turns[first][pair])
    return Rows(a, b, np.zeros(len(a)), bits, measured)
