"""Compare the images of one block with those of another; exact, and never a loop over pairs.

A filter (`leaves.py` or `product.py`) names the pairs that may match, of all the images or of some rows at a time; they
are measured by `check.py`. Where a sample says that most pairs would pass - flat images, scans of text, frames of a
film - no filter is asked: tiles are bounded and measured one after the other.

Memory: room for CANDIDATES pairs (or LEAST rows of them), the matches among PAIRS, and what `check.py` takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stages.kernels.arrays import CPU, Device, compiled
from stages.kernels.bounds.space import NOTHING, Candidates, Filter, Levels, merged, prepare
from stages.kernels.filters import product
from stages.kernels.filters.check import Check
from stages.kernels.measure.metric import Bits, Found, Ints, Mask, Metric, Side, joined, nothing

CANDIDATES = 1 << 22
ROWS = 1 << 20
"""Matches of a run of rows with which the next one may be twice as high."""
PAIRS, LEAST = 1 << 23, 16
"""Pairs of a run that is taken tile by tile, all of which may be matches; and the rows of the lowest."""
SAMPLE = 512
"""Images a side that tell how many pairs of a block pair will pass the bounds."""
CROWDED = 0.03
"""Share of pairs that pass from which tiles are cheaper than a filter."""
COMPILED = 1 << 27
"""Pairs of a block pair from which it pays to load the compiled filter."""


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
        self._empty = nothing(self.metric)
        self._settled_a, self._settled_b = _settled(self.a), _settled(self.b)
        self._idle = bool(self._settled_a.all() and self._settled_b.all())
        self._filter: Filter | None = None
        self._check = Check(self.a, self.b, self.metric, self.rules.turns, self._most, self.device, self.levels)
        self._count()
        self._bounded = self.metric.space is not None and self.rules.limit is not None
        if self._bounded and not self._idle and len(self.a) and len(self.b) and self._share() <= CROWDED:
            assert self.metric.space is not None
            right = self.a.vectors if self.diagonal else self.b.vectors
            prepared = prepare(self.a.vectors, right, self.metric.space)
            if not self.device.free and compiled() and len(self.a) * len(self.b) >= COMPILED:
                from stages.kernels.filters.leaves import Leaves

                self._filter = Leaves(prepared)
            else:
                self._filter = product.Product(prepared, self.device)
            self._filter.levels = self.levels

    def _share(self) -> float:
        """Of the pairs of some images of either side, how many may match."""
        parts = [
            self._check.part(np.unique(np.linspace(0, len(side) - 1, SAMPLE).astype(np.int64)), left)
            for side, left in ((self.a, True), (self.b, False))
        ]
        passing = self._check.bounds(parts[0], parts[1], 0)
        return float(np.count_nonzero(passing) / passing.size)

    def runs(self) -> Iterator[tuple[slice, Found]]:
        """For one run of a's images after the other: all their matches, sorted by position in a, then in b."""
        start, count, side = 0, 0 if self._idle else len(self.a) if len(self.b) else 0, self._check.side
        low = min(side, max(LEAST, PAIRS // max(1, len(self.b))))
        height, wide = (low, False) if self._filter is None else (count, True)
        while start < count:
            rows = slice(start, min(start + height, count))
            found = self._wide(rows) if wide else self._narrow(rows)
            if found is None:
                height = (rows.stop - start) // 4
                wide = height > side
                height = height if wide else low
                continue
            self.ledger.matches += int((self.a.weight[found.a] * self.b.weight[found.b]).sum())
            yield rows, found
            start = rows.stop
            if self._filter is not None and len(found.a) <= ROWS:
                height *= 2
                wide = height > side

    def _wide(self, rows: slice) -> Found | None:
        """All matches of a run of rows, by one sweep over b; None where there are too many candidates for that."""
        a = np.arange(rows.start, rows.stop)
        agree = self._agreeing(a, None, CANDIDATES)
        if agree is None:
            return None
        candidates = self._candidates(a, max(CANDIDATES, LEAST * len(self.b)))
        if candidates is None:
            return None
        return self._finished(rows, agree, [self._check.candidates(self._allowed(candidates, agree))])

    def _narrow(self, rows: slice) -> Found:
        """All matches of a low run of rows, tile by tile."""
        side, a = self._check.side, np.arange(rows.start, rows.stop)
        b = np.arange(rows.start if self.diagonal else 0, len(self.b))
        agree = self._agreeing(a, b, len(a) * len(b))
        assert agree is not None
        parts = []
        for some, others in self._areas(a, b):
            for low in range(0, len(some), side):
                left = self._check.part(some[low : low + side], True)
                for start in range(0, len(others), side):
                    right = self._check.part(others[start : start + side], False)
                    bits = self._wanted(left.positions, right.positions, agree)
                    if self._bounded and bits.any():
                        self.levels.compared += int(np.count_nonzero(bits))
                        self.levels.directions += int(np.count_nonzero(bits))
                        bits &= self._check.bounds(left, right, 0)
                        self.levels.sums += int(np.count_nonzero(bits))
                    if bits.any():
                        parts.append(self._check.tile(left, right, bits))
        return self._finished(rows, agree, parts)

    def _wanted(self, a: Ints, b: Ints, agree: Candidates) -> Bits:
        """Pairs of a tile that the rules let through and that are not known already: all turns, or none."""
        mask = self.a.kind[a][:, None] == self.b.kind[b]
        mask &= ~(self._settled_a[a][:, None] & self._settled_b[b])
        if self.diagonal:
            mask &= a[:, None] < b
        for known in (agree, self.earlier.found if self.earlier else self._empty):
            these = slice(*np.searchsorted(known.a, (a[0], a[-1] + 1)))
            i, j = _places(a, known.a[these]), _places(b, known.b[these])
            here = (i >= 0) & (j >= 0)
            mask[i[here], j[here]] = False
        bits: Bits = mask * np.uint8((1 << self.rules.turns) - 1)
        return bits

    def _areas(self, a: Ints, b: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Positions that are to be compared: not two settled ones, nor two that an earlier artifact tells of."""
        told = self.earlier if self.earlier is not None and self.earlier.covers(self.rules.limit) else None
        for some, others in _unless_both(a, b, self._settled_a, self._settled_b):
            if told is None:
                yield some, others
            else:
                yield from _unless_both(some, others, told.known_a, told.known_b)

    def _candidates(self, a: Ints, room: int) -> Candidates | None:
        """Pairs that may match; with an earlier artifact, only those that it does not tell."""
        assert self._filter is not None
        parts = []
        for some, others in self._areas(a, np.arange(len(self.b))):
            everyone = len(others) == len(self.b)
            part = self._filter.candidates(some, None if everyone else others, self.diagonal, room)
            if part is None:
                return None
            parts.append(part)
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
        everyone = np.ones(len(self.a), bool), np.ones(len(self.b), bool)
        pairs, covered, images = self._counted(kinds, *everyone)
        settled, within, _ = self._counted(kinds, self._settled_a, self._settled_b)
        pairs, covered = pairs - settled, covered - within
        self.ledger.decided += pairs
        self.ledger.identical += covered - pairs
        self.ledger.skipped_by_rule += images - covered

    def _counted(self, kinds: Ints, in_a: Mask, in_b: Mask) -> tuple[int, int, int]:
        """Of some images of either side: pairs of one kind, of those that stand for others and of all; all pairs."""
        images_a, stand_a = _by_kind(self.a, in_a, kinds)
        images_b, stand_b = _by_kind(self.b, in_b, kinds)
        if not self.diagonal:
            covered = int((images_a * images_b).sum())
            return int((stand_a * stand_b).sum()), covered, int(images_a.sum()) * int(images_b.sum())
        squares = int((self.a.weight[in_a] ** 2).sum())
        covered = (int((images_a**2).sum()) - squares) // 2
        return int((stand_a * (stand_a - 1) // 2).sum()), covered, (int(images_a.sum()) ** 2 - squares) // 2

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
                keep = (self.a.kind[i] == self.b.kind[j]) & ~(self._settled_a[i] & self._settled_b[j])
                if self.diagonal:
                    keep &= i < j
                parts.append(Candidates(i[keep], j[keep], np.full(np.count_nonzero(keep), 1 << turn, np.uint8)))
        return merged(parts, len(self.b) + 1)

    def _allowed(self, candidates: Candidates, agree: Candidates) -> Candidates:
        """Candidates that the rules let through and that are not known already."""
        keep, columns = self.a.kind[candidates.a] == self.b.kind[candidates.b], len(self.b)
        keep &= ~(self._settled_a[candidates.a] & self._settled_b[candidates.b])
        code = candidates.a * columns + candidates.b
        if len(agree.a):
            keep &= ~np.isin(code, agree.a * columns + agree.b)
        if self.earlier is not None and len(self.earlier.found.a):
            keep &= ~np.isin(code, self.earlier.found.a * columns + self.earlier.found.b)
        return candidates if keep.all() else candidates.where(keep)


def _unless_both(a: Ints, b: Ints, in_a: Mask, in_b: Mask) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of positions a and b but for those of which both are masked, as up to two products."""
    masked = in_a[a]
    for some, others in ((a[~masked], b), (a[masked], b[~in_b[b]])):
        if len(some) and len(others):
            yield some, others


def _settled(side: Side) -> Mask:
    return np.zeros(len(side), bool) if side.settled is None else side.settled


def _by_kind(side: Side, some: Mask, kinds: Ints) -> tuple[Ints, Ints]:
    """For each kind, how many images there are, and how many stand for them: int64 (kinds,), exactly."""
    place = np.searchsorted(kinds, side.kind[some])
    images = np.zeros(len(kinds), np.int64)
    np.add.at(images, place, side.weight[some])
    return images, np.bincount(place, minlength=len(kinds))


def _places(positions: Ints, values: Ints) -> Ints:
    """Where values stand among positions, ascending; -1 for none."""
    place = np.minimum(np.searchsorted(positions, values), len(positions) - 1)
    return np.where(positions[place] == values, place, -1)


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
