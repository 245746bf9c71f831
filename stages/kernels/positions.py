"""Search, pair, count and exclude positions of images in sorted arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.kernels.measure.metric import Ints, Mask, Side
from stages.kernels.rules import Ledger


def products_unless_both(a: Ints, b: Ints, in_a: Mask, in_b: Mask) -> Iterator[tuple[Ints, Ints]]:
    """Yield at most two pairs of position arrays.

    The products of the arrays hold every pair except the pairs of two masked images.

    in_a, in_b  the masked images of either side, bool (n,)"""
    masked = in_a[a]
    for some, others in ((a[~masked], b), (a[masked], b[~in_b[b]])):
        if len(some) and len(others):
            yield some, others


def settled_of(side: Side) -> Mask:
    """Return which images of a side are settled, bool (n,)."""
    return np.zeros(len(side), bool) if side.settled is None else side.settled


def counts_by_kind(weight: Ints, kind: Ints, kinds: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of images and of representatives by kind, int64 (kinds,) each.

    weight, kind  weight and kind of each representative, int64 (n,)"""
    place = np.searchsorted(kinds, kind)
    images = np.zeros(len(kinds), np.int64)
    np.add.at(images, place, weight)
    return images, np.bincount(place, minlength=len(kinds))


def pair_counts(a: Side, b: Side | None, kind_a: Ints, kind_b: Ints, in_a: Mask, in_b: Mask) -> tuple[int, int, int]:
    """Count pairs of masked images: a with b, or, if b is None, pairs within a.

    Returns the number of pairs of representatives of one kind, of pairs of images of one kind, and of all pairs of
    images.

    kind_a, kind_b  number of each image's kind, int64 (n,)"""
    kinds = np.unique(np.concatenate([kind_a, kind_b]))
    images_a, representatives_a = counts_by_kind(a.weight[in_a], kind_a[in_a], kinds)
    if b is not None:
        images_b, representatives_b = counts_by_kind(b.weight[in_b], kind_b[in_b], kinds)
        pairs = int((representatives_a * representatives_b).sum())
        return pairs, int((images_a * images_b).sum()), int(images_a.sum()) * int(images_b.sum())
    squares = int((a.weight[in_a] ** 2).sum())
    pairs = int((representatives_a * (representatives_a - 1) // 2).sum())
    return pairs, (int((images_a**2).sum()) - squares) // 2, (int(images_a.sum()) ** 2 - squares) // 2


def joint(kind_a: Ints, folder_a: Ints, kind_b: Ints, folder_b: Ints) -> tuple[Ints, Ints]:
    """Return a number for each image; equal numbers mean equal kind and equal folder."""
    rows = np.stack([np.concatenate([kind_a, kind_b]), np.concatenate([folder_a, folder_b])], axis=1)
    _, numbers = np.unique(rows, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.int64)
    return numbers[: len(kind_a)], numbers[len(kind_a) :]


def counted(a: Side, b: Side | None) -> Ledger:
    """Return the ledger of a block pair, as if no hashes were equal.

    If b is None, the ledger is of the pairs within a. Pairs are counted per kind, since only images of one kind are
    compared. Pairs of settled images and pairs in one folder are then subtracted; a pair of settled images in one
    folder is subtracted once."""
    other = a if b is None else b
    everyone = np.ones(len(a), bool), np.ones(len(other), bool)
    settled_both = settled_of(a), settled_of(other)
    kinds = a.kind, other.kind
    pairs, of_images, total = pair_counts(a, b, *kinds, *everyone)
    settled, settled_images, _ = pair_counts(a, b, *kinds, *settled_both)
    pairs, of_images = pairs - settled, of_images - settled_images
    if a.folder is not None and other.folder is not None:
        kinds = joint(a.kind, a.folder, other.kind, other.folder)
        in_folder, in_folder_images, _ = pair_counts(a, b, *kinds, *everyone)
        both, both_images, _ = pair_counts(a, b, *kinds, *settled_both)
        pairs, of_images = pairs - in_folder + both, of_images - in_folder_images + both_images
    return Ledger(decided=pairs, identical=of_images - pairs, skipped_by_rule=total - of_images)


def places_of(positions: Ints, values: Ints) -> Ints:
    """Return the index of each value in ascending `positions`, int64 (n,); -1 for an absent value."""
    place = np.minimum(np.searchsorted(positions, values), len(positions) - 1)
    return np.where(positions[place] == values, place, -1)


def equal_pairs(x: Ints, y: Ints, room: int) -> tuple[Ints, Ints] | None:
    """Return indices i, j of all pairs with x[i] == y[j]; None for more than `room` pairs."""
    order = np.argsort(y, kind="stable")
    first, last = (np.searchsorted(y[order], x, side) for side in ("left", "right"))
    count = last - first
    total = int(count.sum())
    if total > room:
        return None
    i = np.repeat(np.arange(len(x)), count)
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    return i, order[np.repeat(first, count) + within]
