"""Define metrics, sides of a block pair, and matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds.keys import BlockName
from stages.kernels.bounds.space import Space
from stages.kernels.measure.exact import Measure, Points, Values

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
Floats = NDArray[np.float32]


View: TypeAlias = Callable[[Points, int], Points]


@dataclass(frozen=True)
class Finer:
    """A finer lower bound, computed from the points of a tile.

    vectors  maps points to vectors, float32 (n, d)
    orders   the order of the vectors' columns in each turn, int64 (turns, d)"""

    vectors: Callable[[Points], Floats]
    orders: Ints


@dataclass(frozen=True)
class Metric:
    """A way to compare images: an exact measure, and a lower bound.

    space        the vectors of the lower bound; None: no lower bound
    left, right  functions of points and k, which return points: the distance of images a and b in turn
                 COMPARED[turns][k] is the measure of left(a, k) and right(b, k); None: points stay as they are
    size         bytes of one image's points
    finer        further lower bounds, from coarse to fine"""

    measure: Measure
    space: Space | None
    left: View | None
    right: View | None
    size: int
    finer: Sequence[Finer] = ()


@dataclass(frozen=True)
class Side:
    """Images of one block, in path order; of a group of identical images, only the representative.

    vectors  float32 (n, d), in the metric's space; (n, 0) without a space
    weight   how many images each image represents, int64 (n,)
    kind     only images of equal kind are compared, int64 (n,)
    hashes   numbers of the hashes in the compared turns, equal for equal hashes, int64 (n, turns); or None
    settled  images of which no two are compared, bool (n,); None: no such images
    folder   only images of different folders are compared, int64 (n,); None: folders do not matter
    name     a name for the vectors, under which their projections are kept for further block pairs; None: not kept
    points   maps ascending positions, int64 (m,), to points (k, …) and the row of each position, int64 (m,)"""

    vectors: Floats
    weight: Ints
    kind: Ints
    hashes: Ints | None
    points: Callable[[Ints], tuple[Points, Ints]]
    settled: Mask | None = None
    folder: Ints | None = None
    name: BlockName | None = None

    def __len__(self) -> int:
        return len(self.weight)


class MatchArrays(NamedTuple):
    """Matches of a block pair, as arrays (n,).

    a, b      positions on either side
    values    the least distance over the turns
    turns     the turns that attain the least distance: bit k stands for the k-th compared turn
    measured  False if the match is recorded for equal hashes, without a measurement"""

    a: Ints
    b: Ints
    values: Values
    turns: Bits
    measured: Mask

    def where(self, keep: Any) -> MatchArrays:
        """Return some of the rows: `keep` is a mask, a slice, or ascending indices."""
        return MatchArrays(*(column[keep] for column in self))


def nothing(metric: Metric) -> MatchArrays:
    """Return an empty set of matches."""
    none = np.empty(0, np.int64)
    return MatchArrays(none, none, np.empty(0, metric.measure.numbers), np.empty(0, np.uint8), np.empty(0, bool))


def joined(parts: Sequence[MatchArrays]) -> MatchArrays:
    """Return the matches of several parts, sorted by position in a, then in b."""
    whole = MatchArrays(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    code = whole.a * (whole.b.max(initial=0) + 1) + whole.b
    if (code[1:] >= code[:-1]).all():
        return whole
    return whole.where(np.argsort(code, kind="stable"))  # a stable sort merges parts that are sorted already
