"""Images of a block as the index has them, and as a metric sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.comparing.thumbnails import BlockThumbnails
from stages.kernels.measure.exact import Points

Shape = tuple[int, int, int]


class Images(NamedTuple):
    """The images of a block that are compared: their rows of the index, their thumbnails, and what gives the vectors of
    their coarse sums, float32 (n, d)."""

    rows: pa.Table
    thumbnails: BlockThumbnails
    vectors: Callable[[], NDArray[np.float32]]


class Compared(NamedTuple):
    """Images as a metric sees them: vectors float32 (n, d), and points from positions; see `kernels.metric.Side`."""

    vectors: NDArray[np.float32]
    points: Any


def unturned(points: Points, turn: int) -> Points:
    """Of points that are stored in each turn, those of the image as it is."""
    return points[:, 0]


def in_turn(points: Points, turn: int) -> Points:
    """Those of the image turned."""
    return points[:, turn]
