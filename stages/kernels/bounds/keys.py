"""Share directions, and blocks' vectors along these directions, among block pairs.

A block is compared with many other blocks. Directions only change how many pairs pass a filter, so all block pairs of
one comparison share directions in each process, and each block is projected once. The first block determines the
directions. If a later block spreads along the shared directions much less than along its own principal directions, new
directions are computed from samples of both blocks, at most RENEWALS times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from stages.kernels.bounds.directions import DIRECTIONS, LEADING, WIDE, Directions, Projections, principal

KEPT = 96 << 20
"""Bytes of projected vectors, with the trees of these vectors, that a process keeps."""
SAMPLED = 512
"""Number of vectors of a block from which directions are computed."""
SPREAD = 0.8
"""Share of a block's greatest variance along LEADING directions that the shared directions must reach."""
RENEWALS = 4
"""Greatest number of renewals of shared directions: blocks of several kinds might renew the directions forever."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
VectorMap = Callable[[Floats], Doubles]


class BlockName(NamedTuple):
    """A name of the vectors of one block: blocks with equal names have equal vectors.

    comparison  identifies the comparison; blocks of one comparison share directions
    block       identifies the content of the block"""

    comparison: Hashable
    block: Hashable


@dataclass(frozen=True, eq=False)
class Shared:
    """Directions that the block pairs of a comparison share, with their samples."""

    directions: Directions
    samples: tuple[Doubles, ...]


_shared: LRUCache[Hashable, Shared] = LRUCache(64)
_kept: LRUCache[Hashable, Projections] = LRUCache(KEPT, getsizeof=lambda keys: min(KEPT, 3 * keys.rows.nbytes))
_lock = threading.Lock()


def sample(vectors: Floats, transform: VectorMap, most: int = SAMPLED) -> Doubles:
    """Return a sample of vectors, mapped by `transform`, float64 (about 2·`most`, d)."""
    return transform(vectors[:: max(1, len(vectors) // most)])


def directions_of(entries: int) -> int:
    """Return the greatest useful number of directions for vectors of this length."""
    return WIDE if entries >= 2 * WIDE else DIRECTIONS


def projected(name: BlockName, view: int, vectors: Floats, transform: VectorMap) -> tuple[Projections, Directions]:
    """Return the vectors of a block along the shared directions, and these directions.

    view  number that identifies `transform`, which maps rows of `vectors` to the vectors that are projected"""
    family = name.comparison, vectors.shape[1]  # a new model or hash function may give vectors of another length
    with _lock:
        shared = _shared.get(family)
        keys = _kept.get((name, view, shared))
    if shared is None or (keys is None and len(shared.samples) <= RENEWALS):
        some = sample(vectors, transform)
        if shared is None or not _describe(shared.directions, some):
            samples = (*(shared.samples if shared else ()), some)
            shared = Shared(principal(np.concatenate(samples), directions_of(some.shape[1])), samples)
            with _lock:
                _shared[family] = shared
    if keys is None:
        keys = shared.directions.project(vectors, transform)
        with _lock:
            _kept[name, view, shared] = keys
    return keys, shared.directions


def _describe(directions: Directions, some: Doubles) -> bool:
    """Return whether shared directions hold at least SPREAD of the vectors' variance.

    The variance is compared with the variance along the vectors' own principal directions."""
    offsets = some - some.mean(axis=0) if len(some) else some
    there, own = (
        float(np.square(offsets @ basis[:, :LEADING]).sum()) for basis in (directions.basis, principal(some).basis)
    )
    return there >= SPREAD * own
