"""Matches of several parts as one table."""

import numpy as np
import pytest

from stages.kernels.measure.exact import Squares
from stages.kernels.measure.floats import FloatSquares
from stages.kernels.measure.metric import MatchArrays, Metric, Side, joined, nothing

Pairs = list[tuple[int, int]]


def found(pairs: Pairs) -> MatchArrays:
    """Return matches of `pairs`; the other columns are computed from each pair, so that a wrong order is noticed."""
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return MatchArrays(a, b, 100 * a + b, (a % 4).astype(np.uint8), b > 2)


@pytest.mark.parametrize(
    "parts",
    [
        [[(0, 1), (0, 9), (2, 0)]],
        [[(1, 0), (1, 9)], [(0, 9)], []],
        [[(0, 9), (2, 1)], [(1, 0), (2, 0), (3, 5)], [(0, 8)]],
        [[(0, 0), (2, 1)], [(1, 0)]],
        [[(0, 3)], [(0, 2)], [(0, 1)]],
        [[], []],
    ],
)
def test_parts_are_joined_by_position_in_a_then_in_b(parts: list[Pairs]) -> None:
    whole = joined([found(part) for part in parts])
    expected = found(sorted(pair for part in parts for pair in part))
    for column, other in zip(whole, expected, strict=True):
        assert column.tolist() == other.tolist()
        assert column.dtype == other.dtype


@pytest.mark.parametrize("measure", [Squares(), FloatSquares()])
def test_no_matches_have_the_numbers_of_the_measure(measure: Squares | FloatSquares) -> None:
    none = nothing(Metric(measure, None, None, None, 1))
    assert [len(column) for column in none] == [0] * 5
    assert [column.dtype for column in none] == [np.int64, np.int64, measure.numbers, np.uint8, bool]


def test_some_of_the_matches() -> None:
    whole = found([(0, 1), (0, 9), (2, 0)])
    for keep in ([True, False, True], slice(0, 3, 2), [0, 2]):
        some = whole.where(np.array(keep) if isinstance(keep, list) else keep)
        assert [column.tolist() for column in some] == [[0, 2], [1, 0], [1, 200], [0, 2], [False, False]]


def test_a_side_is_as_long_as_its_images_are_many() -> None:
    none = np.empty(0, np.int64)
    weight = np.ones(3, np.int64)
    assert len(Side(np.empty((3, 0), np.float32), weight, weight, None, lambda positions: (none, none))) == 3
