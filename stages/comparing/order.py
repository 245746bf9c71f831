"""Order block pairs so that neighbours in the order share blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from stages.kernels import hilbert

TILE = 8
"""Block pairs are planned in squares of TILE blocks per side."""
SUPER_TILE = 16
"""Side, in blocks, of the squares whose block pairs may run as one group on one worker.

Block pairs follow Hilbert's curve, so any k consecutive block pairs read about 2 to 3 times √k blocks."""


def ordered_pairs(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Yield all block pairs of a with b, or within a if b is empty.

    Yields the keys of both blocks, the place along Hilbert's curve, and the number of the group. The first block pairs
    need only the first blocks, so that comparing can begin early."""
    if b:
        squares = product(enumerate(_tiles(a)), enumerate(_tiles(b)))
        tiles = [(i, j) for (m, i), (n, j) in sorted(squares, key=lambda square: max(square[0][0], square[1][0]))]
        pairs = [(x, y) for i, j in tiles for x in i for y in j]
    else:
        number = {key: place for place, key in enumerate(a)}
        tiles = [(i, j) for j in _tiles(a) for i in _tiles(a) if number[i[0]] <= number[j[0]]]
        pairs = [(x, y) for i, j in tiles for y in j for x in i if number[x] <= number[y]]
    numbers = {key: place for keys in (a, b) for place, key in enumerate(keys)}
    rows, columns = (np.array([numbers[pair[side]] for pair in pairs], np.int64) for side in (0, 1))
    for pair, place in zip(pairs, hilbert.places(rows, columns).tolist(), strict=True):
        yield pair, place, place // SUPER_TILE**2


def _tiles(blocks: Sequence[str]) -> list[Sequence[str]]:
    return [blocks[start : start + TILE] for start in range(0, len(blocks), TILE)]
