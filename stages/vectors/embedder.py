"""Compute a task's vectors with the model or function of `pairs.embedding`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.machine.installation import install_extra
from pipeline.messages.errors import TaskError
from pipeline.stage import Job
from stages.comparing.thumbnails import thumbnail_shape
from stages.decoding.problems import NO_VECTOR
from stages.kernels.measure.turns import COMPARED, turned
from stages.vectors.model import ModelOptions
from stages.vectors.network import Network, NoModel, Processor, identity, network
from stages.vectors.rows import VectorRow
from stages.vectors.user_function import AT_ONCE, vectors_by


class Embedder:
    """The model or the function that computes the vectors of a task.

    model       identity of the model; empty for a function
    thumbnails  whether a function gets thumbnails
    size        (width, height) of the images
    channels    `grey`, `rgb` or `rgba`
    together    number of images per call

    Raises:
        TaskError: this machine can't load the model, or would compute other vectors than other machines."""

    def __init__(self, job: Job, options: ModelOptions, batch: int, device: Processor) -> None:
        self.turns = (4 if job.settings("pairs.rotations") else 1) * (2 if job.settings("pairs.mirror") else 1)
        self.model = str(job.task.spec.get("model", ""))
        self._network = None
        self.thumbnails = False
        if self.model:
            file = Path(str(job.task.notes["file"]))
            self._name = f"pairs.embedding {file}"
            self._network = self._loaded(file, options, batch, device)
            self.size, self.channels = self._network.size, self._network.channels
            self.together = max(1, batch // self.turns)
            return
        self._name = str(job.settings("pairs.embedding"))
        self.together, self.channels = AT_ONCE, job.settings("thumbnail.channels")
        if options.size is None:
            self.thumbnails = True
            height, width, _ = thumbnail_shape(job.settings)
            self.size = width, height
        else:
            self.size = options.size

    def _loaded(self, file: Path, options: ModelOptions, batch: int, device: Processor) -> Network:
        try:
            loaded = network(file, options, batch, device)
            here = identity(loaded, file)
        except ImportError as error:
            raise TaskError(f"{self._name}: needs onnxruntime: {install_extra('onnx')}") from error
        except (OSError, NoModel, ValueError) as error:
            raise TaskError(f"{self._name}: {error}") from error
        if here != self.model:
            raise TaskError(
                f"{self._name}: expected {self.model}, got {here} on this machine; use one file, one version of "
                "onnxruntime and one kind of device (embed.device) on all machines"
            )
        return loaded

    def __call__(self, images: NDArray[np.uint8], paths: Sequence[str]) -> list[VectorRow]:
        """Return rows with the vectors of images, uint8 (n, H, W, C), or with an error.

        Raises:
            TaskError: the model or the function fails."""
        if self._network is None:
            return [_row(vector) for vector in vectors_by(self._name, images, self.turns, paths)]
        together = np.stack([turned(images, turn) for turn in COMPARED[self.turns]], axis=1)
        try:
            vectors = self._network(together.reshape(-1, *images.shape[1:]))
        except NoModel as error:
            raise TaskError(f"{self._name}: {error}, from {paths[0]} on") from error
        return [_row(vector) for vector in vectors.reshape(len(images), self.turns, -1)]


def _row(vector: NDArray[np.float32]) -> VectorRow:
    """Return the row of a vector, float32 (turns, d).

    A vector with NaN becomes an error of the image."""
    if np.isnan(vector).any():
        return VectorRow(error=NO_VECTOR.code, error_detail=NO_VECTOR.sentence)
    return VectorRow(vector.astype("<f4").tobytes())
