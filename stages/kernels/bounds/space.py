"""Images as points: what every metric that is a squared distance between vectors hands to the filter.

A metric that has such vectors - coarse sums of thumbnails, bits of hashes, embeddings - fills one `Space`; whatever
compares fast (`leaves.py`, `product.py`) knows nothing else of it. One that has none is compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds import slack
from stages.kernels.bounds.directions import LEADING, SAMPLE, Keys, principal

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Space:
    """Where the images of a block pair lie; a pair further apart than `squared` in every turn is no match.

    squared     the greatest squared distance of vectors that a match can have, before any rounding
    orders      int64 (turns, d): the columns orders[k] of a stored row are the image's vector turned k times; each is a
                run of columns in some order
    invariants  from rows, float32 (m, d'), to what no turn changes, float64 (m, d''), with no two further apart than
                the rows are in any turn; or None, and the turns are told apart one by one
    """

    squared: float
    orders: Ints
    invariants: Callable[[Floats], Doubles] | None = None

    @property
    def turns(self) -> int:
        """How many turns are compared."""
        return len(self.orders)


class Candidates(NamedTuple):
    """Pairs that may match, sorted: positions int64 (n,) on either side, and the turns in which they may, as bits."""

    a: Ints
    b: Ints
    turns: Bits

    def where(self, keep: Any) -> Candidates:
        """Some of the pairs: a mask, a slice, or positions in order."""
        return Candidates(self.a[keep], self.b[keep], self.turns[keep])


NOTHING = Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))


@dataclass
class Levels:
    """How the work fell away, in pairs of representatives; what depends on tiles and devices, so not on the result.

    order       told apart by their place in order, or by boxes, without being looked at one by one
    compared    looked at in the leading directions
    directions  left after these
    sums        left after whole vectors
    finer       of the pairs in crowded tiles: left after finer sums
    checked     measured one by one
    products    measured by the product of whole tiles
    copied      taken from an earlier artifact
    """

    order: int = 0
    compared: int = 0
    directions: int = 0
    sums: int = 0
    finer: int = 0
    checked: int = 0
    products: int = 0
    copied: int = 0


class Filter(Protocol):
    """Finds the pairs that may match; `levels` is counted up."""

    levels: Levels

    def candidates(self, a: Ints, b: Ints | None, ascending: bool, room: int) -> Candidates | None:
        """Among the positions a and b, int64, ascending (b None: all there are); `ascending`: only pairs in which that
        of a is less than that of b. None where there are more than `room`."""
        ...


@dataclass(frozen=True)
class Pass:
    """One comparison in the leading directions; pairs that pass are compared in the turns of the set `turns`."""

    left: Keys
    right: Keys
    squared: float
    turns: int
    symmetric: bool

    @property
    def cut(self) -> np.float32:
        """The greatest sum of squared differences that is kept."""
        return slack.cut(self.squared, self.left.norm, self.right.norm, LEADING)


@dataclass(frozen=True)
class Prepared:
    """Two sides ready to be filtered: vectors float32 (n, d), and their keys for each pass."""

    left: Floats
    right: Floats
    space: Space
    passes: list[Pass] = field(default_factory=list)

    @property
    def cut(self) -> np.float32:
        """The greatest sum of squared differences of whole vectors that is kept."""
        return slack.cut(
            self.space.squared, largest_norm(self.left), largest_norm(self.right), self.space.orders.shape[1]
        )


def largest_norm(rows: Floats) -> float:
    """The greatest length of a row of float32 (n, d)."""
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64).max(initial=0)))


def prepare(left: Floats, right: Floats, space: Space) -> Prepared:
    """Keys along the principal directions of both sides' vectors, float32 (n, d) each."""
    same = left is right
    prepared = Prepared(left, right, space)
    views: list[tuple[Callable[[Floats], Doubles], Callable[[Floats], Doubles], int]] = []
    if space.invariants is not None:
        views.append((space.invariants, space.invariants, (1 << space.turns) - 1))
    else:
        unturned = _columns(space.orders[0])
        views += [(unturned, unturned if k == 0 else _columns(order), 1 << k) for k, order in enumerate(space.orders)]
    for seen_left, seen_right, turns in views:
        samples = [
            seen(rows[:: max(1, 2 * len(rows) // SAMPLE)]) for seen, rows in ((seen_left, left), (seen_right, right))
        ]
        directions = principal(np.concatenate(samples))
        keys = directions.keys(left, seen_left)
        symmetric = same and seen_left is seen_right
        other = keys if symmetric else directions.keys(right, seen_right)
        prepared.passes.append(Pass(keys, other, space.squared * directions.stretch, turns, symmetric))
    return prepared


def _columns(order: Ints) -> Callable[[Floats], Doubles]:
    return lambda rows: rows[:, order].astype(np.float64)


def merged(parts: list[Candidates], columns: int) -> Candidates:
    """Candidates of several passes, each pair once with the turns of all; `columns` exceeds every position of b."""
    code = np.concatenate([part.a * columns + part.b for part in [NOTHING, *parts]])
    turns = np.concatenate([part.turns for part in [NOTHING, *parts]])
    order = np.argsort(code, kind="stable")
    code, turns = code[order], turns[order]
    first = np.flatnonzero(np.diff(code, prepend=-1))
    if len(first) < len(code):
        turns = np.bitwise_or.reduceat(turns, first) if len(first) else turns
        code = code[first]
    return Candidates(code // columns, code % columns, turns)
