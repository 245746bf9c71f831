"""What a block pair is compared by: images of one block, a metric, and the matches that it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.kernels.bounds.space import Space
from stages.kernels.measure.exact import Measure, Points, Values

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
Floats = NDArray[np.float32]


View: TypeAlias = Callable[[Points, int], Points]


@dataclass(frozen=True)
class Finer:
    """A further lower bound, from the points of a tile: vectors float32 (n, d), and their columns in each turn."""

    vectors: Callable[[Points], Floats]
    orders: Ints


@dataclass(frozen=True)
class Metric:
    """A way of comparing: exactly, by a measure of points, and from below, by vectors in a space where it has any.

    left, right  from points, as `Side.points` gives them, and k: the figure of a pair in turn k is the measure of left
                 of the one and right of the other; None: of the points as they are
    size         bytes of one image's points
    """

    measure: Measure
    space: Space | None
    left: View | None
    right: View | None
    size: int
    finer: Sequence[Finer] = ()


@dataclass(frozen=True)
class Side:
    """Images of one block, in path order; representatives only, where groups are compared once.

    vectors  float32 (n, d), as the metric's space has them; (n, 0) without one
    weight   how many images each one stands for, int64 (n,)
    kind     only images of equal kind are compared, int64 (n,)
    hashes   numbers of the hashes at the four turns, equal where the hashes are, int64 (n, 4); or None
    settled  images of which no two are compared, bool (n,); None where there are none
    points   from positions, int64 (m,), ascending, to points (k, ...) and which of these are theirs, int64 (m,)
    """

    vectors: Floats
    weight: Ints
    kind: Ints
    hashes: Ints | None
    points: Callable[[Ints], tuple[Points, Ints]]
    settled: Mask | None = None

    def __len__(self) -> int:
        return len(self.weight)


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


def nothing(metric: Metric) -> Found:
    """No matches."""
    none = np.empty(0, np.int64)
    return Found(none, none, np.empty(0, metric.measure.numbers), np.empty(0, np.uint8), np.empty(0, bool))


def joined(parts: Sequence[Found]) -> Found:
    """Matches of several parts, sorted by position in a, then in b."""
    whole = Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    code = whole.a * (whole.b.max(initial=0) + 1) + whole.b
    if (code[1:] >= code[:-1]).all():
        return whole
    return whole.where(np.argsort(code, kind="stable"))  # parts are sorted each, and merging runs is what it does
