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
    from scipy.sparse import coo_array

    every = pa.array((path.rpartition("/")[0] for path in members["path"].to_pylist()), pa.string())
    encoded = every.dictionary_encode()
    names, folder = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if len(names) < 2:
        return None
    clusters, cluster = np.unique(members["cluster"].to_numpy(), return_inverse=True)
    ones = np.ones(len(folder), np.int64)
    counts = coo_array((ones, (cluster, folder)), shape=(len(clusters), len(names))).tocsr()
    counts.sum_duplicates()
    most = np.argsort(-np.asarray(counts.sum(axis=0)).ravel(), kind="stable")[:MOST]
    most = np.array(sorted(most.tolist(), key=names.__getitem__))
    counts = counts[:, most]
    images = np.asarray((counts.T @ (counts > 0)).todense()).astype(np.int64)
    several = counts.multiply(counts > 1)
    np.fill_diagonal(images, np.asarray(several.sum(axis=0)).ravel())
    chosen = [names[n] for n in most.tolist()]
    return Shared(_parting(chosen), images, len(names) - len(chosen))


def _parting(names: list[str]) -> list[str]:
    """Return the names without the folders that all names begin with."""
    parts = [name.split("/") for name in names]
    alike = 0
    while all(len(each) > alike and each[alike] == parts[0][alike] for each in parts):
        alike += 1
    return ["/".join(each[alike:]) or "." for each in parts]
