import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.kernels import coarse, exact

SHAPES = [(4, 4, 1), (5, 5, 3), (8, 8, 3), (7, 9, 4), (50, 50, 3), (13, 13, 1)]


def test_edges_mirror_each_other_and_leave_out_an_odd_middle() -> None:
    assert coarse.edges(50) == [(0, 12), (12, 25), (25, 38), (38, 50)]
    assert coarse.edges(51) == [(0, 12), (12, 25), (26, 39), (39, 51)]
    for side in range(4, 70):
        cells = coarse.edges(side)
        assert all(start < stop for start, stop in cells)
        assert [(side - stop, side - start) for start, stop in reversed(cells)] == cells


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_those_of_the_cells(shape: coarse.Shape) -> None:
    image = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    sums = coarse.coarse(image)
    assert sums.shape == (2, coarse.length(shape))
    (top, bottom), (left, right) = coarse.edges(shape[0])[1], coarse.edges(shape[1])[2]
    cell = image[1, top:bottom, left:right].astype(int)
    channels = shape[2]
    assert sums[1, (1 * 4 + 2) * channels : (1 * 4 + 3) * channels].tolist() == cell.sum(axis=(0, 1)).tolist()
    rows = [y for start, stop in coarse.edges(shape[0]) for y in range(start, stop)]
    columns = [x for start, stop in coarse.edges(shape[1]) for x in range(start, stop)]
    covered = image[1][np.ix_(rows, columns)].astype(int)
    assert sums[1, -channels:].tolist() == (covered**2).sum(axis=(0, 1)).tolist()


@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 5, 3), (50, 50, 3), (51, 51, 3)], ids=str)
@pytest.mark.parametrize("turn", range(4))
def test_a_quarter_turn_permutes_the_vector(shape: coarse.Shape, turn: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (3, *shape), dtype=np.uint8)
    expected, _ = coarse.operand(coarse.vectors(coarse.coarse(np.rot90(image, turn, axes=(1, 2))), shape))
    operand, _ = coarse.operand(coarse.vectors(coarse.coarse(image), shape))
    found = coarse.turned(operand, shape[2], turn)
    assert np.array_equal(found[:, :-2], expected[:, :-2])
    assert np.allclose(found[:, -2:], expected[:, -2:], rtol=1e-6)


def product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float, float, int]:
    shape = a.shape[1:]
    left, norm_a = coarse.operand(coarse.vectors(coarse.coarse(a), shape))
    right, norm_b = coarse.operand(coarse.vectors(coarse.coarse(b), shape), right=True)
    return left @ right.T, norm_a, norm_b, left.shape[1] - 2


def extremes(shape: coarse.Shape, seed: int) -> np.ndarray:
    """Constants, checkerboards, halves, noise, and pairs that are one value apart."""
    random = np.random.default_rng(seed)
    checks = np.indices(shape[:2]).sum(axis=0)[:, :, None] % 2
    ramp = np.linspace(0, 255, shape[0] * shape[1]).reshape(*shape[:2], 1)
    values = [np.full(shape, value) for value in (0, 1, 3, 127, 128, 254, 255)]
    values += [checks * 255 + np.zeros(shape), 255 - checks * 255 + np.zeros(shape), ramp + np.zeros(shape)]
    values += [random.integers(0, 256, shape) for _ in range(6)]
    values += [np.clip(value + random.integers(-1, 2, shape), 0, 255) for value in values]
    return np.array(values).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_no_pair_at_its_own_distance_is_lost(shape: coarse.Shape, seed: int) -> None:
    """The threshold is placed at the very sum of squares of each pair in turn, where nothing is to spare."""
    images = extremes(shape, seed)
    apart = exact.cross(images.reshape(len(images), -1), images.reshape(len(images), -1))
    value, norm_a, norm_b, d = product(images, images)
    for limit in np.unique(apart).tolist():
        kept = value >= coarse.bound(limit, norm_a, norm_b, d)
        assert kept[apart <= limit].all()


def test_without_slack_pairs_would_be_lost() -> None:
    """Images that differ by a constant are exactly as far apart as their coarse vectors: the bound is tight there."""
    lost = 0
    for shape in SHAPES:
        random = np.random.default_rng(3)
        base = random.integers(0, 200, (60, *shape), dtype=np.uint8)
        other = base + random.integers(1, 50, (60, 1, 1, 1)).astype(np.uint8)
        value, norm_a, norm_b, d = product(base, other)
        for number, limit in enumerate(exact.aligned(base, other).tolist()):
            assert value[number, number] >= coarse.bound(limit, norm_a, norm_b, d)
            lost += value[number, number] < -limit / 2
    assert lost > 10


@pytest.mark.parametrize("shape", [(64, 64, 3), (50, 50, 3)], ids=str)
def test_the_slack_is_small(shape: coarse.Shape) -> None:
    """At most a few MSE units even between the blackest and the whitest image."""
    images = np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)])
    _, norm_a, norm_b, d = product(images, images)
    pixels = shape[0] * shape[1]
    limit = coarse.limit(200.0, pixels)
    slack = (-2 * float(coarse.bound(limit, norm_a, norm_b, d)) - limit) / pixels
    assert 0 < slack < 2


@given(
    images=arrays.arrays(np.uint8, (2, 6, 6, 2), elements=st.integers(0, 255)),
    nudge=st.integers(-1, 1),
)
def test_the_bound_decides_nothing_wrongly(images: np.ndarray, nudge: int) -> None:
    a, b = images[:1], images[1:]
    apart = int(exact.aligned(a, b)[0])
    limit = max(0, apart + nudge)
    value, norm_a, norm_b, d = product(a, b)
    if apart <= limit:
        assert value[0, 0] >= coarse.bound(limit, norm_a, norm_b, d)


@given(threshold=st.floats(0, 200_000), divisor=st.integers(1, 1 << 22))
def test_the_limit_is_the_greatest_sum_that_is_a_match(threshold: float, divisor: int) -> None:
    limit = coarse.limit(threshold, divisor)
    assert limit / divisor <= threshold < (limit + 1) / divisor


@pytest.mark.parametrize("threshold", [260_100.0, 1e18, 1e308])
@pytest.mark.parametrize("divisor", [1, 4096, 1 << 22])
def test_a_threshold_beyond_reach_lets_everything_pass(threshold: float, divisor: int) -> None:
    assert coarse.limit(threshold, divisor) == 4 * 255**2 * divisor


def test_the_limit_where_division_rounds() -> None:
    for divisor in (3, 7, 2500, 4096, 12288):
        for sums in (0, 1, 2, 999, 123_457):
            threshold = sums / divisor
            assert coarse.limit(threshold, divisor) == sums
            assert coarse.limit(math.nextafter(threshold, math.inf), divisor) == sums
            if sums:
                assert coarse.limit(math.nextafter(threshold, 0), divisor) == sums - 1
