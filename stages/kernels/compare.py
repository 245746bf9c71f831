"""Compare the images of one block with those of another; exact, and never a loop over pairs.

A filter (`leaves.py` or `product.py`) names the pairs that may match, of all the images or, where these are too many to
hold, of some rows at a time. They are measured one by one (`exact.py`); but a tile that is crowded with them - flat
images, scans of text, frames of a film - is first thinned out by finer sums, and measured as a whole where that does
not help. So the worst that data can do is to cost the filter beside brute force.

Memory: room for CANDIDATES pairs (or LEAST rows of them), GATHERED bytes of points, and one tile of products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.kernels import exact, product, slack
from stages.kernels.arrays import CPU, Device
from stages.kernels.exact import Measure, Points, Values
from stages.kernels.space import (
    NOTHING,
    Candidates,
    Filter,
    Levels,
    Prepared,
    Space,
    largest_norm,
    merged,
    prepare,
)

TILE = 1_024
"""Images a side of a tile, at most."""
CANDIDATES = 1 << 22
ROWS = 1 << 20
"""Matches of a run of rows: a run with more is followed by one half as high."""
NARROW, LEAST = 64, 16
"""Rows of the first run that is taken tile by tile, and of the lowest."""
GATHERED = 256 << 20
"""Bytes of points that are held at a time to measure candidates."""
COMPILED = 1 << 27
"""Pairs of a block pair from which it pays to load the compiled filter."""

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Finer:
    """A further lower bound, from the points of a tile: vectors float32 (n, d), and their columns in each turn."""

    vectors: Callable[[Points], NDArray[np.float32]]
    orders: Ints


@dataclass(frozen=True)
class Metric:
    """A way of comparing: exactly, by a measure of points, and from below, by vectors in a space where it has any.

    turned  points at a turn: from points, as `Side.points` gives them, and k to what the measure takes
    size    bytes of one image's points
    """

    measure: Measure
    space: Space | None
    turned: Callable[[Points, int], Points]
    size: int
    finer: Sequence[Finer] = ()


@dataclass(frozen=True)
class Side:
    """Images of one block, in path order; representatives only, where groups are compared once.

    vectors  float32 (n, d), as the metric's space has them; (n, 0) without one
    weight   how many images each one stands for, int64 (n,)
    kind     only images of equal kind are compared, int64 (n,)
    hashes   numbers of the hashes at the four turns, equal where the hashes are, int64 (n, 4); or None
    points   from positions, int64 (m,), ascending, to points (k, ...) and which of these are theirs, int64 (m,)
    """

    vectors: NDArray[np.float32]
    weight: Ints
    kind: Ints
    hashes: Ints | None
    points: Callable[[Ints], tuple[Points, Ints]]

    def __len__(self) -> int:
        return len(self.weight)


@dataclass(frozen=True)
class Rules:
    """What is a match: a figure up to `limit`, or everything if that is None.

    `turns` is 4 or 1. `same_hash` says what becomes of pairs that agree in hash: compare, zero or skip."""

    limit: float | None
    turns: int
    same_hash: str


@dataclass
class Ledger:
    """What became of each pair of images; `identical` were not compared since a representative stood in."""

    decided: int = 0
    skipped_by_rule: int = 0
    identical: int = 0
    matches: int = 0


class Found(NamedTuple):
    """Matches: positions on either side, the least figure, the turns that attain it, and if it was measured."""

    a: Ints
    b: Ints
    values: Values
    turns: Bits
    measured: Mask

    def where(self, keep: Any) -> Found:
        """Some of the rows: a mask, a slice, or positions in order."""
        return Found(*(column[keep] for column in self))


def joined(parts: Sequence[Found]) -> Found:
    """Matches of several parts, sorted by position in a, then in b."""
    whole = Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return whole.where(np.lexsort((whole.b, whole.a)))


@dataclass(frozen=True)
class Earlier:
    """What an earlier artifact tells: all matches up to `limit` among the images that it knew and that are the same.

    known_a, known_b  which images those are, bool (n,)
    found             its rows of two such images, measured ones only, sorted
    """

    limit: float | None
    known_a: Mask
    known_b: Mask
    found: Found

    def covers(self, limit: float | None) -> bool:
        """Whether it has every match up to a limit (None: every pair)."""
        return self.limit is None or (limit is not None and limit <= self.limit)


@dataclass
class BlockPair:
    """Two blocks, or one with itself (`diagonal`); ledger and levels fill while runs are compared."""

    a: Side
    b: Side
    diagonal: bool
    rules: Rules
    metric: Metric
    device: Device = CPU
    earlier: Earlier | None = None
    ledger: Ledger = field(default_factory=Ledger)
    levels: Levels = field(default_factory=Levels)

    def __post_init__(self) -> None:
        self._most = np.inf if self.rules.limit is None else self.rules.limit
        self._empty = Found(
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, self.metric.measure.numbers),
            np.empty(0, np.uint8),
            np.empty(0, bool),
        )
        self._filter: Filter | None = None
        if self.metric.space is not None and self.rules.limit is not None and len(self.a) and len(self.b):
            right = self.a.vectors if self.diagonal else self.b.vectors
            self._filter = self._chosen(prepare(self.a.vectors, right, self.metric.space))
            self.levels = self._filter.levels
        self._count()

    def _chosen(self, prepared: Prepared) -> Filter:
        if not self.device.free and exact.compiled() and len(self.a) * len(self.b) >= COMPILED:
            from stages.kernels.leaves import Leaves

            return Leaves(prepared)
        return product.Product(prepared, self.device)

    def runs(self) -> Iterator[tuple[slice, Found]]:
        """For one run of a's images after the other: all their matches, sorted by position in a, then in b."""
        start, count = 0, len(self.a) if len(self.b) else 0
        height = count if self._filter is not None else max(1, min(TILE, ROWS // max(1, len(self.b))))
        while start < count:
            rows = slice(start, min(start + height, count))
            found = self._wide(rows) if rows.stop - start > TILE or rows.stop - start == count else self._narrow(rows)
            if found is None:
                height = (rows.stop - start) // 4
                height = height if height > TILE else NARROW
                continue
            self.ledger.matches += int((self.a.weight[found.a] * self.b.weight[found.b]).sum())
            yield rows, found
            start = rows.stop
            if len(found.a) <= ROWS // 4:
                height *= 2
            elif len(found.a) > ROWS:
                height = max(LEAST, height // 2)

    def _wide(self, rows: slice) -> Found | None:
        """All matches of a run of rows, by one sweep over b; None where there are too many candidates for that."""
        if self._filter is None:
            return self._narrow(rows)
        a = np.arange(rows.start, rows.stop)
        agree = self._agreeing(a, None, CANDIDATES)
        if agree is None:
            return None
        candidates = self._candidates(a, None, max(CANDIDATES, LEAST * len(self.b)))
        if candidates is None:
            return None
        return self._finished(rows, agree, [self._settled(rows, self._allowed(candidates, agree))])

    def _narrow(self, rows: slice) -> Found:
        """All matches of a low run of rows, tile by tile."""
        a = np.arange(rows.start, rows.stop)
        parts, agreeing = [], []
        for column in range(rows.start // TILE * TILE if self.diagonal else 0, len(self.b), TILE):
            b = np.arange(column, min(column + TILE, len(self.b)))
            agree = self._agreeing(a, b, len(a) * len(b))
            assert agree is not None
            agreeing.append(agree)
            if self._filter is None:
                parts.append(self._whole(a, b, agree))
            else:
                candidates = self._candidates(a, b, len(a) * len(b) * self.rules.turns)
                assert candidates is not None
                parts.append(self._settled(rows, self._allowed(candidates, agree)))
        return self._finished(rows, merged(agreeing, len(self.b) + 1), parts)

    def _candidates(self, a: Ints, b: Ints | None, room: int) -> Candidates | None:
        """Pairs that may match; with an earlier artifact, only those that it does not tell."""
        assert self._filter is not None
        if self.earlier is None or not self.earlier.covers(self.rules.limit):
            return self._filter.candidates(a, b, self.diagonal, room)
        columns = np.arange(len(self.b)) if b is None else b
        known = self.earlier.known_a[a]
        found = [
            self._filter.candidates(some, others, self.diagonal, room)
            for some, others in ((a[~known], b), (a[known], columns[~self.earlier.known_b[columns]]))
            if len(some) and (others is None or len(others))
        ]
        parts = [part for part in found if part is not None]
        if len(parts) < len(found):
            return None
        return merged(parts, len(self.b) + 1)

    def _finished(self, rows: slice, agree: Candidates, parts: list[Found]) -> Found:
        """Everything of a run, in order: what was measured, copied, and known unseen."""
        if self.earlier is not None:
            first, last = np.searchsorted(self.earlier.found.a, (rows.start, rows.stop))
            copied = self.earlier.found.where(slice(first, last))
            parts.append(copied.where(copied.values <= self._most))
            self.levels.copied += len(parts[-1].a)
        if self.rules.same_hash == "zero":
            unseen = np.zeros(len(agree.a), bool)
            parts.append(Found(agree.a, agree.b, unseen.astype(self.metric.measure.numbers), agree.turns, unseen))
        elif self.rules.same_hash == "skip":
            images = int((self.a.weight[agree.a] * self.b.weight[agree.b]).sum())
            self.ledger.decided -= len(agree.a)
            self.ledger.identical -= images - len(agree.a)
            self.ledger.skipped_by_rule += images
        return joined([self._empty, *parts])

    def _count(self) -> None:
        """Enter all pairs in the ledger, as if no hashes agreed: per kind, for only images of one kind are compared."""
        kinds = np.unique(np.concatenate([self.a.kind, self.b.kind]))
        (images_a, stand_a), (images_b, stand_b) = (_by_kind(side, kinds) for side in (self.a, self.b))
        if self.diagonal:
            squares = np.zeros(len(kinds), np.int64)
            np.add.at(squares, np.searchsorted(kinds, self.a.kind), self.a.weight**2)
            pairs, covered = stand_a * (stand_a - 1) // 2, (images_a**2 - squares) // 2
            images = (int(images_a.sum()) ** 2 - int(squares.sum())) // 2
        else:
            pairs, covered = stand_a * stand_b, images_a * images_b
            images = int(images_a.sum()) * int(images_b.sum())
        self.ledger.decided += int(pairs.sum())
        self.ledger.identical += int(covered.sum()) - int(pairs.sum())
        self.ledger.skipped_by_rule += images - int(covered.sum())

    def _agreeing(self, a: Ints, b: Ints | None, room: int) -> Candidates | None:
        """Pairs of one kind whose hashes agree, with the turns k in which hash_0 of one is hash_k of the other.

        None where there are more than `room`; none at all where agreeing does not matter."""
        parts: list[Candidates] = []
        hashes_a, hashes_b = self.a.hashes, self.b.hashes
        if self.rules.same_hash == "compare" or hashes_a is None or hashes_b is None:
            return NOTHING
        b = np.arange(len(self.b)) if b is None else b
        for turn in range(self.rules.turns):
            for column_a, column_b in {(0, turn), (-turn % 4, 0)}:
                pairs = _equal(hashes_a[a, column_a], hashes_b[b, column_b], room)
                if pairs is None:
                    return None
                i, j = a[pairs[0]], b[pairs[1]]
                keep = self.a.kind[i] == self.b.kind[j]
                if self.diagonal:
                    keep &= i < j
                parts.append(Candidates(i[keep], j[keep], np.full(np.count_nonzero(keep), 1 << turn, np.uint8)))
        return merged(parts, len(self.b) + 1)

    def _allowed(self, candidates: Candidates, agree: Candidates) -> Candidates:
        """Candidates that the rules let through and that are not known already."""
        keep, columns = self.a.kind[candidates.a] == self.b.kind[candidates.b], len(self.b)
        code = candidates.a * columns + candidates.b
        if len(agree.a):
            keep &= ~np.isin(code, agree.a * columns + agree.b)
        if self.earlier is not None and len(self.earlier.found.a):
            keep &= ~np.isin(code, self.earlier.found.a * columns + self.earlier.found.b)
        return candidates if keep.all() else candidates.where(keep)

    def _settled(self, rows: slice, candidates: Candidates) -> Found:
        """Measure candidates: one by one, or by whole tiles where they crowd."""
        across = -(-len(self.b) // TILE)
        tile = candidates.a // TILE * across + candidates.b // TILE
        count = np.bincount(tile) if len(tile) else np.empty(0, np.int64)
        parts = []
        for number in np.flatnonzero(count > self.metric.measure.dense * TILE * LEAST):
            i, j = divmod(int(number), across)
            a, b = _tile(i, rows), _tile(j, slice(0, len(self.b)))
            if count[number] > self.metric.measure.dense * len(a) * len(b):
                here = tile == number
                parts.append(self._crowded(a, b, candidates.where(here)))
                candidates, tile = candidates.where(~here), tile[~here]
        return joined([self._empty, *parts, *self._one_by_one(candidates)])

    def _one_by_one(self, candidates: Candidates) -> Iterator[Found]:
        """Measure candidates as many at a time as there is room for their points."""
        a, b = np.unique(candidates.a), np.unique(candidates.b)
        if (len(a) + len(b)) * self.metric.size > GATHERED and len(candidates.a) > 1:
            middle = len(candidates.a) // 2
            yield from self._one_by_one(candidates.where(slice(None, middle)))
            yield from self._one_by_one(candidates.where(slice(middle, None)))
        elif len(candidates.a):
            (points_a, rows_a), (points_b, rows_b) = self.a.points(a), self.b.points(b)
            i, j = rows_a[np.searchsorted(a, candidates.a)], rows_b[np.searchsorted(b, candidates.b)]
            yield self._measured(candidates, points_a, points_b, i, j)

    def _measured(self, candidates: Candidates, points_a: Points, points_b: Points, i: Ints, j: Ints) -> Found:
        """Measure candidates in the turns in which they may match; their points are the rows i and j.

        A turn that attains the least, being a match, passes every lower bound; so no other needs measuring."""
        measure = self.metric.measure
        values: Values = np.full((self.rules.turns, len(i)), _beyond(measure.numbers), measure.numbers)
        left = self.metric.turned(points_a, 0)
        for turn in range(self.rules.turns):
            passing = np.flatnonzero(candidates.turns >> turn & 1)
            if len(passing):
                right, place = points_b, j[passing]
                if turn:
                    used, place = np.unique(place, return_inverse=True)
                    right = points_b[used]
                right = self.metric.turned(right, turn)
                values[turn, passing] = measure.pairs(left, right, i[passing], place, self._most)
        self.levels.checked += len(i)
        smallest, bits = exact.least(values)
        found = Found(candidates.a, candidates.b, smallest, bits, np.ones(len(i), bool))
        return found.where(smallest <= self._most)

    def _crowded(self, a: Ints, b: Ints, candidates: Candidates) -> Found:
        """Measure the candidates of a tile that has many."""
        points_a, points_b = _whole(self.a, a), _whole(self.b, b)
        crowded = self.metric.measure.dense * len(a) * len(b)
        for finer in self.metric.finer:
            before = len(candidates.a)
            candidates = self._thinned(candidates, a, b, finer, points_a, points_b)
            self.levels.finer += len(candidates.a)
            if len(candidates.a) <= crowded:
                return self._measured(candidates, points_a, points_b, candidates.a - a[0], candidates.b - b[0])
            if len(candidates.a) > before // 2:
                break  # these are matches, or near ones: a finer grid would let them pass as well
        mask = np.zeros((len(a), len(b)), bool)
        mask[candidates.a - a[0], candidates.b - b[0]] = True
        return self._product(a, b, points_a, points_b, mask)

    def _thinned(
        self, candidates: Candidates, a: Ints, b: Ints, finer: Finer, points_a: Points, points_b: Points
    ) -> Candidates:
        """Candidates of a tile that pass a finer bound, by one product a turn."""
        assert self.metric.space is not None
        left, right = finer.vectors(points_a), finer.vectors(points_b)
        norm_a, norm_b = largest_norm(left), largest_norm(right)
        bound = slack.bound(self.metric.space.squared, norm_a, norm_b, finer.orders.shape[1])
        i, j = candidates.a - a[0], candidates.b - b[0]
        left = product.operand(left[:, finer.orders[0]])
        bits = np.zeros(len(i), np.uint8)
        for turn, order in enumerate(finer.orders):
            may = left @ product.operand(right[:, order], right=True).T >= bound
            bits |= may[i, j].astype(np.uint8) << turn
        bits &= candidates.turns
        return Candidates(candidates.a[bits > 0], candidates.b[bits > 0], bits[bits > 0])

    def _whole(self, a: Ints, b: Ints, agree: Candidates) -> Found:
        """Every pair of a tile that the rules let through and no earlier artifact tells, without a filter."""
        kinds = self.a.kind[a][:, None] == self.b.kind[b]
        mask = kinds & (a[:, None] < b) if self.diagonal else kinds
        mask[agree.a - a[0], agree.b - b[0]] = False
        if self.earlier is not None:
            mask &= ~self._told(a, b)
        known = np.zeros(len(a), bool) if self.earlier is None else self.earlier.known_a[a]
        return joined([self._empty, *(self._needed(a, b, mask & rows[:, None]) for rows in (known, ~known))])

    def _needed(self, a: Ints, b: Ints, mask: Mask) -> Found:
        """The matches under a mask, by the product of the rows and columns that it needs: one, for a new image."""
        i, j = mask.any(axis=1), mask.any(axis=0)
        a, b, mask = a[i], b[j], mask[i][:, j]
        if not len(a):
            return self._empty
        return self._product(a, b, _whole(self.a, a), _whole(self.b, b), mask)

    def _told(self, a: Ints, b: Ints) -> Mask:
        """Which pairs of a tile an earlier artifact tells."""
        assert self.earlier is not None
        if self.earlier.covers(self.rules.limit):
            return self.earlier.known_a[a][:, None] & self.earlier.known_b[b]
        told = np.zeros((len(a), len(b)), bool)
        found = self.earlier.found
        here = (found.a >= a[0]) & (found.a <= a[-1]) & (found.b >= b[0]) & (found.b <= b[-1])
        told[found.a[here] - a[0], found.b[here] - b[0]] = True
        return told

    def _product(self, a: Ints, b: Ints, points_a: Points, points_b: Points, mask: Mask) -> Found:
        """Measure every pair of a tile, and keep the matches under a mask."""
        left = self.metric.turned(points_a, 0)
        turns = range(self.rules.turns)
        smallest, bits = exact.least(
            np.stack([self.metric.measure.cross(left, self.metric.turned(points_b, turn)) for turn in turns])
        )
        self.levels.products += len(a) * len(b)
        keep = mask & (smallest <= self._most)
        i, j = np.nonzero(keep)
        return Found(a[i], b[j], smallest[keep], bits[keep], np.ones(len(i), bool))


def _whole(side: Side, positions: Ints) -> Points:
    """Points of these positions and no others, (m, ...)."""
    points, rows = side.points(positions)
    return points[rows]


def _beyond(numbers: type) -> Any:
    return np.iinfo(np.int64).max if numbers is np.int64 else np.inf


def _by_kind(side: Side, kinds: Ints) -> tuple[Ints, Ints]:
    """For each kind, how many images there are, and how many stand for them: int64 (kinds,), exactly."""
    place = np.searchsorted(kinds, side.kind)
    images = np.zeros(len(kinds), np.int64)
    np.add.at(images, place, side.weight)
    return images, np.bincount(place, minlength=len(kinds))


def _tile(number: int, within: slice) -> Ints:
    """Positions of one tile that lie within a slice."""
    return np.arange(max(number * TILE, within.start), min((number + 1) * TILE, within.stop))


def _equal(x: Ints, y: Ints, room: int) -> tuple[Ints, Ints] | None:
    """Places i, j with x[i] == y[j]; None where there are more than `room`."""
    order = np.argsort(y, kind="stable")
    first, last = (np.searchsorted(y[order], x, side) for side in ("left", "right"))
    count = last - first
    total = int(count.sum())
    if total > room:
        return None
    i = np.repeat(np.arange(len(x)), count)
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    return i, order[np.repeat(first, count) + within]
