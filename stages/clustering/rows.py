"""Rows about single images, out of the artifacts that hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact

Ints = NDArray[np.int64]


class Places:
    """Where some paths stand, for many questions. They are hashed once, where `pyarrow.compute.index_in` hashes them at
    each call: once a partition, that would grow with the square of the images."""

    def __init__(self, paths: pa.Array | pa.ChunkedArray) -> None:
        self._places = {path: place for place, path in enumerate(paths.to_pylist())}

    def __len__(self) -> int:
        return len(self._places)

    def of(self, paths: pa.Array | pa.ChunkedArray) -> Ints:
        """The place of each, int64 (n,); -1 where it is none of them."""
        place = self._places.get
        return np.fromiter((place(path, -1) for path in paths.to_pylist()), np.int64, len(paths))


def rows_of(artifacts: Sequence[Artifact], columns: Sequence[str], paths: pa.Array) -> pa.Table:
    """A row for each path, in their order; `columns` has `path` among them."""
    wanted, found, places = Places(paths), [], []
    for artifact in artifacts:
        table = artifact.table(columns)
        place = wanted.of(table["path"])
        found.append(table.filter(pa.array(place >= 0)))
        places.append(place[place >= 0])
    return pa.concat_tables(found).combine_chunks().take(pa.array(np.argsort(np.concatenate(places))))
