import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels.bounds import directions, slack
from stages.kernels.bounds.directions import DIRECTIONS, principal
from stages.kernels.bounds.space import Space, largest_norm, prepare


def as_they_are(vectors: np.ndarray) -> np.ndarray:
    return vectors.astype(np.float64)


def points(seed: int, n: int, d: int, rank: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    spread = np.exp(-random.uniform(0, 6, rank))
    return random.normal(size=(n, rank)) * spread @ random.normal(size=(rank, d)) + random.normal(size=d) * 100


def squared(row: list[Fraction]) -> Fraction:
    return sum((entry**2 for entry in row), Fraction(0))


@pytest.mark.parametrize(("n", "d"), [(0, 5), (1, 64), (2, 3), (7, 48), (100, 8), (100, 1), (50, 90)])
@pytest.mark.parametrize("rank", [0, 1, 3, 40])
def test_a_projection_stretches_by_no_more_than_it_says(n: int, d: int, rank: int) -> None:
    """Exact fractions, for vectors within the span of the directions, where no length is lost, and for other
    vectors."""
    found = principal(points(1, n, d, rank))
    assert found.basis.shape == (d, min(d, DIRECTIONS))
    assert 1 < found.stretch < 1 + 1e-8
    random = np.random.default_rng(2)
    columns = [[Fraction(x) for x in column] for column in found.basis.T.tolist()]
    within = [found.basis @ random.normal(size=found.basis.shape[1]) for _ in range(3)]
    for x in [*within, *found.basis.T, random.normal(size=d)]:
        exact = [Fraction(entry) for entry in x.tolist()]
        along = [sum((q * entry for q, entry in zip(column, exact, strict=True)), Fraction(0)) for column in columns]
        assert squared(along) <= squared(exact) * Fraction(found.stretch)


def test_the_stretch_is_correct_for_any_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a library gives directions that are not quite orthonormal, `stretch` shows the error."""
    true = np.linalg.qr
    monkeypatch.setattr(np.linalg, "qr", lambda matrix: tuple(part * 1.001 for part in true(matrix)))
    found = principal(points(1, 30, 20, 10))
    longest = np.linalg.svd(found.basis, compute_uv=False)[0] ** 2
    assert 1.001 < longest <= found.stretch


def test_the_cut_grows_with_the_stretch_of_the_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vectors along the first direction are as far apart as the basis makes them: no match may be lost."""
    true = np.linalg.qr
    monkeypatch.setattr(np.linalg, "qr", lambda matrix: tuple(part * 1.001 for part in true(matrix)))
    rows = points(1, 30, 20, 10).astype(np.float32)
    space = Space(100.0, np.arange(20)[None])
    (only,) = prepare(rows, rows, space).passes
    assert only.squared == pytest.approx(100.0 * principal(as_they_are(rows)).stretch, rel=1e-12)
    assert only.squared > 100.1


@pytest.mark.parametrize(("n", "d"), [(200, 64), (200, 8), (200, 3), (5, 64)])
def test_directions_are_those_of_the_greatest_spread(n: int, d: int) -> None:
    random = np.random.default_rng(3)
    samples = random.normal(size=(n, d)) * 4.0 ** -np.arange(d) @ np.linalg.qr(random.normal(size=(d, d)))[0] + 50
    found = principal(samples)
    apart = samples - samples.mean(axis=0)
    expected = np.linalg.svd(apart, compute_uv=False)[: found.basis.shape[1]]
    explained = np.linalg.norm(apart @ found.basis, axis=0)
    assert explained[: min(4, n - 1)] == pytest.approx(expected[: min(4, n - 1)], rel=1e-3)
    assert (np.diff(explained) <= 1e-6 * explained[0]).all()


@pytest.mark.parametrize("rank", [0, 1, DIRECTIONS - 1, DIRECTIONS])
def test_points_in_few_dimensions_lose_nothing(rank: int) -> None:
    """Vectors that vary in at most DIRECTIONS dimensions keep their distances along the directions."""
    vectors = points(4, 40, 64, rank).astype(np.float32)
    flat = vectors if rank < DIRECTIONS else vectors[: DIRECTIONS + 1]  # rounding adds dimensions; DIRECTIONS remain
    keys = principal(as_they_are(flat)).project(flat, as_they_are).rows.astype(np.float64)
    whole = ((flat[:, None].astype(np.float64) - flat) ** 2).sum(axis=2)
    assert ((keys[:, None] - keys) ** 2).sum(axis=2) == pytest.approx(whole, rel=1e-4, abs=1e-6)


def test_keys_are_projections_about_the_mean_with_the_largest_norm_on_the_way() -> None:
    vectors = points(6, 30, 12, 12).astype(np.float32) / np.float32(1000)
    found = principal(as_they_are(vectors))
    assert found.centre == pytest.approx(vectors.astype(np.float64).mean(axis=0))
    keys = found.project(vectors, as_they_are)
    about = vectors - found.centre
    assert keys.rows[:, :12] == pytest.approx(about @ found.basis, rel=1e-5, abs=1e-7)
    assert keys.norm == pytest.approx(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
    near = found.project(np.zeros((1, 12), np.float32), as_they_are)
    assert near.norm == pytest.approx(np.linalg.norm(found.centre))


@pytest.mark.parametrize("rows", [[], [[0, 0]], [[0.25, 0]], [[3, 4], [0, 1]], [[16_777_216, 1, 1, 1]]])
def test_the_largest_norm_of_rows(rows: list[list[float]]) -> None:
    """The norm is computed in float64: float32 can't hold 2²⁴ + 1."""
    given = np.array(rows, np.float32).reshape(len(rows), -1 if rows else 2)
    exact = max((sum(Fraction(x) ** 2 for x in row) for row in given.tolist()), default=Fraction(0))
    assert largest_norm(given) == math.sqrt(exact)


def test_keys_are_made_in_parts_and_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = points(5, 25, 3, 3).astype(np.float32)
    found = principal(as_they_are(vectors))
    whole = found.project(vectors, as_they_are)
    assert whole.rows.shape == (25, DIRECTIONS)
    assert whole.rows.dtype == np.float32
    assert not whole.rows[:, 3:].any()
    monkeypatch.setattr(directions, "ENTRIES", 10 * 3)
    parts = found.project(vectors, as_they_are)
    assert parts.rows == pytest.approx(whole.rows)
    assert parts.norm == pytest.approx(whole.norm)
    assert found.project(vectors[:0], as_they_are).rows.shape == (0, DIRECTIONS)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(2, 9),
    d=st.integers(1, 20),
    offset=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
    nearness=st.integers(0, 20),
)
def test_keys_and_their_norm_lose_no_match(seed: int, n: int, d: int, offset: float, nearness: int) -> None:
    """Vectors in float64 are rounded once; the test takes the greatest of their distances, and the cut made from it.

    All vectors may be far from the centre and near each other: then rounding moves the vectors by more than the
    keys."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=d) + offset + random.normal(size=(n, d)) * 2.0**-nearness
    rounded = vectors.astype(np.float32)
    found = principal(as_they_are(rounded))
    keys = found.project(rounded, as_they_are)
    for i in range(n):
        for j in range(i):
            far = sum((Fraction(x) - Fraction(y)) ** 2 for x, y in zip(vectors[i], vectors[j], strict=True))
            most = slack.cut(float(far) * (1 + 2.0**-50) * found.stretch, keys.norm, keys.norm, DIRECTIONS)
            assert ((keys.rows[i] - keys.rows[j]) ** 2).sum() <= most
