"""Compare thumbnails by a user's function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from pipeline.messages.words import counted
from stages.comparing.comparison import Comparison
from stages.comparing.functions import RAISED, error_text, imported
from stages.comparing.metrics.compared import BlockImages, Compared, Shape
from stages.kernels.arrays import Device
from stages.kernels.measure import floats, turns
from stages.kernels.measure.identity import digest
from stages.kernels.measure.metric import Metric


class Custom:
    """Distances by a user's function, which maps n thumbnails and one thumbnail to n distances."""

    turns_alike = False

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._name, self._function = f"pairs.metric {comparison.metric}", imported(comparison.metric)
        self._seen: list[pa.Table] = []
        self.limit = comparison.threshold
        compared = turns.COMPARED[comparison.turns]
        self.kernel = Metric(
            floats.UserFunction(self._distances),
            None,
            None,
            lambda points, place: turns.turned(points, compared[place]) if place else points,
            shape[0] * shape[1] * shape[2],
        )

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Return False, since a user's function need not be symmetric. See `Mse.symmetric`."""
        return False

    def _distances(self, images: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the distances of images from one image.

        Raises:
            TaskError: the function fails or returns no distances; the message names the image."""
        try:
            given = np.asarray(self._function(images, image))
        except RAISED as error:
            others = f"{self._path(images[0])} and {len(images) - 1} more" if len(images) > 1 else self._path(images[0])
            raise TaskError(
                f"{self._name}: failed on {self._path(image)} with {others}: {error_text(error)}"
            ) from error
        if given.shape != (len(images),) or given.dtype.kind not in "iufb":
            raise TaskError(
                f"{self._name}: expected an array of {counted(len(images), 'number')}, one for each image, for "
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
        """Return the path of an image that has this thumbnail in some turn, for a message."""
        for turn in turns.COMPARED[8]:
            identity = digest(turns.turned(image[None], turn)[0])
            for rows in self._seen:
                place = pc.index(rows["identity"], identity).as_py()
                if place >= 0:
                    return str(rows["path"][place].as_py())
        return "an image"

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Return the names of the index columns that error messages need."""
        return ["path", "identity"]

    def compared(self, images: BlockImages) -> Compared:
        """Return the images with thumbnails as points, and with vectors of length 0."""
        self._seen.append(images.rows.select(["path", "identity"]))
        return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the distances to store, float64, from measured distances."""
        return values

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """Return measured distances from stored distances; the inverse of `figures`."""
        return figures
