"""How far floats may stray: the cuts that keep every match although distances are computed in float32.

Let η = 2⁻²⁴, the unit roundoff of float32; L the greatest squared distance that is still a match, after every bound
that makes it smaller; û and v̂ float32 vectors within δ_a and δ_b of the true ones u and v, with |u - v|² ≤ L.

**The vectors.** Rounding the entries of u once to float32 moves it by at most ηR(1 + 2⁻¹⁰), R being the largest norm
on that side. A map that brings no two points further apart - the invariants of `coarse.py`, or a projection on
orthonormal directions - moves no further what was moved. Where its result is computed in float64 from û and rounded
once again, that adds ηR, and less than ηR for float64's own errors (sums of up to 2²⁶ terms). So δ = 4ηR covers both
ways, and for a match |û - v̂| ≤ r = √L·(1 + 2⁻²⁰) + δ_a + δ_b; the factor is ample for computing r itself in float64.

**Differences.** A sum of n squared differences in float32, in whatever order: each difference is off by a factor
1 ± η, its square by two more and the rounding of the product, each addition by one, n - 1 at most in a row. All terms
are positive, so the sum is at most |û - v̂|²(1 + η)^(n + 3) ≤ r²(1 + 2(n + 4)η). `cut` is the next float32 above that.
A sum of which each term is at most the other's, added in the same order, is at most the other in float32 too, for
rounding keeps order: so the distance from a box never exceeds the distance from a point in it, as computed. Below
2⁻¹²⁶ float32 has fewer bits: each of the operations may err by less than that besides, which is added.

**Products.** With rows [u, -|u|²/2, 1] on the left and [v, 1, -|v|²/2] on the right a matrix product gives
t = -|u - v|²/2. The extra columns are computed in float64 from the rounded vectors and rounded once. A float32 inner
product of n terms, in whatever order it is summed, is off by at most γ_n = nη/(1 - nη) times the sum of the terms'
magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). There are d + 2 terms, one more η for
the rounded columns and one to spare for its product with the others: γ = γ_{d+4}. The magnitudes sum to at most
|u||v| + |u|²/2 + |v|²/2 = (|u| + |v|)²/2 ≤ (R_a + R_b)²/2. So a match has t ≥ -r²/2 - γ (R_a + R_b)²/2, and `bound` is
the next float32 below that. It takes a float32 product with all of its 24 bits: see `product.refuse_short_floats`.

What passes is checked exactly, so the slack lets nothing else in; and it is at worst some units of a sum of squares.
"""

from __future__ import annotations

import math

import numpy as np

ETA = 2.0**-24


def _reach(squared: float, norm_a: float, norm_b: float) -> float:
    return math.sqrt(squared) * (1 + 2.0**-20) + 4 * ETA * (norm_a + norm_b)


def cut(squared: float, norm_a: float, norm_b: float, terms: int) -> np.float32:
    """The greatest float32 sum of `terms` squared differences of float32 vectors that a match can have.

    `squared` is the greatest squared distance of a match, the norms are the largest on either side."""
    most = _reach(squared, norm_a, norm_b) ** 2 * (1 + 2 * (terms + 4) * ETA)
    with np.errstate(over="ignore"):
        return np.float32(np.nextafter(np.float32(most + 2 * (terms + 4) * 2.0**-126), np.float32(np.inf)))


def bound(squared: float, norm_a: float, norm_b: float, d: int) -> np.float32:
    """The least value of the product of vectors of d entries that a match can have."""
    gamma = (d + 4) * ETA / (1 - (d + 4) * ETA)
    least = -(_reach(squared, norm_a, norm_b) ** 2) / 2 - gamma * (norm_a + norm_b) ** 2 / 2
    with np.errstate(over="ignore"):
        return np.float32(np.nextafter(np.float32(least - 2 * (d + 4) * 2.0**-126), np.float32(-np.inf)))
