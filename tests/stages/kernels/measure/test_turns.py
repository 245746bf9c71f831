"""Sets of turns as bits, all sixteen of them, against sets of Python."""

import numpy as np
import pytest

from stages.kernels.measure import turns

SETS = [{turn for turn in range(4) if bits >> turn & 1} for bits in range(16)]
BITS = np.arange(16, dtype=np.uint8)


def sets(bits: np.ndarray) -> list[set[int]]:
    assert bits.dtype == np.uint8
    assert (bits < 16).all()
    return [SETS[each] for each in bits.tolist()]


def test_the_smallest_turn_of_each_set() -> None:
    assert turns.SMALLEST.tolist() == [min(each, default=0) for each in SETS]


@pytest.mark.parametrize("by", range(-5, 6))
def test_turns_are_shifted_round(by: int) -> None:
    expected = [{(turn + by) % 4 for turn in each} for each in SETS]
    assert sets(turns.shifted(BITS, np.array(by))) == expected
    assert sets(turns.shifted(BITS, np.full(16, by))) == expected


def test_turns_of_a_pair_reversed() -> None:
    assert sets(turns.reversed_(BITS)) == [{-turn % 4 for turn in each} for each in SETS]


@pytest.mark.parametrize("period", [1, 2, 4])
def test_turns_between_images_that_agree_when_turned(period: int) -> None:
    """An image that `period` quarter turns leave unchanged, and every pair of its turns."""
    image = np.zeros((4, 4), np.uint8)
    for turn in range(0, 4, period):
        image[np.rot90(np.arange(16).reshape(4, 4) == 1, turn)] = 1
    for turn_a in range(4):
        for turn_b in range(4):
            a, b = np.rot90(image, -turn_a), np.rot90(image, -turn_b)
            expected = {turn for turn in range(4) if np.array_equal(a, np.rot90(b, turn))}
            found = turns.between(np.array([turn_a]), np.array([turn_b]), np.array([4 // period]))
            assert sets(found) == [expected]
