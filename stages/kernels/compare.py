"""Compare the images of one block with the images of another block, exactly.

A filter (`filters/leaves.py` or `filters/product.py`) finds the candidates: pairs that the lower bounds can't
exclude, among all images or among some rows at a time. `filters/refine.py` measures the candidates. If a sample
shows that most pairs would pass the filter (flat images, scans of text, frames of a film), no filter is used: tiles
are bounded and measured one after the other. No step loops over pairs in Python.

Memory: room for `Tuning.candidates` pairs (or `Tuning.rows` rows of pairs), for matches among `Tuning.pairs` pairs, and
for `Tuning.gathered` bytes of points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stages.kernels.arrays import CPU, Device, compiled
from stages.kernels.bounds.space import NOTHING, Candidates, Filter, Levels, merged, prepare
from stages.kernels.filters import product
from stages.kernels.filters.refine import Refiner
from stages.kernels.measure.metric import Bits, Ints, Mask, MatchArrays, Metric, Side, joined, nothing
from stages.kernels.measure.turns import inverses
from stages.kernels.positions import counted, equal_pairs, places_of, products_unless_both, settled_of
from stages.kernels.rules import EarlierMatches, Ledger, MatchRules
from stages.kernels.tuning import Tuning

FOLDERS = 16
"""If the rows of a run lie in at most FOLDERS folders, each folder is compared on its own with all other folders."""
TUNING = Tuning()
"""The default tuning of a `BlockPair`."""


@dataclass
class BlockPair:
    """Two blocks to compare, or one block with itself (`diagonal`).

    ledger  counts of pairs by outcome; complete when `runs` has ended
    levels  counts of pairs left after each filter; complete when `runs` has ended
    tuning  sizes and costs, which do not change results"""

    a: Side
    b: Side
    diagonal: bool
    rules: MatchRules
    metric: Metric
    device: Device = CPU
    earlier: EarlierMatches | None = None
    ledger: Ledger = field(init=False)
    levels: Levels = field(default_factory=Levels)
    tuning: Tuning = field(default_factory=lambda: TUNING)

    def __post_init__(self) -> None:
        self._most = np.inf if self.rules.limit is None else self.rules.limit
        self._empty = nothing(self.metric)
        self._settled_a, self._settled_b = settled_of(self.a), settled_of(self.b)
        self._paired_a, self._paired_b = (np.isin(x.kind, y.kind) for x, y in ((self.a, self.b), (self.b, self.a)))
        self._filter: Filter | None = None
        self._refiner = Refiner(
            self.a, self.b, self.metric, self.rules.turns, self._most, self.device, self.levels, self.tuning
        )
        self.ledger = counted(self.a, None if self.diagonal else self.b)
        copies = self.diagonal and self.a.folder is None and bool((self.a.weight[~self._settled_a] > 1).any())
        self._idle = not self.ledger.decided and not copies
        self._bounded = self.metric.space is not None and self.rules.limit is not None
        self._copied = self.earlier is not None and self.earlier.covers_all(self.rules.limit)
        few = self._idle or (self.earlier is not None and self._new(self.earlier) <= self.tuning.pairs)
        if self._bounded and not few and len(self.a) and len(self.b) and self._share() <= self.tuning.crowded:
            assert self.metric.space is not None
            right = self.a.vectors if self.diagonal else self.b.vectors
            names = (self.a.name, self.b.name) if self.a.name and self.b.name else None
            prepared = prepare(self.a.vectors, right, self.metric.space, names)
            if not self.device.free and compiled() and len(self.a) * len(self.b) >= self.tuning.compiled:
                from stages.kernels.filters.leaves import Leaves

                self._filter = Leaves(prepared)
            else:
                self._filter = product.Product(prepared, self.device)
            self._filter.levels = self.levels

    def _new(self, earlier: EarlierMatches) -> float:
        """Return an upper bound on the number of pairs that `earlier` does not cover."""
        held = earlier.known_a.sum() * earlier.known_b.sum() if earlier.covers(self.rules.limit) else -np.inf
        return float(len(self.a) * len(self.b) - held)

    def _share(self) -> float:
        """Return the share of pairs in a sample that pass the coarse bound."""
        parts = [
            self._refiner.part(np.unique(np.linspace(0, len(side) - 1, self.tuning.sample).astype(np.int64)), left)
            for side, left in ((self.a, True), (self.b, False))
        ]
        passing = self._refiner.bounds(parts[0], parts[1], 0)
        return float(np.count_nonzero(passing) / passing.size)

    def runs(self) -> Iterator[tuple[slice, MatchArrays]]:
        """Yield runs of rows of a, each with all matches of these rows.

        The matches of a run are sorted by position in a, then by position in b."""
        start, count, side = 0, 0 if self._idle else len(self.a) if len(self.b) else 0, self._refiner.side
        low = min(side, max(self.tuning.rows, self.tuning.pairs // max(1, len(self.b))))
        few = self._copied and self.earlier is not None and len(self.earlier.found.a) <= self.tuning.pairs
        height, wide = (count, True) if self._filter is not None or few else (low, False)
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
            if self._filter is not None and len(found.a) <= self.tuning.matches:
                height *= 2
                wide = height > side

    def _wide(self, rows: slice) -> MatchArrays | None:
        """Return a run's matches, by one sweep over b; None for too many candidates."""
        a = np.arange(rows.start, rows.stop)
        agree = self._agreeing(a, None, self.tuning.candidates)
        if agree is None:
            return None
        candidates = self._candidates(a, max(self.tuning.candidates, self.tuning.rows * len(self.b)))
        if candidates is None:
            return None
        return self._finished(rows, agree, [self._refiner.candidates(self._allowed(candidates, agree))])

    def _narrow(self, rows: slice) -> MatchArrays:
        """Return the matches of a short run of rows, measured tile by tile."""
        side, a = self._refiner.side, np.arange(rows.start, rows.stop)
        b = np.arange(rows.start if self.diagonal else 0, len(self.b))
        agree = self._agreeing(a, b, len(a) * len(b))
        assert agree is not None
        parts = []
        for some, others in self._areas(a, b):
            for low in range(0, len(some), side):
                left = self._refiner.part(some[low : low + side], True)
                for start in range(0, len(others), side):
                    right = self._refiner.part(others[start : start + side], False)
                    bits = self._wanted(left.positions, right.positions, agree)
                    if self._bounded and bits.any():
                        self.levels.compared += int(np.count_nonzero(bits))
                        self.levels.directions += int(np.count_nonzero(bits))
                        bits &= self._refiner.bounds(left, right, 0)
                        self.levels.sums += int(np.count_nonzero(bits))
                    if bits.any():
                        parts.append(self._refiner.tile(left, right, bits))
        return self._finished(rows, agree, parts)

    def _wanted(self, a: Ints, b: Ints, agree: Candidates) -> Bits:
        """Return the turns in which to compare each pair of a tile, as bits, uint8 (a, b).

        A pair gets all turns, or no turn if a rule excludes the pair or the distance of the pair is known already."""
        mask = self._comparable(a[:, None], b)
        if self.diagonal:
            mask &= a[:, None] < b
        for known in (agree, self.earlier.found if self.earlier else self._empty):
            these = slice(*np.searchsorted(known.a, (a[0], a[-1] + 1)))
            i, j = places_of(a, known.a[these]), places_of(b, known.b[these])
            here = (i >= 0) & (j >= 0)
            mask[i[here], j[here]] = False
        bits: Bits = mask * np.uint8((1 << self.rules.turns) - 1)
        return bits

    def _areas(self, a: Ints, b: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Yield pairs of position arrays whose products hold every pair to compare.

        The products leave out pairs of settled images, pairs whose matches an earlier artifact holds, images without an
        image of their kind on the other side, and, if the images of a lie in few folders, pairs in one folder."""
        covering = self.earlier if self.earlier is not None and self.earlier.covers(self.rules.limit) else None
        for part, rest in self._folders_apart(a[self._paired_a[a]], b[self._paired_b[b]]):
            for some, others in products_unless_both(part, rest, self._settled_a, self._settled_b):
                if covering is None:
                    yield some, others
                else:
                    yield from products_unless_both(some, others, covering.known_a, covering.known_b)

    def _folders_apart(self, a: Ints, b: Ints) -> Iterator[tuple[Ints, Ints]]:
        if self.a.folder is None or self.b.folder is None or len(folders := np.unique(self.a.folder[a])) > FOLDERS:
            yield a, b
            return
        for folder in folders:
            yield a[self.a.folder[a] == folder], b[self.b.folder[b] != folder]

    def _comparable(self, a: Ints, b: Ints) -> Mask:
        """Return which pairs of positions the rules allow, without regard to hashes."""
        mask: Mask = self.a.kind[a] == self.b.kind[b]
        mask &= ~(self._settled_a[a] & self._settled_b[b])
        if self.a.folder is not None and self.b.folder is not None:
            mask &= self.a.folder[a] != self.b.folder[b]
        return mask

    def _candidates(self, a: Ints, room: int) -> Candidates | None:
        """Return the pairs that may match, without the pairs that `earlier` covers."""
        parts = []
        for some, others in self._areas(a, np.arange(len(self.b))):
            assert self._filter is not None
            everyone = len(others) == len(self.b)
            part = self._filter.candidates(some, None if everyone else others, self.diagonal, room)
            if part is None:
                return None
            parts.append(part)
        return merged(parts, len(self.b) + 1)

    def _finished(self, rows: slice, agree: Candidates, parts: list[MatchArrays]) -> MatchArrays:
        """Return all matches of a run, sorted: measured, copied, or with equal hashes.

        agree  pairs with equal hashes
        parts  measured matches"""
        if self.earlier is not None:
            first, last = np.searchsorted(self.earlier.found.a, (rows.start, rows.stop))
            copied = self.earlier.found.where(slice(first, last))
            parts.append(copied.where(copied.values <= self._most))
            self.levels.copied += len(parts[-1].a)
        if self.rules.same_hash == "zero":
            unseen = np.zeros(len(agree.a), bool)
            parts.append(MatchArrays(agree.a, agree.b, unseen.astype(self.metric.measure.numbers), agree.turns, unseen))
        elif self.rules.same_hash == "skip":
            images = int((self.a.weight[agree.a] * self.b.weight[agree.b]).sum())
            self.ledger.decided -= len(agree.a)
            self.ledger.identical -= images - len(agree.a)
            self.ledger.skipped_by_rule += images
        return joined([self._empty, *parts])

    def _agreeing(self, a: Ints, b: Ints | None, room: int) -> Candidates | None:
        """Return the allowed pairs with equal hashes, and the turns with equal hashes.

        Hashes are equal in a turn if the hash of a equals the hash of b in this turn, or the hash of a in the inverse
        turn equals the hash of b. The result is None for more than `room` pairs, and empty if the rules ignore hashes.
        """
        parts: list[Candidates] = []
        hashes_a, hashes_b = self.a.hashes, self.b.hashes
        if self.rules.same_hash == "compare" or hashes_a is None or hashes_b is None:
            return NOTHING
        b = np.arange(len(self.b)) if b is None else b
        for turn, back in enumerate(inverses(self.rules.turns).tolist()):
            for column_a, column_b in {(0, turn), (back, 0)}:
                pairs = equal_pairs(hashes_a[a, column_a], hashes_b[b, column_b], room)
                if pairs is None:
                    return None
                i, j = a[pairs[0]], b[pairs[1]]
                keep = self._comparable(i, j)
                if self.diagonal:
                    keep &= i < j
                parts.append(Candidates(i[keep], j[keep], np.full(np.count_nonzero(keep), 1 << turn, np.uint8)))
        return merged(parts, len(self.b) + 1)

    def _allowed(self, candidates: Candidates, agree: Candidates) -> Candidates:
        """Return the candidates to measure: allowed, and not in `agree` or `earlier`."""
        keep, columns = self._comparable(candidates.a, candidates.b), len(self.b)
        code = candidates.a * columns + candidates.b
        if len(agree.a):
            keep &= ~np.isin(code, agree.a * columns + agree.b)
        if self.earlier is not None and len(self.earlier.found.a):
            keep &= ~np.isin(code, self.earlier.found.a * columns + self.earlier.found.b)
        return candidates if keep.all() else candidates.where(keep)
