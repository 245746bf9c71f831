"""Describe images as vectors, the input of the filters.

A metric with such vectors (coarse sums of thumbnails, bits of hashes, embeddings) fills one `Space`. The filters
(`leaves.py`, `product.py`) know nothing else about the metric. A metric without such vectors is measured pair by
pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds import slack
from stages.kernels.bounds.directions import DIRECTIONS, Directions, Projections, principal
from stages.kernels.bounds.keys import SAMPLED, BlockName, VectorMap, directions_of, projected, sample

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bits = NDArray[np.uint8]
Keys = tuple[Projections, Projections]
Sides = tuple[tuple[Floats, VectorMap], tuple[Floats, VectorMap]]
PROBED = 512
"""Number of vectors per side from which the share of near pairs is estimated."""
CROWDED = 30
"""Number of near pairs per projected vector above which WIDE directions save time."""


@dataclass(frozen=True)
class Space:
    """What the filters know about the vectors of a metric: greatest distance of a match, turns, invariants.

    squared     greatest squared distance of the vectors of a match, before any rounding; a pair with a greater
                distance in every turn is not a match
    orders      int64 (turns, d): the columns orders[k] of a row are the image's vector in the turn COMPARED[turns][k]
                of `measure/turns.py`; orders[k] is a permutation of one contiguous range of columns
    invariants  maps rows, float32 (m, d'), to invariants under all turns, float64 (m, d''); the distance of two
                invariants is at most the distance of the images in any turn; None: each turn is compared separately"""

    squared: float
    orders: Ints
    invariants: VectorMap | None = None

    @property
    def turns(self) -> int:
        """Return how many turns are compared."""
        return len(self.orders)


class Candidates(NamedTuple):
    """Pairs that may match, sorted.

    a, b   positions on either side, int64 (n,)
    turns  turns in which the pair may match, uint8 (n,): bit k stands for the k-th compared turn"""

    a: Ints
    b: Ints
    turns: Bits

    def where(self, keep: Any) -> Candidates:
        """Return some of the pairs: `keep` is a mask, a slice, or ascending indices."""
        return Candidates(self.a[keep], self.b[keep], self.turns[keep])


NOTHING = Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))


@dataclass
class Levels:
    """Numbers of pairs of representatives, by filter.

    The counts depend on the device and on the size of tiles, so the counts are not part of the result.

    order       excluded by sorted order, or by the boxes of a k-d tree, without a comparison of two points
    compared    compared along the leading directions
    directions  left after the comparison along all DIRECTIONS
    sums        left after the comparison of whole vectors
    finer       left after finer sums, counted in crowded tiles only
    checked     measured one by one
    products    measured by the matrix product of whole tiles
    copied      copied from an earlier artifact"""

    order: int = 0
    compared: int = 0
    directions: int = 0
    sums: int = 0
    finer: int = 0
    checked: int = 0
    products: int = 0
    copied: int = 0


class Filter(Protocol):
    """Interface of filters, which find the pairs that may match.

    `levels` counts pairs as the filter runs."""

    levels: Levels

    def candidates(self, a: Ints, b: Ints | None, ascending: bool, room: int) -> Candidates | None:
        """Return the pairs of positions that may match; None for more than `room` pairs.

        a          positions on the left, int64, ascending
        b          positions on the right, int64, ascending; None: all positions
        ascending  return only pairs whose position in a is less than the position in b"""
        ...


@dataclass(frozen=True)
class Pass:
    """One comparison along the leading directions.

    left, right  keys of either side: vectors along the leading directions
    squared      the greatest squared distance of the keys of a match
    turns        the turns in which a passing pair is compared next, as bits
    symmetric    whether both sides have the same keys"""

    left: Projections
    right: Projections
    squared: float
    turns: int
    symmetric: bool

    def cut(self, directions: int) -> np.float32:
        """Return the greatest squared distance, along this number of `directions`, at which a pair passes."""
        return slack.cut(self.squared, self.left.norm, self.right.norm, directions)


@dataclass(frozen=True)
class Prepared:
    """Two sides that are ready for filtering.

    left, right  vectors, float32 (n, d)
    passes       keys of both sides, for each pass"""

    left: Floats
    right: Floats
    space: Space
    passes: list[Pass] = field(default_factory=list)

    @property
    def cut(self) -> np.float32:
        """Return the greatest squared distance of whole vectors at which a pair passes."""
        return slack.cut(
            self.space.squared, largest_norm(self.left), largest_norm(self.right), self.space.orders.shape[1]
        )


def largest_norm(rows: Floats) -> float:
    """Return the greatest length of a row of float32 (n, d)."""
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64).max(initial=0)))


def prepare(left: Floats, right: Floats, space: Space, names: tuple[BlockName, BlockName] | None = None) -> Prepared:
    """Return the vectors of both sides with their keys along the principal directions.

    left, right  float32 (n, d) each
    names        names of both sides, whose keys are then shared with other block pairs; see `keys.py`"""
    same = left is right
    prepared = Prepared(left, right, space)
    transforms: list[tuple[VectorMap, VectorMap, int]] = []
    if space.invariants is not None:
        transforms.append((space.invariants, space.invariants, (1 << space.turns) - 1))
    else:
        first = _columns(space.orders[0])
        transforms += [(first, first if k == 0 else _columns(order), 1 << k) for k, order in enumerate(space.orders)]
    for number, (of_left, of_right, turns) in enumerate(transforms):
        symmetric = same and of_left is of_right
        sides = ((left, of_left), (right, of_right))
        if names:
            keys, directions = _shared_keys(names, 0 if of_left is of_right else number, sides)
        else:
            keys, directions = _own_keys(sides, symmetric, space.squared)
        prepared.passes.append(Pass(*keys, space.squared * directions.stretch, turns, symmetric))
    return prepared


def _shared_keys(names: tuple[BlockName, BlockName], view: int, sides: Sides) -> tuple[Keys, Directions]:
    """Return the keys of both sides along the directions that all block pairs share, and these directions."""
    while True:
        left, before = projected(names[0], 0, *sides[0])
        right, directions = projected(names[1], view, *sides[1])
        if before is directions:  # else the right side has renewed the directions
            return (left, right), directions


def _own_keys(sides: Sides, symmetric: bool, squared: float) -> tuple[Keys, Directions]:
    """Return the keys of both sides along their common principal directions, and these directions."""
    sampled = sides[:1] if symmetric else sides
    some = np.concatenate([sample(rows, transform, 2 * SAMPLED // len(sampled)) for rows, transform in sampled])
    most = directions_of(some.shape[1])
    for count in (DIRECTIONS, most):
        directions = principal(some, count)
        left = directions.project(*sides[0])
        keys = left, left if symmetric else directions.project(*sides[1])
        if most == DIRECTIONS or not _crowded(keys, squared * directions.stretch):
            break
    return keys, directions


def _crowded(keys: Keys, squared: float) -> bool:
    """Return whether a sample has so many near pairs that WIDE directions save time."""
    u, v = (side.narrow[:: max(1, len(side.narrow) // PROBED)].astype(np.float64) for side in keys)
    distances = (u**2).sum(axis=1)[:, None] + (v**2).sum(axis=1) - 2 * u @ v.T
    sizes = [len(side.narrow) for side in keys]
    passing = np.count_nonzero(distances <= squared) / max(1, distances.size) * math.prod(sizes)
    return bool(passing > CROWDED * sum(sizes))


def _columns(order: Ints) -> VectorMap:
    if (np.diff(order) == 1).all():  # a slice copies nothing
        return lambda rows: rows[:, order[0] : order[0] + len(order)].astype(np.float64)
    return lambda rows: rows[:, order].astype(np.float64)


def merged(parts: list[Candidates], columns: int) -> Candidates:
    """Return the candidates of several passes, each pair once, with the turns of all passes.

    columns  a number greater than every position of b"""
    code = np.concatenate([part.a * columns + part.b for part in [NOTHING, *parts]])
    turns = np.concatenate([part.turns for part in [NOTHING, *parts]])
    order = np.argsort(code, kind="stable")
    code, turns = code[order], turns[order]
    first = np.flatnonzero(np.diff(code, prepend=-1))
    if len(first) < len(code):
        turns = np.bitwise_or.reduceat(turns, first) if len(first) else turns
        code = code[first]
    return Candidates(code // columns, code % columns, turns)
