"""Compile every loop ahead of its first use, as when a container image is built."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.kernels.bounds import coarse, orbits
from stages.kernels.bounds.space import Space, prepare

CHANNELS, IMAGES, SIDE = 3, 4, 8


def compile_loops() -> Path | None:
    """Compile the loops for the types that runs use; return the cache folder, if any.

    A loop that is in the cache already is only loaded. numba compiles a loop when the loop is first called, so each
    loop is called with a few small arrays. The result is None if no cache folder is writable."""
    from stages.kernels import code_cache  # imports numba, which only this function needs
    from stages.kernels.filters.leaves import Leaves
    from stages.kernels.measure import native

    images = np.arange(IMAGES * SIDE * SIDE * CHANNELS).astype(np.uint8).reshape(IMAGES, SIDE, SIDE, CHANNELS)
    edges = np.array(coarse.edges(SIDE, coarse.GRID))
    native.cells(images, edges, edges)
    native.turned(images, 1)
    rows, every = images.reshape(IMAGES, -1), np.arange(IMAGES)
    native.sums(rows, rows, every, every, 0)
    floats = rows.astype(np.float32)
    native.squares(floats, floats, every, every, 1.0, 0.0)
    vectors = coarse.vectors(coarse.coarse(images), images.shape[1:])
    native.invariants(vectors.reshape(IMAGES, coarse.GRID, coarse.GRID, CHANNELS + 1))
    space = Space(0.0, orbits.orders(CHANNELS, 4), orbits.unchanged_by(CHANNELS, 4))
    Leaves(prepare(vectors, vectors, space)).candidates(every, None, True, IMAGES**2)
    return code_cache.folder()
