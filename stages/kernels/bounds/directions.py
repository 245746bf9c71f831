"""Find the directions along which the vectors of a block pair differ most.

Projecting on orthonormal directions never increases a distance, so distances along a few directions are lower
bounds. The choice of directions changes only how many pairs pass; the directions are computed anew for each block
pair, from a sample. Directions computed in float64 are orthonormal up to rounding: for a matrix Q of such
directions, |Qx|² is at most (1 + f)|x|², where f is the Frobenius norm of QQᵀ - 1. `stretch` is 1 + f, with room for
the rounding of f."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADING = 8
"""Number of leading directions. With 4, three times as many pairs of photographs pass; with 16, a pair costs twice as
much."""
FURTHER = 16
"""Number of further directions, for pairs that are near along the leading directions: of such pairs of photographs, a
fifth passes."""
DIRECTIONS = LEADING + FURTHER
SAMPLE = 4_096
ROUNDS = 3
ROWS = 8_192
"""Number of vectors that are projected at a time, as float64."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Projections:
    """Vectors along the leading directions, as the filter compares them.

    rows  float32 (n, DIRECTIONS)
    norm  the largest norm of a vector, before or after the centre is subtracted; no projection is longer, and rounding
          errors are relative to this norm"""

    rows: Floats
    norm: float


@dataclass(frozen=True)
class Directions:
    """Directions, float64 (d, DIRECTIONS), about a centre, float64 (d,).

    stretch  the factor by which a squared length may grow through rounding"""

    centre: Doubles
    basis: Doubles
    stretch: float

    def project(self, vectors: Floats, transform: Callable[[Floats], Doubles]) -> Projections:
        """Project vectors on the directions.

        vectors    float32 (n, d')
        transform  maps m rows of `vectors` to the vectors that are projected, float64 (m, d)"""
        rows = np.zeros((len(vectors), DIRECTIONS), np.float32)
        square = 0.0
        for start in range(0, len(vectors), ROWS):
            transformed = transform(vectors[start : start + ROWS])
            centred = transformed - self.centre
            square = max(square, _largest_square(transformed), _largest_square(centred))
            rows[start : start + ROWS, : self.basis.shape[1]] = centred @ self.basis
        return Projections(rows, square**0.5)


def _largest_square(rows: Doubles) -> float:
    """Return the greatest squared length of a row."""
    return float(np.einsum("nd,nd->n", rows, rows).max())


def principal(samples: Doubles) -> Directions:
    """Return the leading principal directions of `samples`, float64 (n, d).

    The directions are sorted by the variance along each, descending."""
    d = samples.shape[1]
    centre = samples.mean(axis=0) if len(samples) else np.zeros(d)
    centred = samples - centre
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, DIRECTIONS + LEADING)))[0]
    for _ in range(ROUNDS):  # subspace iteration, for vectors of thousands of entries
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    along = centred @ basis
    basis = basis @ np.linalg.eigh(along.T @ along)[1][:, ::-1][:, :DIRECTIONS]
    error = float(np.linalg.norm(basis.T @ basis - np.eye(basis.shape[1])))
    return Directions(centre, np.ascontiguousarray(basis), 1 + error + 2.0**-30)
