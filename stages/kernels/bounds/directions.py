"""The directions along which the vectors of a block pair differ most: few numbers that tell most pairs apart.

Projecting on orthonormal directions brings no two points further apart, so distances in a few of them are lower
bounds. Which directions are taken changes only how much they leave over; they are found anew for each block pair, from
a sample. Directions that come out of float64 are orthonormal but for rounding: for a matrix Q of them, |Qx|² is at most
(1 + f)|x|², where f is the Frobenius norm of QQᵀ - 1. `stretch` is 1 + f with room for computing f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADING = 8
"""Directions. With 4 the filter leaves three times as many pairs of photographs, with 16 each costs twice as much."""
SAMPLE = 4_096
ROUNDS = 3
ROWS = 8_192
"""Vectors projected at a time, for they are float64 on the way."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Keys:
    """Vectors as the filter sees them: float32 (n, LEADING), and the largest norm of what was rounded on the way: the
    vectors themselves, which may lie far from the centre and near each other, and what was projected of them."""

    rows: Floats
    norm: float


@dataclass(frozen=True)
class Directions:
    """LEADING directions, float64 (d, LEADING), about a centre (d,); squared lengths grow at most by `stretch`."""

    centre: Doubles
    basis: Doubles
    stretch: float

    def keys(self, vectors: Floats, seen: Callable[[Floats], Doubles]) -> Keys:
        """Vectors, float32 (n, d'), after `seen`, which gives float64 (m, d) of m of them, along the directions."""
        rows = np.zeros((len(vectors), LEADING), np.float32)
        norm = 0.0
        for start in range(0, len(vectors), ROWS):
            whole = seen(vectors[start : start + ROWS])
            part = whole - self.centre
            norm = max(norm, _longest(whole), _longest(part))
            rows[start : start + ROWS, : self.basis.shape[1]] = part @ self.basis
        return Keys(rows, norm**0.5)


def _longest(rows: Doubles) -> float:
    """The greatest squared length of a row."""
    return float(np.einsum("nd,nd->n", rows, rows).max())


def principal(samples: Doubles) -> Directions:
    """The leading principal directions of samples, float64 (n, d); by the spread that each explains, descending."""
    d = samples.shape[1]
    centre = samples.mean(axis=0) if len(samples) else np.zeros(d)
    apart = samples - centre
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, 2 * LEADING)))[0]
    for _ in range(ROUNDS):  # subspace iteration: embeddings have thousands of entries, too many for all directions
        basis = np.linalg.qr(apart.T @ (apart @ basis))[0]
    along = apart @ basis
    basis = basis @ np.linalg.eigh(along.T @ along)[1][:, ::-1][:, :LEADING]
    error = float(np.linalg.norm(basis.T @ basis - np.eye(basis.shape[1])))
    return Directions(centre, np.ascontiguousarray(basis), 1 + error + 2.0**-30)
