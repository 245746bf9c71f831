"""Distances of vectors that a user's function gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.compared import Compared, Images, Shape, in_turn, unturned
from stages.kernels.arrays import Device
from stages.kernels.bounds.space import Space
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Metric

LONGEST = 2.0**60
"""Length of a vector whose squared distances float32 can still hold."""
TINY = 2.0**-100
"""More than products of float32 lose by becoming 0."""


class Embedding:
    """Squared distance of vectors, or cosine distance: half of it, for vectors of length 1."""

    turns_alike = False

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._name = f"pairs.embedding {comparison.embedding}"
        self._cosine = comparison.embedding_distance == "cosine"
        self._turns = comparison.turns
        self.limit = comparison.threshold
        self._first: tuple[int, str] | None = None

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """See `Mse`."""
        return not comparison.rotations

    @property
    def _entries(self) -> int:
        """Entries of a vector, known once one has been seen."""
        return self._first[0] if self._first else 0

    @property
    def kernel(self) -> Metric:
        """Known once the vectors have been seen."""
        scale = 0.5 if self._cosine else 1.0
        orders = np.arange(self._turns * self._entries).reshape(self._turns, self._entries)
        space = None
        if self.limit is not None:
            # Sums in float64 may be a little less than the true distance; products in float32 of tiny numbers are 0.
            space = Space(min(self.limit / scale, 4 * LONGEST**2) * (1 + 2.0**-30) + TINY, orders)
        measure = exact.Floats(scale)
        return Metric(measure, space, unturned, in_turn, 4 * self._turns * self._entries)

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["path", "vector"]

    def compared(self, images: Images) -> Compared:
        """Images by their vectors, float32 (n, turns, d)."""
        data, paths = images.rows["vector"].to_pylist(), images.rows["path"]
        for n, row in enumerate(data):
            entries = len(row) // (4 * self._turns)
            if self._first is None:
                self._first = entries, paths[n].as_py()
            if entries != self._entries:
                raise TaskError(
                    f"{self._name}: expected vectors of one length, got {entries} numbers for {paths[n].as_py()} and "
                    f"{self._entries} for {self._first[1]}"
                )
        whole = np.frombuffer(b"".join(data), "<f4").reshape(len(data), self._turns, self._entries).astype(np.float32)
        norms = np.zeros(whole.shape[:2])
        for entry in range(self._entries):
            norms += whole[..., entry].astype(np.float64) ** 2
        norms = np.sqrt(norms)
        if self._cosine:
            if not norms.all():
                bad = paths[int(np.flatnonzero((norms == 0).any(axis=1))[0])].as_py()
                raise TaskError(
                    f"{self._name}: a vector of zeros has no cosine, and one was given for {bad}; give another, or set "
                    "pairs.embedding_distance=squared"
                )
            np.divide(whole, norms[..., None], out=whole, casting="same_kind")
        elif norms.max(initial=0) > LONGEST:
            bad = paths[int(np.flatnonzero((norms > LONGEST).any(axis=1))[0])].as_py()
            raise TaskError(
                f"{self._name}: expected vectors of a length up to {LONGEST:.0e}, got a longer one for {bad}"
            )
        vectors = whole.reshape(len(whole), self._turns * self._entries)
        return Compared(vectors, lambda positions: (whole, positions))

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """What had been measured, from what was recorded of it."""
        return figures
