"""Turn vectors of coarse sums, and compute invariants of vectors under turns.

**Turns.** Cell edges are symmetric about the middle (`coarse.edges`), so a quarter turn of a square thumbnail, and the
mirror of any thumbnail, maps cells onto cells. Each turn of `measure/turns.py` therefore permutes the columns of a
vector u (σ behaves like one more channel), and no new sums are needed (`orders`).

**Quarter turns.** A quarter turn moves each cell along an orbit of four cells: (i, j), (j, g-1-i), ... Let x_0 ... x_3
be the entries of u along an orbit, and let X_k = ½ Σ x_n ω^(kn), ω = -√-1, be their discrete Fourier transform, which
preserves distances. A turn shifts the x_n cyclically, so the turn multiplies each X_k by a power of ω and leaves |X_k|
unchanged. Two magnitudes never differ by more than the two numbers do, so with w(u) = (X_0, |X_2|, √2 |X_1|) over all
orbits

    |w(u) - w(v)|² ≤ |u - turned v|²   for each of the four turns:

one comparison bounds all four turns. A turn keeps X_0, sign included. X_3 is the conjugate of X_1, hence the √2.

**The mirror.** The mirror maps the cell (i, j) to (i, g-1-j), which lies in the orbit of (j, i). So the mirror carries
the orbit of (i, j) onto the orbit of (j, i), and the order of the four cells is reversed: x_n becomes x_(c-n) for some
c. Reversing a sequence turns X_k into X_(-k) times a power of ω, and X_(-k) is the conjugate of X_k, since the x_n are
real. X_0 and all |X_k| stay. In w, the mirror therefore only swaps the entries of each orbit (i, j) with the entries of
the orbit (j, i), and a mirror followed by quarter turns does the same. The step from entries x of (i, j) and y of
(j, i), i < j, to (x + y)/√2 and (x - y)/√2 preserves distances; a swap keeps the sum and changes the sign of the
difference. With the magnitude of the difference, the result z(u) is the same for all eight turns, and

    |z(u) - z(v)|² ≤ |u - turned v|²   for each of the eight turns:

one comparison bounds all eight. The orbits of (i, i) stay as in w. For the mirror alone, the same step is taken from
the entries of the cells (i, j) and (i, g-1-j) of u itself; the thumbnail need not be square.

None of these maps increases a distance, so none increases the rounding error of a vector (`slack.py`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from stages.kernels.arrays import native_for
from stages.kernels.bounds.coarse import COMPILED, GRID, Doubles, Floats, Ints
from stages.kernels.measure.turns import COMPARED, MIRRORED


def orders(channels: int, turns: int, grid: int = GRID) -> Ints:
    """Return the orders of columns that turn a vector u, one per turn, int64 (turns, d).

    turns  number of compared turns, a key of `COMPARED`

    `u[:, orders(...)[k]]` holds the vectors of the thumbnails turned by COMPARED[turns][k]."""
    places = np.arange(grid * grid * (channels + 1)).reshape(grid, grid, channels + 1)
    return np.stack(
        [np.rot90(places[:, ::-1] if turn >= MIRRORED else places, turn).ravel() for turn in COMPARED[turns]]
    )


def unchanged_by(channels: int, turns: int) -> Callable[[Floats], Doubles] | None:
    """Return a function from vectors to invariants under turns; None for a single turn.

    The vectors are float32, of GRID x GRID cells. The invariants are float64 (n, d); two invariants are never farther
    apart than the two vectors in any turn. Turns other than the mirror need a square thumbnail."""
    functions: dict[int, Callable[..., Doubles]] = {2: mirror_invariants, 4: invariants, 8: full_invariants}
    return partial(functions[turns], channels=channels) if turns in functions else None


def invariants(vectors: Floats, channels: int) -> Doubles:
    """Return invariants of vectors under quarter turns, float64 (n, 12·(C + 1)).

    vectors  float32, of the GRID x GRID cells of a square thumbnail"""
    native = native_for("invariants", len(vectors), COMPILED)
    if native is not None:
        unturned: Doubles = native.invariants(vectors.reshape(len(vectors), GRID, GRID, channels + 1))
        return unturned
    cells = vectors.astype(np.float64).reshape(-1, GRID, GRID, channels + 1)
    last, half = GRID - 1, range(GRID // 2)
    found = []
    for i, j in ((i, j) for i in half for j in half):
        x0, x1, x2, x3 = cells[:, i, j], cells[:, j, last - i], cells[:, last - i, last - j], cells[:, last - j, i]
        found.append((x0 + x1 + x2 + x3) / 2)
        found.append(np.abs(x0 - x1 + x2 - x3) / 2)
        found.append(np.sqrt(((x0 - x2) ** 2 + (x1 - x3) ** 2) / 2))
    return np.concatenate(found, axis=1)


def full_invariants(vectors: Floats, channels: int) -> Doubles:
    """Return invariants of vectors under quarter turns and the mirror, float64 (n, 12·(C + 1)).

    vectors  float32, of the GRID x GRID cells of a square thumbnail"""
    half = GRID // 2
    found = invariants(vectors, channels).reshape(len(vectors), half, half, -1)
    i, j = np.triu_indices(half, 1)
    found[:, i, j], found[:, j, i] = _folded(found[:, i, j], found[:, j, i])
    return found.reshape(len(vectors), -1)


def mirror_invariants(vectors: Floats, channels: int) -> Doubles:
    """Return invariants of vectors under the mirror, float64 (n, 16·(C + 1)).

    vectors  float32, of the GRID x GRID cells of a thumbnail"""
    cells = vectors.astype(np.float64).reshape(len(vectors), GRID, GRID, channels + 1)
    half = GRID // 2
    return np.concatenate(_folded(cells[:, :, :half], cells[:, :, : half - 1 : -1]), axis=2).reshape(len(vectors), -1)


def _folded(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Return (x + y)/√2 and |x - y|/√2, which do not change if x and y are swapped."""
    return (x + y) * 0.5**0.5, np.abs(x - y) * 0.5**0.5
