"""Put points into leaves of a k-d tree, each with a bounding box; compiled by numba.

The points, in LEADING principal directions, are split at about the median along the direction of greatest variance. The
parts are split again in the same way, until each part, a leaf, has at most LEAF points."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds.directions import LEADING, Projections
from stages.kernels.measure.native import native

LEAF = 32
"""Points of a leaf: their coordinates along one direction fill a few vector registers."""

Floats = NDArray[np.float32]
Grown = tuple[NDArray[np.int32], Floats, Floats, Floats]

_grown: WeakKeyDictionary[Projections, Grown] = WeakKeyDictionary()
"""The leaves of all vectors of a side, kept as long as the vectors exist."""


@native
def _split(values: Any, order: Any, start: Any, stop: Any, middle: Any) -> None:
    """Partially sort order[start:stop] by Hoare's selection.

    Afterwards no value before position `middle` is greater than a value from `middle` on."""
    while stop - start > 1:
        first, last = values[order[start]], values[order[stop - 1]]
        between = values[order[(start + stop) // 2]]
        pivot = max(min(first, last), min(max(first, last), between))
        low, high = start, stop - 1
        while low <= high:
            while values[order[low]] < pivot:
                low += 1
            while values[order[high]] > pivot:
                high -= 1
            if low <= high:
                order[low], order[high] = order[high], order[low]
                low += 1
                high -= 1
        if middle <= high:
            stop = high + 1
        elif middle >= low:
            start = low
        else:
            return


@native
def _grow(keys: Any) -> Any:
    count = keys.shape[1]
    leaves = (count + LEAF - 1) // LEAF
    order = np.arange(count).astype(np.int32)
    points = np.full((leaves, len(keys), LEAF), np.float32(np.inf))
    low = np.empty((LEADING, leaves), np.float32)
    high = np.empty((LEADING, leaves), np.float32)
    waiting = [(0, leaves)]
    while len(waiting) > 0:
        first, last = waiting.pop()
        if last - first <= 1:
            continue
        start, stop = first * LEAF, min(count, last * LEAF)
        widest, most = 0, -1.0
        step = max(1, (stop - start) // 512)  # a sample is enough to find the widest direction
        for k in range(LEADING):
            total, squares, seen = 0.0, 0.0, 0
            for i in range(start, stop, step):
                value = keys[k, order[i]]
                total += value
                squares += value * value
                seen += 1
            spread = squares / seen - (total / seen) ** 2
            if spread > most:
                most, widest = spread, k
        middle = (first + last) // 2
        _split(keys[widest], order, start, stop, middle * LEAF)
        waiting.append((first, middle))
        waiting.append((middle, last))
    for leaf in range(leaves):
        for k in range(len(keys)):
            least, greatest = np.float32(np.inf), np.float32(-np.inf)
            for j in range(min(LEAF, count - leaf * LEAF)):
                value = keys[k, order[leaf * LEAF + j]]
                points[leaf, k, j] = value
                least, greatest = min(least, value), max(greatest, value)
            if k < LEADING:
                low[k, leaf], high[k, leaf] = least, greatest
    return order, points, low, high


def grow(keys: Floats) -> Grown:
    """Build the leaves around points, float32 (n, m), where m is at least LEADING.

    Returns the points' order, int32 (n,); their coordinates, (leaves, m, LEAF), padded with infinity; and the low and
    high corners of the boxes, (LEADING, leaves) each."""
    grown: Grown = _grow(np.ascontiguousarray(keys.T))
    return grown


def leaves_of(keys: Projections, rows: NDArray[np.int64] | None) -> Grown:
    """Return the leaves of some rows along DIRECTIONS, or of all rows."""
    if rows is not None:
        return grow(keys.narrow[rows])
    found = _grown.get(keys)
    if found is None:
        found = _grown[keys] = grow(keys.narrow)
    return found
