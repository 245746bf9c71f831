"""Define the images of a run and the rows of pairs as plain arrays for `verify`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.commands.verify.distances import Ints, Rules


@dataclass(frozen=True)
class Images:
    """All readable images in path order, set a before set b; arrays (n,). The number of an image is its position.

    in_b            whether the image is in set b
    partition       number of the image's partition, ascending
    block           number of the image's block, ascending
    kind            only images of equal kind are compared
    settled         two settled images are not compared
    folder          two images with the same number are not compared, unless the number is negative
    hashes          64-bit digests of the hashes by turn, (n, 4), or (n, 8) with `pairs.mirror`
    representative  number of the first image of the image's group of identical images
    bytes           size of the image's file
    place_in_group  number of images before the image in its group
    group_size      number of images in the image's group"""

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
    place_in_group: Ints
    group_size: Ints

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, number: int) -> str:
        """Return the path of an image."""
        return str(self.paths[int(number)].as_py())


def alone(images: Images, rules: Rules, a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Return which pairs of images have a row that represents no other pair, bool (m,).

    Only b is turned. If distances depend on which image is turned, images of two groups of a block have a row for each
    pair. Between two blocks, one block is always turned, so a row of representatives stands for both groups."""
    apart: NDArray[np.bool_] = images.representative[a] != images.representative[b]
    found: NDArray[np.bool_] = apart & (images.block[a] == images.block[b]) & rules.ordered
    return found


@dataclass(frozen=True)
class Rows:
    """Rows of a pairs artifact; `mse`: recorded distances, also of other metrics.

    a, b  numbers of the images; -1 for a path without an image"""

    table: pa.RecordBatch
    a: Ints
    b: Ints
    mse: NDArray[np.float64]
    measured: NDArray[np.bool_]

    def ints(self, name: str) -> Ints:
        """Return a column as int64."""
        return np.asarray(self.table.column(name).to_numpy(False), np.int64)
