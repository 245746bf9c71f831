"""Turns of thumbnails and their algebra, against images; sets of turns as bits, against Python's sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels.measure import native, turns
from tests.stages.kernels.plain import form

EVERY = range(8)
SETS = [{turn for turn in EVERY if bits >> turn & 1} for bits in range(256)]
BITS = np.arange(256, dtype=np.uint8)
IMAGE = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)


def sets(bits: np.ndarray) -> list[set[int]]:
    assert bits.dtype == np.uint8
    return [SETS[each] for each in bits.tolist()]


def test_the_smallest_turn_of_each_set() -> None:
    assert turns.SMALLEST.tolist() == [min(each, default=0) for each in SETS]
    assert turns.SMALLEST.dtype == np.int16


def test_the_degrees_of_each_turn() -> None:
    found = turns.degrees(np.array(EVERY, np.int16))
    assert (found.tolist(), found.dtype) == ([0, 90, 180, 270] * 2, np.int16)


@pytest.mark.parametrize("first", EVERY)
def test_one_turn_then_another_is_one_turn(first: int) -> None:
    seconds = np.array(EVERY)
    found = turns.then(first, seconds)
    for second, both in zip(EVERY, found.tolist(), strict=True):
        assert np.array_equal(form(form(IMAGE, first), second), form(IMAGE, both))
        assert int(turns.then(first, second)) == both
    back = int(turns.inverse(first))
    assert np.array_equal(form(form(IMAGE, first), back), IMAGE)
    assert turns.inverse(seconds)[first] == back


def test_compared_turns_are_groups_and_ascend() -> None:
    for number, group in turns.COMPARED.items():
        assert len(group) == number
        assert sorted(group) == list(group)
        assert {int(turns.then(x, y)) for x in group for y in group} == set(group)
        places = turns.inverses(number).tolist()
        assert [int(turns.then(turn, group[place])) for turn, place in zip(group, places, strict=True)] == [0] * number


@pytest.mark.parametrize("before", EVERY)
@pytest.mark.parametrize("after", EVERY)
def test_sets_moved_by_turns_before_and_after(before: int, after: int) -> None:
    expected = [{int(turns.then(turns.then(before, turn), after)) for turn in each} for each in SETS]
    assert sets(turns.moved(BITS, np.full(256, before), np.full(256, after))) == expected


def test_turns_of_a_pair_reversed() -> None:
    assert sets(turns.reversed_(BITS)) == [{int(turns.inverse(turn)) for turn in each} for each in SETS]


def images() -> list[np.ndarray]:
    """Return an image for each of the ten sets of turns that can leave an image unchanged."""
    found = {}
    for values in np.ndindex(2, 2, 2, 2, 2, 2, 2, 2):
        image = np.zeros((4, 4, 1), np.uint8)
        for turn, value in enumerate(values):
            image[form(IMAGE == 1, turn)] = value
        found[tuple(np.array_equal(image, form(image, turn)) for turn in EVERY)] = image
    assert len(found) == 10
    return list(found.values())


@pytest.mark.parametrize("image", images(), ids=lambda image: f"{image.sum()}")
def test_turns_between_images_that_agree_when_turned(image: np.ndarray) -> None:
    unchanged = sum(1 << turn for turn in EVERY if np.array_equal(image, form(image, turn)))
    for turn_a in EVERY:
        for turn_b in EVERY:
            a, b = (form(image, int(turns.inverse(turn))) for turn in (turn_a, turn_b))
            of_b = sum(1 << turn for turn in EVERY if np.array_equal(b, form(b, turn)))
            expected = {turn for turn in EVERY if np.array_equal(a, form(b, turn))}
            found = turns.between(np.array([turn_a]), np.array([turn_b]), np.array([of_b], np.uint8))
            assert sets(found) == [expected]
            assert len(expected) == unchanged.bit_count()


@pytest.mark.parametrize("number", turns.COMPARED)
def test_places_among_the_compared_turns(number: int) -> None:
    group = turns.COMPARED[number]
    places = np.arange(1 << number, dtype=np.uint8) if number < 8 else BITS
    bits = turns.numbered(places, number)
    assert sets(bits) == [{group[place] for place in each} for each in sets(places)]
    assert np.array_equal(turns.placed(bits, number), places)


SHAPES = [(20, 4, 4, 2), (3, 4, 6, 3), (5, 3, 3, 4), (2, 5, 7, 1), (1, 4, 4, 3), (3, 1, 1, 3), (0, 4, 4, 3)]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("turn", EVERY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_are_mirrored_and_then_turned_counter_clockwise(
    turn: int, shape: tuple[int, ...], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "native_for", lambda *_: native if compiled else None)
    images = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    images.flags.writeable = shape[0] > 3
    found = turns.turned(images, turn)
    assert found.flags.c_contiguous
    for image, each in zip(images, found, strict=True):
        assert each.tolist() == form(image, turn).tolist()


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=8), st.booleans())
def test_the_least_of_the_turns_and_all_that_attain_it(values: list[list[int]], floats: bool) -> None:
    smallest, bits = turns.least(np.array(values, np.float64 if floats else np.int64))
    for column in range(3):
        at = [row[column] for row in values]
        assert smallest[column] == min(at)
        assert bits[column] == sum(1 << turn for turn, value in enumerate(at) if value == min(at))
