"""Mean squared error between thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.comparing.comparison import Comparison
from stages.comparing.metrics.compared import Compared, Images, Shape
from stages.kernels import arrays
from stages.kernels.arrays import Device
from stages.kernels.bounds import coarse
from stages.kernels.bounds.space import Space
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Finer, Metric

FINER = (8,)
"""Grids of the sums that thin out crowded tiles."""


class Mse:
    """Mean squared error between thumbnails."""

    turns_alike = True
    """Whether a turned copy is as far from any image, in some turn, as the original: one may stand for both."""

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Whether a and b are as far apart as b and a, which lets copies of either stand for each other in any order.

        Hashes and vectors of turned images need not be turned ones of these: then a with b turned is one thing, and b
        with a turned another."""
        return True

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._divisor = shape[0] * shape[1] * (shape[2] if comparison.normalize == "value" else 1)
        self.limit = None if comparison.threshold is None else coarse.limit(comparison.threshold, self._divisor)
        turns = comparison.turns
        space = None
        if self.limit is not None:
            invariants = partial(coarse.invariants, channels=shape[2]) if turns > 1 else None
            space = Space(float(self.limit), coarse.orders(shape[2], turns), invariants)
        self.kernel = Metric(
            exact.Squares(device),
            space,
            lambda points, turn: exact.turned(points, 4 - turn) if turn else points,  # once, for all of the right side
            None,
            shape[0] * shape[1] * shape[2],
            [
                Finer(partial(_finer, grid=grid), coarse.orders(shape[2], turns, grid))
                for grid in FINER
                if grid <= min(shape[:2])
            ],
        )

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["coarse"] if comparison.threshold is not None else []

    def compared(self, images: Images) -> Compared:
        """Images by their thumbnails."""
        if self.limit is None:
            return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)
        return Compared(images.vectors(), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values / self._divisor

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """What had been measured, from what was recorded of it: a quotient of integers, rounded once."""
        return np.rint(figures * self._divisor).astype(np.int64)


def _finer(thumbnails: NDArray[np.uint8], grid: int) -> NDArray[np.float32]:
    arrays.loops(True)  # there are many tiles to come
    return coarse.vectors(coarse.coarse(thumbnails, grid), thumbnails.shape[1:], grid)
