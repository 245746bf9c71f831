"""Compare the images of one block with those of another, tile by tile; exact, and never a loop over pairs.

A tile is first tested by the product of coarse vectors (`coarse.py`). What may match is gathered and checked in
integers; where that is more than a few pairs in a hundred, the whole tile is computed by the exact product instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stages.kernels import coarse, exact

TILE = 1_024
"""Images a side, at most."""
NARROW = 64
"""Images in the first run of rows; later runs are twice as many, or half, so that a run has about ROWS matches."""
ROWS = 1 << 20
DENSE = 0.007
"""Share of candidates from which the exact product of a whole tile is cheaper than gathering them: in one turn, a
gathered pair costs some 150 times as much as one in the product (tests/benchmarks/pairs.py prints the figure)."""
GATHER = 32 << 20
"""Bytes of thumbnails gathered at a time, a side."""

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Side:
    """Images of one block, in path order; representatives only, where groups are compared once.

    vectors     coarse vectors, float32 (n, d)
    weight      how many images each one stands for, int64 (n,)
    kind        only images of equal kind are compared, int64 (n,)
    hashes      numbers of the hashes at the four turns, equal where the hashes are, int64 (n, 4); or None
    thumbnails  from positions, int64 (m,), to thumbnails, uint8 (m, H, W, C)
    """

    vectors: coarse.Floats
    weight: Ints
    kind: Ints
    hashes: Ints | None
    thumbnails: Callable[[Ints], exact.Bytes]

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Rules:
    """What is compared, and what is a match: a sum of squares up to `limit`, or everything if that is None.

    `turns` is 4 or 1. `same_hash` says what becomes of pairs that agree in hash: compare, zero or skip."""

    shape: coarse.Shape
    limit: int | None
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
class Found:
    """Matches: positions on either side, the least sum of squares, the turns that attain it, and if it was measured."""

    a: Ints
    b: Ints
    sums: Ints
    turns: NDArray[np.uint8]
    measured: Mask


@dataclass
class BlockPair:
    """Two blocks, or one with itself (`diagonal`); the ledger fills while tiles are compared."""

    a: Side
    b: Side
    diagonal: bool
    rules: Rules
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        self._left, norm_a = coarse.operand(self.a.vectors)
        self._right, norm_b = coarse.operand(self.b.vectors, right=True)
        self._limit = self.rules.limit if self.rules.limit is not None else 0
        self._bound = coarse.bound(self._limit, norm_a, norm_b, self._left.shape[1] - 2)

    def row_tiles(self) -> Iterator[tuple[slice, Found]]:
        """For one run of a's images after the other: all their matches, sorted by position in a, then in b."""
        side = min(TILE, max(16, GATHER // int(np.prod(self.rules.shape))))
        start, height = 0, min(NARROW, side)
        forth, back = -1, 1
        while len(self.b) and start < len(self.a):
            rows = slice(start, min(start + height, len(self.a)))
            columns = range(start if self.diagonal else 0, len(self.b), side)
            # There and back again: the thumbnails that one run of rows read last, the next one reads first.
            forth, back = back, forth
            tiles = [self._tile(rows, slice(column, min(column + side, len(self.b)))) for column in columns[::forth]]
            joined = Found(*(np.concatenate([getattr(tile, name) for tile in tiles]) for name in Found.__annotations__))
            order = np.lexsort((joined.b, joined.a))
            yield rows, Found(*(getattr(joined, name)[order] for name in Found.__annotations__))
            start = rows.stop
            if len(order) <= ROWS // 2:
                height = min(2 * height, side)
            elif len(order) > ROWS:
                height = max(NARROW // 4, height // 2)

    def _tile(self, rows: slice, columns: slice) -> Found:
        compared, agree = self._by_rule(rows, columns)
        found = (
            self._dense(rows, columns, compared) if self.rules.limit is None else self._sparse(rows, columns, compared)
        )
        if agree is not None:
            unseen = np.nonzero(agree)
            a, b = unseen[0] + rows.start, unseen[1] + columns.start
            zero = Found(a, b, np.zeros(len(a), np.int64), agree[unseen], np.zeros(len(a), bool))
            found = Found(*(np.concatenate([getattr(found, n), getattr(zero, n)]) for n in Found.__annotations__))
        self.ledger.matches += int((self.a.weight[found.a] * self.b.weight[found.b]).sum())
        return found

    def _by_rule(self, rows: slice, columns: slice) -> tuple[Mask | None, NDArray[np.uint8] | None]:
        """Which pairs of the tile are to be compared (None: all), and the turns in which hashes agree, where pairs that
        agree are recorded unseen (else None). Enters the ledger."""
        weight_a, weight_b = self.a.weight[rows], self.b.weight[columns]
        triangle = self.diagonal and rows.start == columns.start
        shape = (len(weight_a), len(weight_b))
        there = np.triu(np.ones(shape, bool), 1) if triangle else None
        kind_a, kind_b = self.a.kind[rows], self.b.kind[columns]
        compared = there
        if kind_a.min() != kind_b.max() or kind_a.max() != kind_b.min():
            compared = _both(there, kind_a[:, None] == kind_b)
        agree = self._agreement(rows, columns, compared)
        unseen = None
        if agree is not None:
            if self.rules.same_hash == "skip":
                compared = _both(compared, agree == 0)
            else:
                unseen, compared = agree, _both(compared, agree == 0)
        decided = (
            compared if unseen is None else (compared if compared is not None else np.ones(shape, bool)) | (unseen > 0)
        )
        images = _weigh(there, weight_a, weight_b)
        covered = _weigh(decided, weight_a, weight_b)
        pairs = shape[0] * shape[1] if decided is None else int(np.count_nonzero(decided))
        self.ledger.decided += pairs
        self.ledger.identical += covered - pairs
        self.ledger.skipped_by_rule += images - covered
        return compared, unseen

    def _agreement(self, rows: slice, columns: slice, compared: Mask | None) -> NDArray[np.uint8] | None:
        """The turns k in which hash_0 of one image is hash_k of the other, as bits; None where no pair agrees."""
        if self.rules.same_hash == "compare" or self.a.hashes is None or self.b.hashes is None:
            return None
        a, b = self.a.hashes[rows], self.b.hashes[columns]
        if not len(np.intersect1d(a[:, : self.rules.turns], b[:, : self.rules.turns])):
            return None
        bits = np.zeros((len(a), len(b)), np.uint8)
        for turn in range(self.rules.turns):
            equal = (a[:, :1] == b[:, turn]) | (a[:, -turn % 4][:, None] == b[:, 0])
            bits |= equal.astype(np.uint8) << turn
        if compared is not None:
            bits[~compared] = 0
        return bits

    def _dense(self, rows: slice, columns: slice, compared: Mask | None) -> Found:
        """Every pair by the exact product."""
        a = self.a.thumbnails(np.arange(rows.start, rows.stop))
        b = self.b.thumbnails(np.arange(columns.start, columns.stop))
        sums, bits = exact.cross_over_turns(a, b, self.rules.turns)
        keep = np.ones(sums.shape, bool) if self.rules.limit is None else sums <= self.rules.limit
        keep = keep if compared is None else keep & compared
        i, j = np.nonzero(keep)
        return Found(i + rows.start, j + columns.start, sums[keep], bits[keep], np.ones(len(i), bool))

    def _sparse(self, rows: slice, columns: slice, compared: Mask | None) -> Found:
        """Candidates by the coarse product, then each of them in integers.

        A turn that attains the least, being a match, passes the coarse test; so only turns that pass are computed."""
        left, right, channels = self._left[rows], self._right[columns], self.rules.shape[2]
        may = np.stack(
            [
                coarse.candidates(left, coarse.turned(right, channels, turn), self._bound)
                for turn in range(self.rules.turns)
            ]
        )
        if compared is not None:
            may &= compared
        if np.count_nonzero(may) > DENSE * may.size:
            return self._dense(rows, columns, compared)
        i, j = np.nonzero(may.any(axis=0))
        sums = np.full((self.rules.turns, len(i)), np.iinfo(np.int64).max)
        step = max(1, GATHER // int(np.prod(self.rules.shape)))
        for turn in range(self.rules.turns):
            passing = np.flatnonzero(may[turn, i, j])
            for start in range(0, len(passing), step):
                part = passing[start : start + step]
                a, b = _gathered(self.a, i[part] + rows.start), _gathered(self.b, j[part] + columns.start)
                sums[turn, part] = exact.aligned(a, exact.turned(b, turn))
        smallest, bits = exact.least(sums)
        keep = smallest <= self._limit
        a, b = i[keep] + rows.start, j[keep] + columns.start
        return Found(a, b, smallest[keep], bits[keep], np.ones(len(a), bool))


def _gathered(side: Side, positions: Ints) -> exact.Bytes:
    """Thumbnails at positions that may repeat; each is read once."""
    unique, inverse = np.unique(positions, return_inverse=True)
    return side.thumbnails(unique)[inverse]


def _both(mask: Mask | None, other: Mask) -> Mask:
    return other if mask is None else mask & other


def _weigh(mask: Mask | None, weight_a: Ints, weight_b: Ints) -> int:
    """How many pairs of images the pairs of a tile under a mask stand for; exact in float64 up to 2⁵³."""
    if mask is None:
        return int(weight_a.sum()) * int(weight_b.sum())
    return round(float(weight_a.astype(np.float64) @ mask @ weight_b.astype(np.float64)))
