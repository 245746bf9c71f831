"""Cuts against float32 sums and products in any order; distances are exact fractions."""

import math
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels.bounds import slack
from stages.kernels.filters.product import operand

ETA = Fraction(1, 2**24)
SIZES = [1, 2, 7, 8, 32, 64, 257, 1_000]

cases = given(
    seed=st.integers(0, 2**32),
    n=st.sampled_from(SIZES),
    scale=st.integers(-6, 40),
    offset=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    nearness=st.integers(0, 26),
)


def pair(seed: int, n: int, scale: int, offset: float, nearness: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two vectors in float64 that are near each other, at any distance from the origin."""
    random = np.random.default_rng(seed)
    u = random.normal(size=n) + offset
    v = u + random.choice([random.normal(size=n), np.ones(n), -np.eye(1, n)[0]]) * 2.0**-nearness
    return u * 2.0**scale, v * 2.0**scale


def squared(u: np.ndarray, v: np.ndarray) -> Fraction:
    return sum(((Fraction(x) - Fraction(y)) ** 2 for x, y in zip(u.tolist(), v.tolist(), strict=True)), Fraction(0))


def above(number: Fraction) -> float:
    """Return the least float64 that is at least the value."""
    return float(number) if Fraction(float(number)) >= number else math.nextafter(float(number), math.inf)


def norm(u: np.ndarray) -> float:
    return float(np.sqrt(np.einsum("n,n->", u, u, dtype=np.float64)))


def totals(terms: np.ndarray, random: np.random.Generator) -> list[np.float32]:
    """Return float32 sums in several orders: from either end, smallest and largest first, in eight lanes, in pairs."""

    def in_a_row(values: np.ndarray) -> np.float32:
        return np.cumsum(values, dtype=np.float32)[-1]

    lanes = [in_a_row(terms[lane::8]) for lane in range(min(8, len(terms)))]
    ordered = np.sort(terms)
    mixed = random.permutation(terms)
    return [in_a_row(x) for x in (terms, terms[::-1], ordered, ordered[::-1], mixed, np.array(lanes))] + [terms.sum()]


@settings(max_examples=400)
@cases
def test_no_sum_of_squared_differences_exceeds_the_cut(
    seed: int, n: int, scale: int, offset: float, nearness: int
) -> None:
    u, v = pair(seed, n, scale, offset, nearness)
    x, y = u.astype(np.float32), v.astype(np.float32)
    terms = (x - y) ** 2
    fused = ((x - y).astype(np.float64) ** 2).astype(np.float32)  # as by a fused multiply-add, which rounds once
    most = slack.cut(above(squared(u, v)), norm(x), norm(y), n)
    assert most.dtype == np.float32
    random = np.random.default_rng(seed)
    assert all(total <= most for total in [*totals(terms, random), *totals(fused, random)])


@settings(max_examples=400)
@cases
def test_no_product_is_below_the_bound(seed: int, n: int, scale: int, offset: float, nearness: int) -> None:
    u, v = pair(seed, n, scale, offset, nearness)
    x, y = u.astype(np.float32), v.astype(np.float32)
    left, right = operand(x[None]), operand(y[None], right=True)
    least = slack.bound(above(squared(u, v)), norm(x), norm(y), n)
    assert least.dtype == np.float32
    products = totals((left * right)[0], np.random.default_rng(seed))
    assert all(product >= least for product in [*products, (left @ right.T)[0, 0]])


@pytest.mark.parametrize("n", [100, 1_000, 50_000])
def test_where_every_addition_rounds_up(n: int) -> None:
    """One term of 1, then many terms of a little more than half the distance to the next float32: each counts twice."""
    x, y = np.full(n, 2.0**-12 * 1.001, np.float32), np.zeros(n, np.float32)
    x[0] = 1
    found = np.cumsum(x * x, dtype=np.float32)[-1]
    assert Fraction(float(found)) > squared(x, y) * (1 + n * ETA / 2)
    assert found <= slack.cut(above(squared(x, y)), norm(x), norm(y), n)
    assert -found / 2 >= slack.bound(above(squared(x, y)), norm(x), norm(y), n)


@settings(max_examples=400)
@cases
def test_vectors_may_be_off_by_four_units(seed: int, n: int, scale: int, offset: float, nearness: int) -> None:
    """Each vector is moved by the largest permitted error along the line between the two: 4ηR on either side."""
    u, v = pair(seed, n, scale, offset, nearness)
    far = norm(u - v)
    by = 4 * float(ETA) * (norm(u) + norm(v))
    if by > far / 4:
        return
    reach = Fraction(far - by) ** 2
    moved = Fraction(float(slack.cut(float(reach), norm(u), norm(v), n)))
    assert moved >= Fraction(far) ** 2 * (1 - Fraction(1, 2**45))
    assert Fraction(-2 * float(slack.bound(float(reach), norm(u), norm(v), n))) >= Fraction(far) ** 2 * (
        1 - Fraction(1, 2**45)
    )


@pytest.mark.parametrize("entries", [1e-19, 1e-20, 3e-21, 1e-22, 1e-23])
def test_below_the_range_of_float32_nothing_is_lost(entries: float) -> None:
    """Squares of such small entries have few bits or none, so the loss is no longer relative to the sum."""
    random = np.random.default_rng(1)
    for _ in range(300):
        x = (random.normal(size=8) * entries).astype(np.float32)
        y = (x + random.normal(size=8) * entries * random.choice([0, 0.1, 1])).astype(np.float32)
        far = above(squared(x, y))
        assert all(t <= slack.cut(far, norm(x), norm(y), 8) for t in totals((x - y) ** 2, random))
        product = (operand(x[None]) @ operand(y[None], right=True).T)[0, 0]
        assert product >= slack.bound(far, norm(x), norm(y), 8)


@pytest.mark.parametrize("far", [0.0, 1.0, 1e30, 3.3e38, 1e60, 1e300])
def test_thresholds_beyond_float32_let_everything_pass(far: float) -> None:
    """A user's threshold may be any number; NumPy's overflow warning would be an error in this test."""
    assert float(slack.cut(far, 0, 0, 8)) > far or far >= 3.3e38
    assert -2 * float(slack.bound(far, 0, 0, 8)) > far or far >= 3.3e38


@pytest.mark.parametrize("shape", [(64, 64, 3), (50, 50, 3)], ids=str)
def test_the_slack_is_small(shape: tuple[int, int, int]) -> None:
    """The slack is under one unit of mean squared error, even between a black and a white image."""
    pixels = shape[0] * shape[1]
    norm, d, limit = 128 * math.sqrt(pixels * shape[2]), 64, 200 * pixels
    for most in (float(slack.cut(limit, norm, norm, d)), -2 * float(slack.bound(limit, norm, norm, d))):
        assert 0 < (most - limit) / pixels < 1


@pytest.mark.parametrize("terms", [1, 8, 64, 1_000])
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (3.0, 7.0), (2_000.0, 1_500.0)])
@pytest.mark.parametrize("far", [0.0, 1e-45, 12.5, 819_200.0])
def test_the_slack_equals_the_derived_formula(far: float, a: float, b: float, terms: int) -> None:
    """The formulas of the module's docstring, in decimals; a larger slack would only let more candidates pass."""
    getcontext().prec = 60
    eta = Decimal(2) ** -24
    reach = Decimal(far).sqrt() * (1 + Decimal(2) ** -20) + 4 * eta * (Decimal(a) + Decimal(b))
    small = 2 * (terms + 4) * Decimal(2) ** -126
    most = reach**2 * (1 + 2 * (terms + 4) * eta) + small
    gamma = (terms + 4) * eta / (1 - (terms + 4) * eta)
    least = -(reach**2) / 2 - gamma * (Decimal(a) + Decimal(b)) ** 2 / 2 - small
    assert slack.cut(far, a, b, terms) == np.nextafter(np.float32(float(most)), np.float32(np.inf))
    assert slack.bound(far, a, b, terms) == np.nextafter(np.float32(float(least)), np.float32(-np.inf))
    assert (slack.cut(far, a, b, terms).dtype, slack.bound(far, a, b, terms).dtype) == (np.float32, np.float32)
