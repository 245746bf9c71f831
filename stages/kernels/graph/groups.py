"""Group identical images, and expand rows about groups to rows about images.

Images of one block and set form a group if their thumbnails are identical (up to a turn, if turns are compared) and
every rule treats the images alike. The first member in path order is the representative. If x is a representative r in
turn p, and y is a representative s in turn q, then

    |x - y in turn k| = |r in turn p - s in turn q, then k| = |r - s in turn q, then k, then p⁻¹|,

since turning both images keeps a distance. So a turn k attains the least for (x, y) exactly if h = (q, then k, then
p⁻¹) attains the least for (r, s); that is k = (q⁻¹, then h, then p). The turn p follows from the turns that bring each
member to the group's common form: x in turn_x equals r in turn_r, so p is turn_r, then turn_x⁻¹."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.kernels.measure import turns

Bits = NDArray[np.uint8]
Ints = NDArray[np.int64]


def aspect_classes(width: Ints, height: Ints, same: str, rotations: bool) -> Ints:
    """Return a number per image, int64 (n,); images with equal numbers are compared.

    same       any; dimensions: equal width and height; aspect: equal ratio of width to height
    rotations  treat width x height and height x width as the same"""
    if same == "any":
        return np.zeros(len(width), np.int64)
    if same == "aspect":
        common = np.gcd(width, height)
        width, height = width // common, height // common
    if rotations:
        width, height = np.minimum(width, height), np.maximum(width, height)
    return width << 32 | height


def representatives(keys: Ints) -> Ints:
    """Return for each row of `keys` the index of the first equal row, int64 (n,).

    keys  int64 (n, k)"""
    varying = np.flatnonzero((keys != keys[:1]).any(axis=0))
    alone = keys[:, varying[0]] if len(varying) == 1 else None  # sorting rows takes ten times as long
    _, first, inverse = np.unique(keys if alone is None else alone, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)


@dataclass(frozen=True)
class PairArrays:
    """Rows of a pairs table with image numbers in place of paths; all arrays have shape (n,)."""

    a: Ints
    b: Ints
    mse: NDArray[np.float64]
    turns: NDArray[np.uint8]
    measured: NDArray[np.bool_]


def expand(rows: PairArrays, representative: Ints, turn: Ints, unchanged: Bits, swap: bool) -> PairArrays:
    """Return one row for every pair of images that `rows` represent.

    The result has the rows that `identical: all` records, in no particular order. Images are numbered in path order,
    block after block; `representative` and `turn` are int64 (images,), `unchanged` is uint8 (images,).

    swap  put the image with the smaller number first, as for a single set"""
    order = np.argsort(representative, kind="stable")
    starts = np.searchsorted(representative[order], np.arange(len(order)))
    sizes = np.bincount(representative, minlength=len(order))
    inside = representative[rows.a] == representative[rows.b]
    return _joined(
        _across(_where(rows, ~inside), order, starts, sizes, representative, turn, swap),
        _within(_where(rows, inside), order, starts, sizes, turn, unchanged),
    )


def _where(rows: PairArrays, mask: NDArray[np.bool_]) -> PairArrays:
    return PairArrays(*(getattr(rows, name)[mask] for name in PairArrays.__dataclass_fields__))


def _joined(*parts: PairArrays) -> PairArrays:
    return PairArrays(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in PairArrays.__dataclass_fields__)
    )


def _product(sizes_a: Ints, sizes_b: Ints) -> tuple[Ints, Ints, Ints]:
    """Return all pairs (place in group a, place in group b) for each pair of group sizes.

    Returns three arrays: the index of the pair of sizes, the place in a, the place in b."""
    total = sizes_a * sizes_b
    pair = np.repeat(np.arange(len(total)), total)
    place = np.arange(total.sum()) - np.repeat(np.cumsum(total) - total, total)
    return pair, place // sizes_b[pair], place % sizes_b[pair]


def _across(
    rows: PairArrays, order: Ints, starts: Ints, sizes: Ints, representative: Ints, turn: Ints, swap: bool
) -> PairArrays:
    pair, place_a, place_b = _product(sizes[rows.a], sizes[rows.b])
    a, b = order[starts[rows.a[pair]] + place_a], order[starts[rows.b[pair]] + place_b]
    from_a, from_b = (turns.then(turn[representative[side]], turns.inverse(turn[side])) for side in (a, b))
    # For an unmeasured pair, `turns` are the turns with equal hashes. All members of a group have the same hashes.
    bits = np.where(rows.measured[pair], turns.moved(rows.turns[pair], turns.inverse(from_b), from_a), rows.turns[pair])
    swapped = swap & (a > b)
    return PairArrays(
        np.where(swapped, b, a),
        np.where(swapped, a, b),
        rows.mse[pair],
        np.where(swapped, turns.reversed_(bits), bits),
        rows.measured[pair],
    )


def _within(rows: PairArrays, order: Ints, starts: Ints, sizes: Ints, turn: Ints, unchanged: Bits) -> PairArrays:
    """Return all pairs of images within each group that has rows.

    The rows of a group join the representative, `a`, with each other member."""
    groups, first = np.unique(rows.a, return_index=True)
    pair, place_a, place_b = _product(sizes[groups], sizes[groups])
    upper = place_a < place_b
    pair, place_a, place_b = pair[upper], place_a[upper], place_b[upper]
    a, b = order[starts[groups[pair]] + place_a], order[starts[groups[pair]] + place_b]
    measured = rows.measured[first][pair]
    bits = np.where(measured, turns.between(turn[a], turn[b], unchanged[b]), rows.turns[first][pair])
    return PairArrays(a, b, np.zeros(len(a)), bits, measured)
