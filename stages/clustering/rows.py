"""Read rows of single images from the artifacts that hold the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact

Ints = NDArray[np.int64]


class PathIndex:
    """An index of paths for repeated lookups.

    The paths are hashed once. `pyarrow.compute.index_in` hashes the paths on each call; with one call per partition,
    the time would grow with the square of the number of images."""

    def __init__(self, paths: pa.Array | pa.ChunkedArray) -> None:
        self._places = {path: place for place, path in enumerate(paths.to_pylist())}

    def __len__(self) -> int:
        return len(self._places)

    def of(self, paths: pa.Array | pa.ChunkedArray) -> Ints:
        """Return the position of each path, int64 (n,); -1 for an unknown path."""
        place = self._places.get
        return np.fromiter((place(path, -1) for path in paths.to_pylist()), np.int64, len(paths))


class ImageRows(NamedTuple):
    """Rows of images.

    table     one row for each image
    artifact  number of the artifact that holds the row, int64 (n,)
    row       number of the row in the artifact, int64 (n,)"""

    table: pa.Table
    artifact: Ints
    row: Ints

    def take(self, rows: Ints) -> ImageRows:
        """Return some of the rows."""
        return ImageRows(self.table.take(pa.array(rows)), self.artifact[rows], self.row[rows])


def values_of(
    artifacts: Sequence[Artifact], images: ImageRows, name: str
) -> Iterator[tuple[Ints, pa.Array | pa.ChunkedArray]]:
    """Yield the values of a column for images, one artifact at a time, each with the indices of the images."""
    order = np.lexsort([images.row, images.artifact])
    for places in np.split(order, np.flatnonzero(np.diff(images.artifact[order])) + 1) if len(order) else ():
        artifact = artifacts[images.artifact[places[0]]]
        yield places, artifact.take([name], images.row[places].tolist())[name]


def rows_of(artifacts: Sequence[Artifact], columns: Sequence[str], paths: pa.Array) -> ImageRows:
    """Return one row for each path, in the order of `paths`.

    `columns` includes `path`."""
    wanted, found = PathIndex(paths), []
    for number, artifact in enumerate(artifacts):
        table = artifact.table(columns)
        place = wanted.of(table["path"])
        row = np.flatnonzero(place >= 0)
        found.append((table.take(pa.array(row)), place[row], np.full(len(row), number), row))
    tables, *columns_ = zip(*found, strict=True)
    place, artifact_, row = map(np.concatenate, columns_)
    return ImageRows(pa.concat_tables(tables).combine_chunks(), artifact_, row).take(np.argsort(place))
