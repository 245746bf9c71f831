"""Define a metric's input and output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.comparing.thumbnails import BlockThumbnails
from stages.kernels.measure.exact import Points

Shape = tuple[int, int, int]


class BlockImages(NamedTuple):
    """The images of a block that are compared.

    rows        the images' rows of the index
    thumbnails  reads the images' thumbnails
    vectors     computes the vectors of the images' coarse sums, float32 (n, d)"""

    rows: pa.Table
    thumbnails: BlockThumbnails
    vectors: Callable[[], NDArray[np.float32]]


class Compared(NamedTuple):
    """Images as a metric compares images; see `kernels.measure.metric.Side`.

    vectors  float32 (n, d)
    points   maps positions to points"""

    vectors: NDArray[np.float32]
    points: Any


def unturned(points: Points, turn: int) -> Points:
    """Return the points of unturned images.

    The points are stored in each turn."""
    return points[:, 0]


def in_turn(points: Points, turn: int) -> Points:
    """Return the points of images in one turn, given by place among the compared turns.

    The points are stored in each turn."""
    return points[:, turn]
