"""Compare thumbnails by mean squared error.

With `pairs.exposure: ignore`, the mean of each channel is subtracted first. The measure then returns the sum of squares
times the number of pixels, an integer (`kernels/measure/zero_mean.py`), and the divisor has the same factor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.comparing.comparison import Comparison
from stages.comparing.metrics.compared import BlockImages, Compared, Shape
from stages.kernels.arrays import Device
from stages.kernels.bounds import coarse, orbits
from stages.kernels.bounds.space import Space
from stages.kernels.measure import zero_mean
from stages.kernels.measure.metric import Finer, Metric
from stages.kernels.measure.turns import COMPARED, inverse, turned

FINER = (8,)
"""Grids of the finer sums by which candidates of crowded tiles are excluded."""


class Mse:
    """Mean squared error between thumbnails."""

    turns_alike = True
    """Whether a turned copy has the same least distance from every image as the original.

    If True, one image may represent both images."""

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Return whether the distance of a and b equals the distance of b and a.

        If the distances differ, one of two identical images can't represent the other. The distances of hashes and
        of embeddings may differ if turns are compared: turning b may give another distance than turning a."""
        return True

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        ignore = comparison.exposure == "ignore"
        self._divisor = zero_mean.divisor(shape, comparison.normalize == "value", ignore)
        self.limit = None if comparison.threshold is None else coarse.limit(comparison.threshold, self._divisor)
        turns = comparison.turns
        backs = inverse(COMPARED[turns]).tolist()
        space = None
        if self.limit is not None:
            most = self.limit / (shape[0] * shape[1] if ignore else 1)
            space = Space(most, orbits.orders(shape[2], turns), orbits.unchanged_by(shape[2], turns))
        self.kernel = Metric(
            zero_mean.measure_of(ignore, device),
            space,
            lambda points, place: (
                turned(points, backs[place]) if place else points
            ),  # turning a back equals turning b; b stays as it is
            None,
            shape[0] * shape[1] * shape[2],
            [
                Finer(partial(_finer, grid=grid, without_mean=ignore), orbits.orders(shape[2], turns, grid))
                for grid in FINER
                if grid <= min(shape[:2])
            ],
        )

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Return the names of the index columns that the metric reads."""
        return ["coarse"] if comparison.threshold is not None else []

    def compared(self, images: BlockImages) -> Compared:
        """Return the images with thumbnails as points, and coarse vectors."""
        if self.limit is None:
            return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)
        return Compared(images.vectors(), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the distances to store, float64, from measured distances."""
        return values / self._divisor

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """Return sums of squares from stored distances; the inverse of `figures`.

        A stored distance is a quotient of integers that was rounded once, so rounding restores the integer; see
        `zero_mean.RESTORED`."""
        return np.rint(figures * self._divisor).astype(np.int64)


def _finer(thumbnails: NDArray[np.uint8], grid: int, without_mean: bool) -> NDArray[np.float32]:
    return coarse.vectors(coarse.coarse(thumbnails, grid), thumbnails.shape[1:], grid, without_mean)
