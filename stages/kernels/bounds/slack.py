"""Bound the error of float32, so that the cuts lose no match.

Let η = 2⁻²⁴, the unit roundoff of float32. Let L bound the squared distance |u - v|² of the vectors u and v of a match.
Let û and v̂ be float32 vectors within δ_a of u and δ_b of v.

**The vectors.** Rounding the entries of u once to float32 moves u by at most ηR(1 + 2⁻¹⁰), where R is the largest norm
on that side. A map that never increases a distance (the invariants of `orbits.py`, or a projection on orthonormal
directions) does not increase this error. If the map's result is computed in float64 from û and rounded once more, the
second rounding adds ηR, and float64's own errors add less than ηR (sums of up to 2²⁶ terms). So δ = 4ηR covers both
cases, and for a match |û - v̂| ≤ r = √L·(1 + 2⁻²⁰) + δ_a + δ_b. The factor is ample for computing r itself in float64.

**Differences.** Take a sum of n squared differences in float32, in any order, with nη ≤ ½. Each operation rounds by a
factor between 1 - η and 1 + η. A squared difference holds three such factors: the difference counts twice, the product
once. A term passes through at most n - 1 additions. All terms are positive, so the sum is at most
|û - v̂|²(1 + η)^(n + 2) ≤ r²(1 + 2(n + 4)η). `cut` is a float32 above this number. A box is at most as far from a point
or box as the points inside are, so `cut` holds for distances from boxes too. Below 2⁻¹²⁶ float32 has fewer bits; there
each operation may err by less than 2⁻¹²⁶ more, and `cut` adds this error.

**Products.** With rows [û, -|û|²/2, 1] on the left and [v̂, 1, -|v̂|²/2] on the right, a matrix product gives
t = -|û - v̂|²/2. The extra columns are computed in float64 and rounded once. A float32 inner product of n terms, summed
in any order, is off by at most γ_n = nη/(1 - nη) times the sum of the terms' magnitudes (Higham, Accuracy and Stability
of Numerical Algorithms, section 3.1). There are d + 2 terms, and one more η for the rounded columns; one more η is to
spare: γ = γ_{d+4}. The magnitudes sum to at most |û||v̂| + |û|²/2 + |v̂|²/2 = (|û| + |v̂|)²/2 ≤ (R_a + R_b)²/2. So a
match has t ≥ -r²/2 - γ (R_a + R_b)²/2, and `bound` is a float32 below this number. The proof needs float32 products
with all 24 bits: see `arrays.refuse_short_floats`.

Every pair that passes is measured exactly, so the slack adds no wrong match. At worst, for 64x64x3 and threshold 200,
the slack raises the threshold by 0.005 for differences and by 0.8 for products."""

from __future__ import annotations

import math

import numpy as np

ETA = 2.0**-24


def _reach(squared: float, norm_a: float, norm_b: float) -> float:
    return math.sqrt(squared) * (1 + 2.0**-20) + 4 * ETA * (norm_a + norm_b)


def cut(squared: float, norm_a: float, norm_b: float, terms: int) -> np.float32:
    """Return an upper bound on the float32 sum of squared differences of a match.

    squared         the greatest squared distance of a match
    norm_a, norm_b  the largest norm of a vector on either side
    terms           number of squared differences in a sum"""
    most = _reach(squared, norm_a, norm_b) ** 2 * (1 + 2 * (terms + 4) * ETA)
    with np.errstate(over="ignore"):
        return np.float32(np.nextafter(np.float32(most + 2 * (terms + 4) * 2.0**-126), np.float32(np.inf)))


def bound(squared: float, norm_a: float, norm_b: float, d: int) -> np.float32:
    """Return a lower bound on t, the float32 product of the extended rows, of a match.

    squared         the greatest squared distance of a match
    norm_a, norm_b  the largest norm of a vector on either side
    d               entries of a vector"""
    gamma = (d + 4) * ETA / (1 - (d + 4) * ETA)
    least = -(_reach(squared, norm_a, norm_b) ** 2) / 2 - gamma * (norm_a + norm_b) ** 2 / 2
    with np.errstate(over="ignore"):
        return np.float32(np.nextafter(np.float32(least - 2 * (d + 4) * 2.0**-126), np.float32(-np.inf)))
