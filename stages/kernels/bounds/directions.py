"""Find the directions along which the vectors of a block pair differ most.

Projecting on orthonormal directions never increases a distance, so distances along a few directions are lower bounds.
The choice of directions affects only speed: how many pairs pass the bound and are measured. The directions are computed
from samples of the vectors (`keys.py`). Directions computed in float64 are orthonormal up to rounding: for a matrix Q
of such directions, |Qx|² is at most (1 + f)|x|², where f is the Frobenius norm of QQᵀ - 1. `stretch` is 1 + f, with
room for the rounding of f."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADING = 8
"""Number of leading directions. With 4, three times as many pairs of photographs pass; with 16, a pair costs twice as
much."""
FURTHER = 16
"""Number of further directions, for pairs that are near along the leading directions. A fifth of such pairs of
photographs passes."""
DIRECTIONS = LEADING + FURTHER
WIDE = 128
"""Number of directions for long vectors if many pairs are near along DIRECTIONS. Of the pairs with a cosine of 0.9 or
less, a ninth passes, for vectors of 1,024 entries."""
ROUNDS = 3
ENTRIES = 1 << 18
"""Number of entries that are projected together, as float64: few enough to stay in the cache."""

TINY = 2.0**-1000
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projections:
    """The vectors of one block, projected on the directions; an object equals only itself.

    rows  float32 (n, DIRECTIONS), or (n, WIDE)
    norm  the largest norm of a vector, before or after the centre is subtracted; no projection is longer, and rounding
          errors are relative to this norm"""

    rows: Floats
    norm: float

    @property
    def narrow(self) -> Floats:
        """Return the vectors along DIRECTIONS, (n, DIRECTIONS)."""
        return self.rows[:, :DIRECTIONS]

    @property
    def wide(self) -> Floats:
        """Return the vectors along WIDE directions, (n, WIDE); (n, 0) if not computed."""
        return self.rows[:, : 0 if self.rows.shape[1] == DIRECTIONS else WIDE]


@dataclass(frozen=True)
class Directions:
    """Directions, float64 (d, DIRECTIONS) or (d, WIDE), through a centre, float64 (d,).

    stretch  the factor by which a squared length may grow through rounding"""

    centre: Doubles
    basis: Doubles
    stretch: float

    def project(self, vectors: Floats, transform: Callable[[Floats], Doubles]) -> Projections:
        """Project vectors on the directions.

        vectors    float32 (n, d')
        transform  maps m rows of `vectors` to the vectors that are projected, float64 (m, d)"""
        rows = np.zeros((len(vectors), max(DIRECTIONS, self.basis.shape[1])), np.float32)
        square = 0.0
        step = max(1, ENTRIES // len(self.centre))
        for start in range(0, len(vectors), step):
            transformed = transform(vectors[start : start + step])
            centred = transformed - self.centre
            square = max(square, _largest_square(transformed), _largest_square(centred))
            rows[start : start + step, : self.basis.shape[1]] = centred @ self.basis
        return Projections(rows, square**0.5)


def _largest_square(rows: Doubles) -> float:
    """Return the greatest squared length of a row."""
    return float(np.einsum("nd,nd->n", rows, rows).max())


def principal(samples: Doubles, count: int = DIRECTIONS) -> Directions:
    """Return the `count` leading principal directions of `samples`, float64 (n, d).

    The directions are sorted by the variance along each, descending. Float32 suffices to find the directions; the last
    step makes the directions orthonormal in float64."""
    d = samples.shape[1]
    centre = samples.mean(axis=0) if len(samples) else np.zeros(d)
    centred = samples - centre
    scaled = (centred / max(np.abs(centred).max(initial=0), TINY)).astype(np.float32)  # products stay in range
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, count + LEADING)).astype(np.float32))[0]
    for _ in range(ROUNDS if count == DIRECTIONS else 1):  # subspace iteration; many directions need one round
        basis = np.linalg.qr(scaled.T @ (scaled @ basis))[0]
    along = scaled @ basis
    axes = np.linalg.eigh(along.T @ along)[1]
    basis = np.linalg.qr((basis @ axes[:, ::-1][:, :count]).astype(np.float64))[0]
    error = float(np.linalg.norm(basis.T @ basis - np.eye(basis.shape[1])))
    return Directions(centre, np.ascontiguousarray(basis), 1 + error + 2.0**-30)
