"""Find which folder duplicates which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MOST = 16
"""Folders in a heat map, at most."""


class Shared(NamedTuple):
    """Folders that share clusters.

    names   folders, without their common part
    images  images[i, j]: images of folder i that share a cluster with an image of folder j, with another image if i
            = j, int64 (n, n)
    left    number of folders that are left out, with fewer images"""

    names: list[str]
    images: NDArray[np.int64]
    left: int


def shared(members: pa.Table) -> Shared | None:
    """Return the folders with the most images in clusters.

    Returns None where all are in one folder."""
    every = pa.array((path.rpartition("/")[0] for path in members["path"].to_pylist()), pa.string())
    encoded = every.dictionary_encode()
    names, folder = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if len(names) < 2:
        return None
    clusters, cluster = np.unique(members["cluster"].to_numpy(), return_inverse=True)
    most = np.argsort(-np.bincount(folder), kind="stable")[:MOST]
    most = np.array(sorted(most.tolist(), key=names.__getitem__))
    place = np.full(len(names), -1)
    place[most] = np.arange(len(most))
    listed = place[folder] >= 0
    counts = np.zeros((len(clusters), len(most)), np.int64)
    np.add.at(counts, (cluster[listed], place[folder[listed]]), 1)
    images: NDArray[np.int64] = counts.T @ (counts > 0)
    np.fill_diagonal(images, np.where(counts > 1, counts, 0).sum(axis=0))
    chosen = [names[n] for n in most.tolist()]
    return Shared(_parting(chosen), images, len(names) - len(chosen))


def _parting(names: list[str]) -> list[str]:
    """Return the names without the folders that all names begin with."""
    parts = [name.split("/") for name in names]
    alike = 0
    while all(len(each) > alike and each[alike] == parts[0][alike] for each in parts):
        alike += 1
    return ["/".join(each[alike:]) or "." for each in parts]
