"""The filter on processors: leaves of a k-d tree, boxes around them, and comparing what the boxes leave; in numba.

Points, in LEADING principal directions, are split at the median of the direction along which they spread most, again
and again, until LEAF of them are left; a leaf is bounded by a box. For one leaf of a,

    its box against the boxes of b's leaves  ->  some leaves of b
    each of its points against those boxes   ->  few leaves of b
    each of its points against their points  ->  few points of b
    their whole vectors, in every turn       ->  candidates

Distances to boxes and to points are summed over all directions, not tested one by one: in several directions at once
most boxes are too far although they are near in each. Leaves are stored direction by direction, so that the inner loops
run over neighbours in memory and compile to vector instructions.

Measured on 30,240 photographs' thumbnails, one core, building included, in 10⁹ pairs a second: 20 with leaves of 32, 18
with 16 or 64; two thirds of the time goes to comparing. Against it on the same machine and data: the product of
`product.py` 2 to 4. Sorting along one direction, or a grid on two sorted along a third, keeps 18 and 4.5 in a hundred
pairs to compare, boxes round leaves 1.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds.directions import LEADING
from stages.kernels.bounds.space import NOTHING, Candidates, Levels, Prepared, merged
from stages.kernels.measure.native import Function, native

LEAF = 32
"""Points of a leaf: a few vector registers."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Grown = tuple[NDArray[np.int32], Floats, Floats, Floats]


