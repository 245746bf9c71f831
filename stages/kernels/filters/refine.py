"""Measure candidates one by one, or whole tiles with many candidates.

Some data defeat lower bounds: for flat images, scans of text and frames of a film, a bound excludes few pairs of a
tile. The choice between single pairs and whole tiles compares costs (`exact.Costs`). A sample of a tile's
candidates, spread over the tile, is measured first. If few sampled candidates are matches, finer sums exclude most
others at the cost of one product per turn, or measuring most others ends early. If most sampled candidates are matches,
nothing is faster than the exact product of the remaining rows and columns. The worst case takes the time of brute force
plus the time of one bound. tests/benchmarks/pairs.py compares the pair engine with brute force on such data.

Measured at 64x64x3, one core: a pair that ends early costs 0.16 µs, a match 0.8 µs, both 10 µs in NumPy; a pair of
the exact product 0.025 µs by NumKong, 0.2 µs by BLAS; 8x8 sums 14 µs an image and 0.005 µs a pair. Sums of 16x16
cells cost 110 µs an image, and were never faster than the product. A choice by a fixed share of candidates, instead of
costs and a sample, was up to twenty times slower than brute force for many candidates with few matches.

Memory: `Tuning.gathered` bytes of points in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.kernels.arrays import Device
from stages.kernels.bounds import slack
from stages.kernels.bounds.space import Candidates, Levels, largest_norm
from stages.kernels.filters import product
from stages.kernels.measure.exact import Points, Values
from stages.kernels.measure.metric import Bits, Floats, Ints, MatchArrays, Metric, Side, View, joined, nothing
from stages.kernels.measure.turns import least
from stages.kernels.tuning import Tuning


@dataclass
class TileSide:
    """Some images of one side of a tile; points and vectors are computed on first use."""

    side: Side
    positions: Ints
    metric: Metric
    left: bool

    def __post_init__(self) -> None:
        self._views: list[Points] = []
        self._vectors: dict[int, Floats] = {0: self.side.vectors[self.positions]}

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def points(self) -> Points:
        """Return the points of this tile's images only, shape (n, …)."""
        points, rows = self.side.points(self.positions)
        return points[rows]

    def views(self, turns: int, rows: Ints) -> list[Points]:
        """Return the points of some rows, one array per turn.

        If the metric does not turn this side, all turns share one array."""
        made = self.metric.left if self.left else self.metric.right
        for turn in range(len(self._views), turns):
            self._views.append(made(self.points, turn) if made else self.points)
        if len(rows) == len(self):
            return self._views
        chosen = {id(view): view[rows] for view in self._views}
        return [chosen[id(view)] for view in self._views]

    def vectors(self, level: int) -> Floats:
        """Return vectors for a bound: level 0 is the metric's space, level k is finer[k - 1]."""
        if level not in self._vectors:
            self._vectors[level] = self.metric.finer[level - 1].vectors(self.points)
        return self._vectors[level]


