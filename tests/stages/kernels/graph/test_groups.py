"""Groups of copies, and rows about groups expanded to rows about images, against a loop over all pairs."""

import itertools

import numpy as np
import pytest

from stages.kernels.graph.groups import PairArrays, aspect_classes, expand, representatives
from tests.stages.kernels.plain import TURNS, form

Row = tuple[int, int, float, int, bool]


@pytest.mark.parametrize(
    ("same", "rotations", "alike"),
    [
        ("any", True, [{0, 1, 2, 3, 4, 5}]),
        ("dimensions", False, [{0}, {1}, {2}, {3}, {4, 5}]),
        ("dimensions", True, [{0, 1}, {2}, {3}, {4, 5}]),
        ("aspect", False, [{0, 3}, {1}, {2}, {4, 5}]),
        ("aspect", True, [{0, 1, 3}, {2}, {4, 5}]),
    ],
)
def test_which_images_are_compared_by_their_sizes(same: str, rotations: bool, alike: list[set[int]]) -> None:
    """The last two images have the largest sizes that can be distinguished; one more pixel gives another class."""
    width, height = np.array([6, 4, 6, 3, 2**31 - 1, 2**31 - 1]), np.array([4, 6, 5, 2, 2**31 - 2, 2**31 - 2])
    classes = aspect_classes(width, height, same, rotations)
    assert classes.dtype == np.int64
    assert [{i for i in range(6) if classes[i] == kind} for kind in dict.fromkeys(classes.tolist())] == alike


def test_the_first_of_equal_rows_stands_for_them() -> None:
    keys = np.array([[1, 2], [2, 1], [1, 2], [1, 1], [2, 1], [1, 2]])
    assert representatives(keys).tolist() == [0, 1, 0, 3, 1, 0]
    assert representatives(keys[:0]).tolist() == []


def library(seed: int, count: int, turns: int) -> list[np.ndarray]:
    """Return a few pictures in every compared turn: one that no turn changes, one unchanged by half a turn, one
    unchanged by a mirror, and some that all turns change."""
    random = np.random.default_rng(seed)
    plain = random.integers(0, 256, (3, 4, 4))
    halved = plain[0] + np.rot90(plain[0], 2)
    kinds = [*plain, halved, halved + np.rot90(halved), plain[1] + plain[1][:, ::-1]]
    return [form(kinds[random.integers(len(kinds))], int(random.choice(TURNS[turns]))) for _ in range(count)]


def row(images: list[np.ndarray], a: int, b: int, turns: int) -> Row:
    sums = {turn: int(np.square(images[a] - form(images[b], turn)).sum()) for turn in TURNS[turns]}
    least = min(sums.values())
    return a, b, float(least), sum(1 << turn for turn, far in sums.items() if far == least), True


def facts(images: list[np.ndarray], ends: list[int], turns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the representative of each image within its block, the turn to the common form, and the turns that
    leave the image unchanged; blocks end before the images `ends`."""
    forms = [{turn: form(image, turn).tobytes() for turn in TURNS[turns]} for image in images]
    shared = [(sum(number >= end for end in ends), min(each.values())) for number, each in enumerate(forms)]
    return (
        np.array([shared.index(key) for key in shared]),
        np.array([min(turn for turn in each if each[turn] == min(each.values())) for each in forms]),
        np.array([sum(1 << turn for turn in each if each[turn] == each[0]) for each in forms], np.uint8),
    )


def as_arrays(rows: list[Row]) -> PairArrays:
    a, b, mse, bits, measured = zip(*rows, strict=True) if rows else [()] * 5
    return PairArrays(
        np.array(a, np.int64), np.array(b, np.int64), np.array(mse), np.array(bits, np.uint8), np.array(measured, bool)
    )


def as_rows(rows: PairArrays) -> list[Row]:
    columns = (getattr(rows, name).tolist() for name in PairArrays.__dataclass_fields__)
    return sorted(zip(*columns, strict=True))


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_one_set_are_those_of_every_pair(seed: int, turns: int) -> None:
    """Rows within the first block, within the second block, and across; the image with the smaller number comes
    first."""
    images = library(seed, 17, turns)
    of, turn, unchanged = facts(images, [9], turns)
    firsts = sorted(set(of.tolist()))
    short = [row(images, a, b, turns) for a, b in itertools.combinations(firsts, 2)]
    short += [row(images, first, x, turns) for x, first in enumerate(of.tolist()) if x != first]
    found = expand(as_arrays(short), of, turn, unchanged, swap=True)
    assert as_rows(found) == [row(images, a, b, turns) for a, b in itertools.combinations(range(17), 2)]
    assert (found.mse.dtype, found.turns.dtype, found.measured.dtype) == (np.float64, np.uint8, np.bool_)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("seed", range(4))
def test_rows_of_two_sets_keep_their_sides(seed: int, turns: int) -> None:
    """Images of the second set may have the smaller numbers."""
    images = library(seed, 12, turns)
    of, turn, unchanged = facts(images, [5], turns)
    a, b = ({x for x in of.tolist() if side(x)} for side in (lambda x: x >= 5, lambda x: x < 5))
    short = [row(images, x, y, turns) for x, y in itertools.product(sorted(a), sorted(b))]
    whole = [row(images, x, y, turns) for x, y in itertools.product(range(5, 12), range(5))]
    assert as_rows(expand(as_arrays(short), of, turn, unchanged, swap=False)) == whole


def test_pairs_that_were_not_measured_keep_their_turns() -> None:
    """The images have equal hashes: members of a group have equal hashes in the same turns, whatever their own turn."""
    of, turn, unchanged = np.array([0, 0, 2, 2]), np.array([0, 1, 2, 0]), np.ones(4, np.uint8)
    short = [(0, 1, 0.0, 0b0100, False), (0, 2, 0.0, 0b0010, False)]
    found = as_rows(expand(as_arrays(short), of, turn, unchanged, swap=True))
    across = [(a, b, 0.0, 0b0010, False) for a in (0, 1) for b in (2, 3)]
    assert found == sorted([(0, 1, 0.0, 0b0100, False), *across])


def test_no_rows() -> None:
    none = np.empty(0, np.int64)
    assert as_rows(expand(as_arrays([]), none, none, none.astype(np.uint8), swap=True)) == []
    assert as_rows(expand(as_arrays([]), np.arange(3), np.zeros(3, np.int64), np.ones(3, np.uint8), swap=True)) == []
