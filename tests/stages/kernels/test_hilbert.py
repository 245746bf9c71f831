"""The defining properties of Hilbert's curve."""

import numpy as np
import pytest

from stages.kernels.hilbert import places


@pytest.mark.parametrize("side", [1, 2, 4, 8, 32])
def test_each_cell_of_a_square_is_met_once_and_next_to_the_one_before(side: int) -> None:
    rows, columns = np.indices((side, side)).reshape(2, -1)
    found = places(rows, columns)
    assert sorted(found.tolist()) == list(range(side * side))
    order = np.argsort(found)
    steps = np.abs(np.diff(rows[order])) + np.abs(np.diff(columns[order]))
    assert set(steps.tolist()) <= {1}
    assert (rows[order[0]], columns[order[0]]) == (0, 0)


@pytest.mark.parametrize("inner", [2, 4, 16])
def test_a_square_in_its_place_is_walked_through_in_one_go(inner: int) -> None:
    rows, columns = np.indices((32, 32)).reshape(2, -1)
    square = places(rows, columns) // inner**2
    for number in range((32 // inner) ** 2):
        here = square == number
        assert len(set((rows[here] // inner).tolist())) == len(set((columns[here] // inner).tolist())) == 1


@pytest.mark.parametrize("side", [2, 4, 8, 32])
def test_the_curve_follows_columns_first_at_the_largest_scale(side: int) -> None:
    rows, columns = np.indices((side, side)).reshape(2, -1)
    quarter = places(rows, columns) // (side * side // 4)
    upper, left = rows < side // 2, columns < side // 2
    assert quarter.tolist() == np.select([upper & left, upper, ~left], [0, 1, 2], 3).tolist()


def test_no_cells_and_some_cells() -> None:
    assert places(np.array([], np.int64), np.array([], np.int64)).tolist() == []
    every = places(*np.indices((8, 8)).reshape(2, -1))
    some = places(np.array([1, 5, 7]), np.array([2, 7, 0]))
    assert some.tolist() == [every[1 * 8 + 2], every[5 * 8 + 7], every[7 * 8]]
