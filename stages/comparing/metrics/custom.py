"""Distances that a user's function gives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.comparing.comparison import Comparison
from stages.comparing.functions import RAISED, imported, said
from stages.comparing.metrics.compared import Compared, Images, Shape
from stages.kernels.arrays import Device
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Metric


class Custom:
    """A user's function from thumbnails (n, H, W, C) and one thumbnail (H, W, C) to n distances."""

    turns_alike = False

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._name, self._function = f"pairs.metric {comparison.metric}", imported(comparison.metric)
        self._seen: list[pa.Table] = []
        self.limit = comparison.threshold
        self.kernel = Metric(
            exact.Function(self._distances),
            None,
            None,
            lambda points, turn: exact.turned(points, turn) if turn else points,
            shape[0] * shape[1] * shape[2],
        )

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Nobody knows; see `Mse`."""
        return False

    def _distances(self, images: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """What the function gives. Raises TaskError that names the image where these are no distances."""
        try:
            given = np.asarray(self._function(images, image))
        except RAISED as error:
            others = f"{self._path(images[0])} and {len(images) - 1} more" if len(images) > 1 else self._path(images[0])
            raise TaskError(f"{self._name} failed on {self._path(image)} with {others}: {said(error)}") from error
        if given.shape != (len(images),) or given.dtype.kind not in "iufb":
            raise TaskError(
                f"{self._name}: expected an array of {len(images)} numbers, one for each image that is compared with "
                f"{self._path(image)}, got {given.dtype} of shape {given.shape}"
            )
        distances = given.astype(np.float64)
        odd = np.flatnonzero(~(np.isfinite(distances) & (distances >= 0)))
        if len(odd):
            raise TaskError(
                f"{self._name}: expected finite numbers of 0 or more, got {distances[odd[0]]:g} for "
                f"{self._path(image)} with {self._path(images[odd[0]])}"
            )
        return distances

    def _path(self, image: NDArray[np.uint8]) -> str:
        """An image that looks like this, in some turn."""
        for turn in range(4):
            identity = hashlib.sha256(np.rot90(image, turn).tobytes()).hexdigest()
            for rows in self._seen:
                place = pc.index(rows["identity"], identity).as_py()
                if place >= 0:
                    return str(rows["path"][place].as_py())
        return "an image"

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Columns of the index that it needs: to say which image it was, for there are no bounds."""
        return ["path", "identity"]

    def compared(self, images: Images) -> Compared:
        """Images by their thumbnails."""
        self._seen.append(images.rows.select(["path", "identity"]))
        return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """What had been measured, from what was recorded of it."""
        return figures
