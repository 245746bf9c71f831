"""Define images and rows of pairs as plain arrays for `verify`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.commands.verify.distances import Ints


@dataclass(frozen=True)
class Images:
    """All readable images in path order, set a before set b; arrays (n,). An image's number is its place here.

    partition  number of the partition, ascending        hashes          64-bit digests of hashes by turn, (n, 8)
    block      number of the block, ascending            representative  number of the first identical image
    in_b       whether the image is in set b             place           number of identical images before the image
    kind       only images of equal kind are compared    size            number of identical images, itself included
    settled    no two settled images are compared      folder          no two images of one folder are, if not negative
    """

    paths: pa.Array
    width: Ints
    height: Ints
    bytes: Ints
    in_b: NDArray[np.bool_]
    partition: Ints
    block: Ints
    kind: Ints
    settled: NDArray[np.bool_]
    folder: Ints
    hashes: NDArray[np.uint64]
    representative: Ints
    place: Ints
    size: Ints

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, number: int) -> str:
        """Return the path of an image."""
        return str(self.paths[int(number)].as_py())


@dataclass(frozen=True)
class Rows:
    """Rows of a pairs artifact; a, b: numbers of images, -1 for a path of no image."""

    table: pa.RecordBatch
    a: Ints
    b: Ints
    mse: NDArray[np.float64]
    measured: NDArray[np.bool_]

    def ints(self, name: str) -> Ints:
        """Return a column as int64."""
        return np.asarray(self.table.column(name).to_numpy(False), np.int64)
