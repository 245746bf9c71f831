"""Quarter turns of thumbnails; sets of turns as bits, all sixteen of them, against sets of Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("turn", range(4))
def test_images_are_turned_counter_clockwise(turn: int) -> None:
    images = np.random.default_rng(7).integers(0, 256, (3, 4, 4, 2), dtype=np.uint8)
    found = turns.turned(images, turn)
    assert found.flags.c_contiguous
    for image, each in zip(images, found, strict=True):
        assert each.tolist() == np.rot90(image, turn).tolist()


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=4), st.booleans())
def test_the_least_of_the_turns_and_all_that_attain_it(values: list[list[int]], floats: bool) -> None:
    smallest, bits = turns.least(np.array(values, np.float64 if floats else np.int64))
    for column in range(3):
        at = [row[column] for row in values]
        assert smallest[column] == min(at)
        assert bits[column] == sum(1 << turn for turn, value in enumerate(at) if value == min(at))
