"""Turned vectors and invariants under turns: the invariants bound every turn, as tightly as possible."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.kernels.bounds import coarse, orbits
from stages.kernels.measure import native
from tests.stages.kernels import plain
from tests.stages.kernels.bounds.test_coarse import GRIDS, SHAPES, SQUARE

TURNING = [(shape, grid, turns) for shape, grid in GRIDS for turns in ((4, 8) if shape in SQUARE else (2,))]
GROUPS = [(shape, turns) for shape in SHAPES for turns in ((2, 4, 8) if shape in SQUARE else (2,))]


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def looping(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run with invariants by compiled loops, and by NumPy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orbits, "native_for", lambda *_: native if request.param == "compiled" else None)
        yield


def kept(vectors: np.ndarray, channels: int, turns: int) -> np.ndarray:
    function = orbits.unchanged_by(channels, turns)
    assert function is not None
    return function(vectors)


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("shape", "grid", "turns"), TURNING, ids=str)
def test_a_turn_permutes_the_columns_exactly(shape: coarse.Shape, grid: int, turns: int, zero_mean: bool) -> None:
    images = plain.gallery(shape)
    vectors = plain.vectors(images, grid, zero_mean)
    for turn, order in zip(plain.TURNS[turns], orbits.orders(shape[2], turns, grid), strict=True):
        assert sorted(order.tolist()) == list(range(coarse.length(shape, grid)))
        turned = plain.vectors(plain.forms(images, turn), grid, zero_mean)
        assert turned.tobytes() == vectors[:, order].tobytes(order="C")


def test_one_turn_needs_no_invariants() -> None:
    assert orbits.unchanged_by(3, 1) is None


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("shape", "turns"), GROUPS, ids=str)
def test_the_invariants_bound_every_turn(shape: coarse.Shape, turns: int, zero_mean: bool) -> None:
    images = plain.gallery(shape)
    u = plain.vectors(images, zero_mean=zero_mean)
    w = kept(u, shape[2], turns)
    assert w.shape == (len(images), (16 if turns == 2 else 12) * (shape[2] + 1))
    assert (w**2).sum(axis=1) == pytest.approx((u.astype(np.float64) ** 2).sum(axis=1))
    bound = ((w[:, None] - w) ** 2).sum(axis=2)
    for order in orbits.orders(shape[2], turns):
        whole = ((u[:, None].astype(np.float64) - u[:, order]) ** 2).sum(axis=2)
        assert (bound <= whole * (1 + 1e-12) + 1e-6).all()


@given(
    entries=arrays(np.float32, (2, 32), elements=st.floats(-1000, 1000, width=32)),
    alike=st.booleans(),
    turns=st.sampled_from([2, 4, 8]),
)
def test_the_invariants_are_a_bound_for_all_vectors(entries: np.ndarray, alike: bool, turns: int) -> None:
    orders = orbits.orders(1, turns)
    if alike:  # near each other, or near a turned copy of each other
        entries[1] = entries[0][orders[int(abs(entries[1, 0])) % turns]] + entries[1] / np.float32(1000)
    w = kept(entries, 1, turns)
    u, v = entries.astype(np.float64)
    least = min(((u - v[order]) ** 2).sum() for order in orders)
    assert ((w[0] - w[1]) ** 2).sum() <= least * (1 + 1e-12) + 1e-12 * (u @ u + v @ v)


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize(("shape", "turns"), GROUPS, ids=str)
def test_no_turn_changes_the_invariants(shape: coarse.Shape, turns: int) -> None:
    images = plain.gallery(shape)
    for turn in plain.TURNS[turns]:
        turned = kept(plain.vectors(plain.forms(images, turn)), shape[2], turns)
        assert turned == pytest.approx(kept(plain.vectors(images), shape[2], turns), abs=1e-9)


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("shape", SQUARE, ids=str)
@pytest.mark.parametrize("turns", [2, 4, 8])
def test_the_invariants_bound_is_tight_where_possible(shape: coarse.Shape, turns: int) -> None:
    """If images differ equally in all cells that turns map to each other, the bound equals the distance."""
    for seed in range(5):
        a, b = plain.stepped(np.random.default_rng(seed), shape, 4, orbits=True, mirror=turns != 4)
        w = kept(plain.vectors(np.stack([a, b])), shape[2], turns)
        assert ((w[0] - w[1]) ** 2).sum() == pytest.approx(plain.squares(a, b), rel=1e-4)