@native
def _split(values: Any, order: Any, start: Any, stop: Any, middle: Any) -> None:
    """Hoare's selection: order[start:stop] so that values up to `middle` are at most those from it on."""
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
    points = np.full((leaves, LEADING, LEAF), np.float32(np.inf))
    low = np.empty((LEADING, leaves), np.float32)
    high = np.empty((LEADING, leaves), np.float32)
    waiting = [(0, leaves)]
    while len(waiting) > 0:
        first, last = waiting.pop()
        if last - first <= 1:
            continue
        start, stop = first * LEAF, min(count, last * LEAF)
        widest, most = 0, -1.0
        step = max(1, (stop - start) // 512)  # a sample tells where the spread is
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
        for k in range(LEADING):
            least, greatest = np.float32(np.inf), np.float32(-np.inf)
            for j in range(min(LEAF, count - leaf * LEAF)):
                value = keys[k, order[leaf * LEAF + j]]
                points[leaf, k, j] = value
                least, greatest = min(least, value), max(greatest, value)
            low[k, leaf], high[k, leaf] = least, greatest
    return order, points, low, high


def _in_any_order(function: Function) -> Function:
    """Compiled so that sums may be added in whatever order is fast, which the slack allows."""
    return native(function, fastmath={"reassoc", "contract", "nsz"})


@_in_any_order
def _apart(u: Any, v: Any, most: Any) -> Any:
    """The sum of squared differences of two vectors; left early once it exceeds `most`."""
    total = np.float32(0)
    start = 0
    while start < len(u) and total <= most:
        x, y = u[start : start + 32], v[start : start + 32]
        part = np.float32(0)
        for c in range(len(x)):
            step = x[c] - y[c]
            part += step * step
        total += part
        start += 32
    return total


@native
def _join(
    leaves_a: Any,
    leaves_b: Any,
    most: Any,
    same: Any,
    number_a: Any,
    number_b: Any,
    ascending: Any,
    left_rows: Any,
    right_rows: Any,
    orders: Any,
    turns: Any,
    whole: Any,
    found_a: Any,
    found_b: Any,
    bits: Any,
) -> tuple[int, int, int]:
    """Pairs of points at most √most apart whose whole vectors, in one of the turns, are at most √whole apart: numbers
    of either side into found_a and found_b, and the turns into bits. Returns how many there are, or -1 for more than
    there is room for; how many pairs of points were looked at; and how many of these were near enough.

    `same`: a and b are the same points, and each pair is given once, the lesser number first. `ascending`: pairs of
    which the first number is not the lesser are left out. Since a turn of one vector is the turn back of the other,
    the vector of a is turned back, once, to be compared with all the b."""
    order_a, points_a, low_a, high_a = leaves_a
    order_b, points_b, low_b, high_b = leaves_b
    count_a, count_b, boxes = len(order_a), len(order_b), len(points_b)
    apart, live = np.empty(boxes, np.float32), np.empty(boxes, np.int64)
    low, high = np.empty((LEADING, boxes), np.float32), np.empty((LEADING, boxes), np.float32)
    near = np.empty(LEAF, np.float32)
    zero = np.float32(0)
    width = orders.shape[1]
    turned = np.empty((len(orders), width), np.float32)
    first_column = np.empty(len(orders), np.int64)
    for turn in range(len(orders)):
        first_column[turn] = orders[turn].min()
    found, compared, directions = 0, 0, 0
    for leaf in range(len(points_a)):
        apart[:] = zero
        for k in range(LEADING):
            least, greatest = low_a[k, leaf], high_a[k, leaf]
            for i in range(boxes):
                step = max(max(low_b[k, i] - greatest, least - high_b[k, i]), zero)
                apart[i] += step * step
        left = 0
        for i in range(leaf if same else 0, boxes):
            live[left] = i
            left += apart[i] <= most
        for k in range(LEADING):
            for i in range(left):
                low[k, i] = low_b[k, live[i]]
                high[k, i] = high_b[k, live[i]]
        for j in range(min(LEAF, count_a - leaf * LEAF)):
            p = points_a[leaf, :, j]
            p0, p1, p2, p3, p4, p5, p6, p7 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
            for i in range(left):
                d0 = max(max(low[0, i] - p0, p0 - high[0, i]), zero)
                d1 = max(max(low[1, i] - p1, p1 - high[1, i]), zero)
                d2 = max(max(low[2, i] - p2, p2 - high[2, i]), zero)
                d3 = max(max(low[3, i] - p3, p3 - high[3, i]), zero)
                d4 = max(max(low[4, i] - p4, p4 - high[4, i]), zero)
                d5 = max(max(low[5, i] - p5, p5 - high[5, i]), zero)
                d6 = max(max(low[6, i] - p6, p6 - high[6, i]), zero)
                d7 = max(max(low[7, i] - p7, p7 - high[7, i]), zero)
                apart[i] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7
            a = number_a[order_a[leaf * LEAF + j]]
            ready = False
            for i in range(left):
                if apart[i] > most:
                    continue
                other = live[i]
                q = points_b[other]
                for c in range(LEAF):
                    d0, d1, d2, d3 = q[0, c] - p0, q[1, c] - p1, q[2, c] - p2, q[3, c] - p3
                    d4, d5, d6, d7 = q[4, c] - p4, q[5, c] - p5, q[6, c] - p6, q[7, c] - p7
                    near[c] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7
                compared += LEAF
                nearest = near[0]
                for c in range(LEAF):
                    nearest = min(nearest, near[c])
                if nearest > most:
                    continue
                for c in range(min(LEAF, count_b - other * LEAF)):
                    if near[c] <= most and not (same and other == leaf and c <= j):
                        b = number_b[order_b[other * LEAF + c]]
                        if ascending and not same and a >= b:
                            continue
                        directions += 1
                        if not ready:
                            for turn in range(len(orders)):
                                for column in range(width):
                                    back = orders[turn, column] - first_column[turn]
                                    turned[turn, back] = left_rows[a, orders[0, column]]
                            ready = True
                        passing = 0
                        for turn in range(len(orders)):
                            if turns >> turn & 1:
                                start = first_column[turn]
                                if _apart(turned[turn], right_rows[b, start : start + width], whole) <= whole:
                                    passing |= 1 << turn
                        if passing == 0:
                            continue
                        if found == len(bits):
                            return -1, compared, directions
                        if same and a > b:  # turn k of one is turn 4 - k of the other
                            found_a[found], found_b[found] = b, a
                            bits[found] = passing & 5 | (passing & 2) << 2 | (passing & 8) >> 2
                        else:
                            found_a[found], found_b[found] = a, b
                            bits[found] = passing
                        found += 1
    return found, compared, directions


def grow(keys: Floats) -> Grown:
    """Leaves around points, float32 (n, LEADING): the points' order, int32 (n,), their coordinates (leaves, LEADING,
    LEAF), the last ones infinite where n is no multiple, and the corners of the boxes, (LEADING, leaves) twice."""
    grown: Grown = _grow(np.ascontiguousarray(keys.T))
    return grown


class Leaves:
    """The filter in numba: see `space.Filter`."""

    def __init__(self, prepared: Prepared) -> None:
        self.levels = Levels()
        self._prepared, self._cut = prepared, prepared.cut
        self._everything = np.arange(len(prepared.right))
        self._grown = [None if step.symmetric else grow(step.right.rows) for step in prepared.passes]

    def candidates(self, a: Ints, b: Ints | None, ascending: bool, room: int) -> Candidates | None:
        """See `space.Filter`."""
        prepared, levels, whole = self._prepared, Levels(), NOTHING
        positions = self._everything if b is None else b
        for number, step in enumerate(prepared.passes):
            same = step.symmetric and ascending and b is None and len(a) == len(positions)
            grown_a = grow(step.left.rows if len(a) == len(prepared.left) else step.left.rows[a])
            if same:
                grown_b = grown_a
            elif b is None:
                grown_b = self._grown[number] = self._grown[number] or grow(step.right.rows)
            else:
                grown_b = grow(step.right.rows[b])
            pairs, bits = np.empty((2, room), np.int64), np.empty(room, np.uint8)
            found, compared, directions = _join(
                grown_a,
                grown_b,
                step.cut,
                same,
                a,
                positions,
                ascending,
                prepared.left,
                prepared.right,
                prepared.space.orders,
                step.turns,
                self._cut,
                pairs[0],
                pairs[1],
                bits,
            )
            if found < 0:
                return None
            part = Candidates(pairs[0, :found], pairs[1, :found], bits[:found])
            whole = merged([whole, part], len(prepared.right) + 1)
            if len(whole.a) > room:
                return None
            levels.compared += compared
            levels.directions += directions
        pairs_told = len(a) * len(positions) // (2 if ascending and b is None and len(a) == len(positions) else 1)
        self.levels.compared += levels.compared
        self.levels.directions += levels.directions
        self.levels.sums += len(whole.a)
        self.levels.order += max(0, pairs_told * len(prepared.passes) - levels.compared)
        return whole
