"""Define the input of a metric, and its output for the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.comparing.thumbnails import BlockThumbnails
from stages.kernels.bounds.keys import BlockName
from stages.kernels.measure.exact import Points

Shape = tuple[int, int, int]


class BlockImages(NamedTuple):
    """The images of a block that are compared: the input of a metric.

    rows        the images' rows in the table of the stage `index`, without large columns
    thumbnails  reads the images' thumbnails
    vectors     computes the vectors of the images' coarse sums, float32 (n, d)
    column      reads a large column of the rows
    name        determines the images and what is compared"""

    rows: pa.Table
    thumbnails: BlockThumbnails
    vectors: Callable[[], NDArray[np.float32]]
    column: Callable[[str], pa.ChunkedArray]
    name: BlockName


class Compared(NamedTuple):
    """Vectors and points of the images of a block; see `kernels.measure.metric.Side`.

    vectors  vectors of the lower bound, float32 (n, d)
    points   maps positions to points"""

    vectors: NDArray[np.float32]
    points: Any


def unturned(points: Points, turn: int) -> Points:
    """Return the points of unturned images from points (n, turns, …); `turn` is ignored."""
    return points[:, 0]


def in_turn(points: Points, turn: int) -> Points:
    """Return the points of images in one turn from points (n, turns, …).

    turn  place among the compared turns"""
    return points[:, turn]
