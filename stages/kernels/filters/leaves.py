"""Find pairs that may match by the leaves of a k-d tree, compiled by numba.

`tree.py` puts the points, in LEADING principal directions, into leaves of LEAF points with a box around each leaf.
For one leaf of a,

    the leaf's box against the boxes of b's leaves   ->  some leaves of b
    each point of the leaf against these boxes       ->  few leaves of b
    each point of the leaf against points of b       ->  few points of b
    the same points along DIRECTIONS                 ->  fewer points of b
    long vectors, if crowded: along WIDE directions  ->  fewer points of b
    the whole vectors, in every turn                 ->  candidates

Distances to boxes and to points are summed over all directions, not compared direction by direction: most boxes are
near in each single direction and too far in several directions together. Leaves are stored direction by direction,
so that the inner loops read adjacent memory and compile to vector instructions.

Measured on 30,240 photographs' thumbnails, one core, with the time to build the leaves, in 10⁹ pairs a second: 20 with
leaves of 32, 18 with 16 or 64; two thirds of the time goes to comparing points. On the same machine and data the
products of `product.py` reach 2 to 4. Sorting along one direction leaves 18 % of the pairs to compare, a grid on two
directions sorted along a third leaves 4.5 %, and boxes around leaves leave 1.6 %."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds.directions import DIRECTIONS, LEADING, WIDE
from stages.kernels.bounds.space import NOTHING, Candidates, Levels, Prepared, merged
from stages.kernels.filters.tree import LEAF, leaves_of
from stages.kernels.measure.native import Function, native
from stages.kernels.measure.turns import inverses

Ints = NDArray[np.int64]


def _in_any_order(function: Function) -> Function:
    """Compile a function in which sums may be added in any order.

    The slack of `bounds/slack.py` allows for any order of additions."""
    return native(function, fastmath={"reassoc", "contract", "nsz"})


@_in_any_order
def _apart(u: Any, v: Any, most: Any) -> Any:
    """Return the sum of squared differences of two vectors; a sum above `most` may be incomplete."""
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
    further: Any,
    furthest: Any,
    same: Any,
    number_a: Any,
    number_b: Any,
    ascending: Any,
    wide_a: Any,
    wide_b: Any,
    left_rows: Any,
    right_rows: Any,
    orders: Any,
    inverses: Any,
    turns: Any,
    whole: Any,
    found_a: Any,
    found_b: Any,
    bits: Any,
) -> tuple[int, int, int]:
    """Find pairs of points whose whole vectors are near in some turn.

    most       the greatest squared distance along the leading directions
    further    the greatest squared distance along DIRECTIONS
    furthest   the greatest squared distance along WIDE directions
    wide_a, wide_b  vectors along WIDE directions, (n, WIDE), in the order of the leaves; or (n, 0)
    whole      the greatest squared distance of whole vectors
    same       whether a and b are the same points; then each pair is returned once, the smaller number first
    ascending  leave out pairs whose number in a is not less than the number in b
    inverses   the place of each turn's inverse among the turns
    found_a, found_b, bits  output arrays: the numbers on either side, and the turns

    Returns the number of pairs found, or -1 if the output arrays are too short; the number of compared pairs of points;
    and the number of these pairs that were near along all directions.

    Turning the vector of b by a turn gives the same distance as turning the vector of a by the inverse turn. Therefore
    the vector of a is turned once by each inverse turn, and then compared with all vectors of b."""
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
                for k in range(LEADING, DIRECTIONS):
                    for c in range(LEAF):
                        step = q[k, c] - p[k]
                        near[c] += step * step
                for c in range(min(LEAF, count_b - other * LEAF)):
                    if near[c] <= further and not (same and other == leaf and c <= j):
                        b = number_b[order_b[other * LEAF + c]]
                        if ascending and not same and a >= b:
                            continue
                        directions += 1
                        if _apart(wide_a[leaf * LEAF + j], wide_b[other * LEAF + c], furthest) > furthest:
                            continue
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
                        if same and a > b:  # a turn of one image is the inverse turn of the other
                            found_a[found], found_b[found] = b, a
                            back_bits = 0
                            for turn in range(len(orders)):
                                back_bits |= (passing >> turn & 1) << inverses[turn]
                            bits[found] = back_bits
                        else:
                            found_a[found], found_b[found] = a, b
                            bits[found] = passing
                        found += 1
    return found, compared, directions


class Leaves:
    """Find the pairs that may match by leaves of a k-d tree; implements `space.Filter`."""

    def __init__(self, prepared: Prepared) -> None:
        self.levels = Levels()
        self._prepared, self._cut = prepared, prepared.cut
        self._inverses = inverses(prepared.space.turns)
        self._everything = np.arange(len(prepared.right))

    def candidates(self, a: Ints, b: Ints | None, ascending: bool, room: int) -> Candidates | None:
        """Return the pairs of positions of a and b that may match; None for more than `room` pairs."""
        prepared, levels, whole = self._prepared, Levels(), NOTHING
        positions = self._everything if b is None else b
        for step in prepared.passes:
            same = step.symmetric and ascending and b is None and len(a) == len(positions)
            grown_a = leaves_of(step.left, a if len(a) < len(prepared.left) else None)
            grown_b = grown_a if same else leaves_of(step.right, b)
            pairs, bits = np.empty((2, room), np.int64), np.empty(room, np.uint8)
            found, compared, directions = _join(
                grown_a,
                grown_b,
                step.cut(LEADING),
                step.cut(DIRECTIONS),
                step.cut(WIDE),
                same,
                a,
                positions,
                ascending,
                step.left.wide[a[grown_a[0]]],
                step.right.wide[positions[grown_b[0]]],
                prepared.left,
                prepared.right,
                prepared.space.orders,
                self._inverses,
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
        total = len(a) * len(positions) // (2 if ascending and b is None and len(a) == len(positions) else 1)
        self.levels.compared += levels.compared
        self.levels.directions += levels.directions
        self.levels.sums += len(whole.a)
        self.levels.order += max(0, total * len(prepared.passes) - levels.compared)
        return whole