class Refiner:
    """Measures pairs of two sides, and counts the measured pairs in `levels`."""

    def __init__(
        self, a: Side, b: Side, metric: Metric, turns: int, most: float, device: Device, levels: Levels, tuning: Tuning
    ) -> None:
        self._a, self._b, self._metric = a, b, metric
        self._turns, self._most, self._device, self._levels = turns, most, device, levels
        self._tuning = tuning
        self._costs = metric.measure.costs(metric.size)
        self.side = min(tuning.tile, max(16, tuning.gathered // max(1, (turns + 1) * metric.size)))

    def part(self, positions: Ints, left: bool) -> TileSide:
        """Return the images of the left or the right side of a tile."""
        return TileSide(self._a if left else self._b, positions, self._metric, left)

    def candidates(self, candidates: Candidates) -> MatchArrays:
        """Return the matches among candidates, sorted by position in a."""
        side, columns = self.side, -(-len(self._b) // self.side)
        tile = candidates.a // side * columns + candidates.b // side
        count = np.bincount(tile) if len(tile) else np.empty(0, np.int64)
        crowded = np.flatnonzero(count * self._costs.alike > side * self._turns * self._costs.product)
        order = np.argsort(tile, kind="stable") if len(crowded) else tile
        stops, single = np.cumsum(count), np.ones(len(tile), bool)
        parts = [nothing(self._metric)]
        for number in crowded:
            i, j = divmod(int(number), columns)
            left = np.arange(i * side, min((i + 1) * side, len(self._a)))
            right = np.arange(j * side, min((j + 1) * side, len(self._b)))
            here = order[stops[number] - count[number] : stops[number]]
            crowd = candidates.where(here)
            rows = np.count_nonzero(np.bincount(crowd.a - left[0]))
            if len(crowd.a) * self._costs.alike > rows * len(right) * self._turns * self._costs.product:
                bits = np.zeros((len(left), len(right)), np.uint8)
                bits[crowd.a - left[0], crowd.b - right[0]] = crowd.turns
                parts.append(self.tile(self.part(left, True), self.part(right, False), bits))
                single[here] = False
        return joined([*parts, *self._one_by_one(candidates.where(single))])

    def tile(self, left: TileSide, right: TileSide, bits: Bits) -> MatchArrays:
        """Return the matches of a tile.

        bits  the turns in which each pair is to be compared, uint8 (left, right)"""
        alike, each, level, finest = 1.0, self._costs.alike, 1, len(self._metric.finer)
        if np.count_nonzero(bits) > self._tuning.many and self._metric.space is not None:
            alike, each = self._sampled(left, right, bits)
        while True:
            may = bits > 0
            i, j = np.flatnonzero(may.any(axis=1)), np.flatnonzero(may.any(axis=0))
            turns = sum(int(np.count_nonzero(bits & 1 << turn)) for turn in range(self._turns))
            one = turns * each
            whole = len(i) * len(j) * self._turns * self._costs.product
            if level > finest:
                break
            finer = bits.size * self._metric.finer[level - 1].orders.size
            if self._tuning.gain * finer > (1 - alike) * min(one, whole):
                break
            bits = bits & self.bounds(left, right, level)
            self._levels.finer += int(np.count_nonzero(bits))
            level += 1
        if one >= whole:
            return self._product(left, right, bits, i, j)
        a, b = np.divmod(np.flatnonzero(bits > 0), len(right))
        some = Candidates(left.positions[a], right.positions[b], bits[a, b])
        return self._measured(some, left.points, right.points, a, b)

    def _sampled(self, left: TileSide, right: TileSide, bits: Bits) -> tuple[float, float]:
        """Return a sample's share of matches, and the mean cost of a candidate in one turn.

        Measuring a pair that is not a match ends early, once the sum over its first bytes reaches the limit."""
        places = np.flatnonzero(bits > 0)
        i, j = np.divmod(places[:: max(1, len(places) // self._tuning.measured)], bits.shape[1])
        matches, costs = np.zeros(len(i), bool), []
        for turn in range(self._turns):
            passing = np.flatnonzero(bits[i, j] >> turn & 1)
            if len(passing):
                values = self._in_turn(left.points, right.points, i[passing], j[passing], turn, np.inf)
                matches[passing] |= values <= self._most
                costs.append(self._costs.alike * self._most / np.maximum(values, max(self._most, 1)))
        self._levels.checked += len(i)
        return float(matches.mean()), float(np.maximum(np.concatenate(costs), self._costs.apart).mean())

    def bounds(self, left: TileSide, right: TileSide, level: int) -> Bits:
        """Return the turns in which each pair of a tile passes a bound, as bits, uint8 (left, right)."""
        space, xp = self._metric.space, self._device.xp
        assert space is not None
        orders = space.orders if level == 0 else self._metric.finer[level - 1].orders
        u, v = left.vectors(level), right.vectors(level)
        bound = float(slack.bound(space.squared, largest_norm(u), largest_norm(v), orders.shape[1]))
        rows = self._device.put(product.operand(u[:, orders[0]]))
        passing = xp.zeros((len(u), len(v)), dtype=xp.uint8)
        for turn, order in enumerate(orders):
            columns = self._device.put(product.operand(v[:, order], right=True))
            may = xp.logical_not(xp.matmul(rows, columns.T) < bound)
            passing = passing | xp.astype(may, xp.uint8) * (1 << turn)
        found: Bits = np.asarray(self._device.get(passing))
        return found

    def _product(self, left: TileSide, right: TileSide, bits: Bits, i: Ints, j: Ints) -> MatchArrays:
        """Return the matches of rows i and columns j of a tile, measured by a matrix product."""
        if not len(i):
            return nothing(self._metric)
        if 4 * len(i) > 3 * len(left):  # copying a subset would cost more than measuring all
            i = np.arange(len(left))
        if 4 * len(j) > 3 * len(right):
            j = np.arange(len(right))
        wanted = bits > 0 if bits.shape == (len(i), len(j)) else bits[np.ix_(i, j)] > 0
        self._levels.products += len(i) * len(j)
        lefts, rights = (part.views(self._turns, rows) for part, rows in ((left, i), (right, j)))
        near = self._metric.measure.near(lefts, rights, wanted, self._most)
        a, b = left.positions[i[near.i]], right.positions[j[near.j]]
        return MatchArrays(a, b, near.values, near.turns, np.ones(len(a), bool))

    def _one_by_one(self, candidates: Candidates) -> Iterator[MatchArrays]:
        """Yield the matches among candidates, measured in parts that fit in memory."""
        a, b = np.unique(candidates.a), np.unique(candidates.b)
        if (len(a) + len(b)) * self._metric.size > self._tuning.gathered and len(candidates.a) > 1:
            longer, places = (a, candidates.a) if len(a) > len(b) else (b, candidates.b)
            lower = places < longer[len(longer) // 2]
            for half in (lower, ~lower):
                yield from self._one_by_one(candidates.where(half))
        elif len(candidates.a):
            (points_a, rows_a), (points_b, rows_b) = self._a.points(a), self._b.points(b)
            i, j = rows_a[np.searchsorted(a, candidates.a)], rows_b[np.searchsorted(b, candidates.b)]
            yield self._measured(candidates, points_a, points_b, i, j)

    def _measured(self, candidates: Candidates, points_a: Points, points_b: Points, i: Ints, j: Ints) -> MatchArrays:
        """Return the matches among candidates, measured in the candidates' turns.

        i, j  rows of points_a and points_b that belong to each candidate

        A turn that attains a match's least distance passes every lower bound, so no other turn needs measuring."""
        metric = self._metric
        values: Values = np.full((self._turns, len(i)), _beyond(metric.measure.numbers), metric.measure.numbers)
        for turn in range(self._turns):
            passing = np.flatnonzero(candidates.turns >> turn & 1)
            if len(passing):
                values[turn, passing] = self._in_turn(points_a, points_b, i[passing], j[passing], turn, self._most)
        self._levels.checked += len(i)
        smallest, bits = least(values)
        found = MatchArrays(candidates.a, candidates.b, smallest, bits, np.ones(len(i), bool))
        return found.where(smallest <= self._most)

    def _in_turn(self, points_a: Points, points_b: Points, i: Ints, j: Ints, turn: int, most: float) -> Values:
        """Return the distances of the rows i from the rows j in one turn."""
        metric = self._metric
        left, at_left = _seen(metric.left, points_a, i, turn)
        right, at_right = _seen(metric.right, points_b, j, turn)
        return metric.measure.pairs(left, right, at_left, at_right, most)


def _seen(view: View | None, points: Points, rows: Ints, turn: int) -> tuple[Points, Ints]:
    """Return the points to compare, and the index of each of `rows` in these points."""
    if view is None or turn == 0:
        return (view(points, 0) if view else points), rows
    used = np.unique(rows)
    return view(points[used], turn), np.searchsorted(used, rows)


def _beyond(numbers: type) -> float:
    return np.iinfo(np.int64).max if numbers is np.int64 else np.inf
