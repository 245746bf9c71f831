"""Read rows of single images from the artifacts that hold the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact

Ints = NDArray[np.int64]


class PathIndex:
    """An index of paths for repeated lookups.

    The paths are hashed once. `pyarrow.compute.index_in` hashes the paths on each call; with one call a partition,
    the time would grow with the square of the number of images."""

    def __init__(self, paths: pa.Array | pa.ChunkedArray) -> None:
        self._places = {path: place for place, path in enumerate(paths.to_pylist())}

    def __len__(self) -> int:
        return len(self._places)

    def of(self, paths: pa.Array | pa.ChunkedArray) -> Ints:
        """Return the position of each path, int64 (n,); -1 for an unknown path."""
        place = self._places.get
        return np.fromiter((place(path, -1) for path in paths.to_pylist()), np.int64, len(paths))


def rows_of(artifacts: Sequence[Artifact], columns: Sequence[str], paths: pa.Array) -> pa.Table:
    """Return one row for each path, in the order of `paths`.

    `columns` includes `path`."""
    wanted, found, places = PathIndex(paths), [], []
    for artifact in artifacts:
        table = artifact.table(columns)
        place = wanted.of(table["path"])
        found.append(table.filter(pa.array(place >= 0)))
        places.append(place[place >= 0])
    return pa.concat_tables(found).combine_chunks().take(pa.array(np.argsort(np.concatenate(places))))
