"""Compare the vectors that the stage `embed` computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.comparing.block_cache import kept
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.compared import BlockImages, Compared, Shape, in_turn, unturned
from stages.kernels.arrays import Device
from stages.kernels.bounds.space import Space
from stages.kernels.measure import floats
from stages.kernels.measure.metric import Metric

VECTOR_IDENTITY = "vector_identity"
"""Column of the index with the digest of an image's vector; empty for an image without a vector."""
LONGEST = 2.0**60
"""The greatest length of a vector for which float32 can hold squared distances."""
TINY = 2.0**-100
"""A bound on the error of float32 products that underflow to 0."""


class Embedding:
    """Squared distance of vectors, or cosine distance: half the squared distance of unit vectors."""

    turns_alike = False

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._name = f"pairs.embedding {comparison.embedding}"
        self._cosine = comparison.embedding_distance == "cosine"
        self._turns = comparison.turns
        self.limit = comparison.threshold
        self._first: tuple[int, str] | None = None

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Return whether the distance of a and b equals the distance of b and a."""
        return comparison.turns == 1

    @property
    def _entries(self) -> int:
        """Return the number of entries of a vector; 0 before the first vector is read."""
        return self._first[0] if self._first else 0

    @property
    def kernel(self) -> Metric:
        """Return the metric for the kernels; vectors must have been read before."""
        scale = 0.5 if self._cosine else 1.0
        orders = np.arange(self._turns * self._entries).reshape(self._turns, self._entries)
        space = None
        if self.limit is not None:
            # Float64 sums may be slightly below the true distance; float32 products of tiny numbers are 0.
            space = Space(min(self.limit / scale, 4 * LONGEST**2) * (1 + 2.0**-30) + TINY, orders)
        measure = floats.FloatSquares(scale)
        return Metric(measure, space, unturned, in_turn, 4 * self._turns * self._entries)

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Return the names of the index columns that the metric reads."""
        return ["path", "vector"]

    def compared(self, images: BlockImages) -> Compared:
        """Return the images with their vectors as points, float32 (n, turns, d).

        An image without a vector is compared with no image; the entries of its point are 0."""
        points = kept(("points", images.name), lambda: self._points(images))
        if len(points):
            first = np.argmax(np.asarray(pc.not_equal(images.rows[VECTOR_IDENTITY], "").to_numpy(), np.bool_))
            path = images.rows["path"][int(first)].as_py()
            self._first = self._first or (points.shape[2], path)
            if points.shape[2] != self._entries:
                raise self._other_length(points.shape[2], path, *self._first)
        return Compared(points.reshape(len(points), -1), lambda positions: (points, positions))

    def _points(self, images: BlockImages) -> NDArray[np.float32]:
        """Return the vectors, float32 (n, turns, d); of length 1 for cosine distance.

        Raises:
            TaskError: the vectors differ in length, or a vector has no direction or is too long."""
        paths, column = images.rows["path"], images.column("vector")
        sizes = np.asarray(pc.fill_null(pc.binary_length(column), 0).to_numpy(), np.int64) // (4 * self._turns)
        present = np.flatnonzero(sizes)
        entries = int(sizes[present[0]]) if len(present) else 1
        if len(odd := present[sizes[present] != entries]):
            first, other = (paths[int(n)].as_py() for n in (present[0], odd[0]))
            raise self._other_length(int(sizes[odd[0]]), other, entries, first)
        points = np.zeros((len(sizes), self._turns, entries), np.float32)
        data = b"".join(filter(None, column.to_pylist()))
        points[present] = np.frombuffer(data, "<f4").reshape(len(present), self._turns, entries)
        norms = np.ones(points.shape[:2])
        lengths = np.sqrt(floats.squared_lengths(points.reshape(-1, entries))).reshape(norms.shape)
        norms[present] = lengths[present]
        if self._cosine:
            if not norms.all():
                bad = paths[int(np.flatnonzero((norms == 0).any(axis=1))[0])].as_py()
                raise TaskError(
                    f"{self._name}: expected vectors with a direction, got zeros for {bad}; return other vectors, or "
                    "set pairs.embedding_distance=squared"
                )
            np.divide(points, norms[..., None], out=points, casting="same_kind")
        elif norms.max(initial=0) > LONGEST:
            bad = paths[int(np.flatnonzero((norms > LONGEST).any(axis=1))[0])].as_py()
            raise TaskError(
                f"{self._name}: expected vectors of length up to {LONGEST:.0e}, got a longer vector for {bad}"
            )
        return points

    def _other_length(self, entries: int, path: str, expected: int, first: str) -> TaskError:
        return TaskError(
            f"{self._name}: expected vectors of one length, got {entries} numbers for {path} and {expected} for {first}"
        )

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the distances to store, float64, from measured distances."""
        return values

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """Return measured distances from stored distances; the inverse of `figures`."""
        return figures
