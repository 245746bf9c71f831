"""What `pairs.metric` may be: which points it compares, where they lie in space, and what is a match.

    mse            thumbnails; coarse sums bound them from below
    hamming        bits of the hashes: their squared distance is the number of bits that differ
    embedding      vectors of a user's function; cosine is half the squared distance of vectors of length 1
    package.module:function   a user's function of thumbnails, for which there are no bounds: every pair is measured

All four become one `kernels.compare.Metric`, and what compares them knows no other difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import TaskError
from stages.functions import imported, said
from stages.kernels import coarse, exact
from stages.kernels.arrays import Device
from stages.kernels.compare import Finer, Metric
from stages.kernels.space import Space
from stages.thumbnails import BlockThumbnails

if TYPE_CHECKING:
    from stages.pairs import Params

BUILT_IN = ("mse", "hamming", "embedding")
HASHES = ("hash_0", "hash_90", "hash_180", "hash_270")
FINER = (8, 16)
"""Grids of the sums that thin out crowded tiles."""

Shape = tuple[int, int, int]


class Images(NamedTuple):
    """The images of a block that are compared: their rows of the index, and their thumbnails."""

    rows: pa.Table
    thumbnails: BlockThumbnails


class Compared(NamedTuple):
    """Images as a metric sees them: vectors float32 (n, d), and points from positions; see `kernels.compare.Side`."""

    vectors: NDArray[np.float32]
    points: Any


class Mse:
    """Mean squared error between thumbnails."""

    turns_alike = True
    """Whether a turned copy is as far from any image, in some turn, as the original: one may stand for both."""

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._shape = shape
        self._divisor = shape[0] * shape[1] * (shape[2] if params.normalize == "value" else 1)
        self.limit = None if params.threshold is None else coarse.limit(params.threshold, self._divisor)
        turns = 4 if params.rotations else 1
        space = None
        if self.limit is not None:
            invariants = partial(coarse.invariants, channels=shape[2]) if turns > 1 else None
            space = Space(float(self.limit), coarse.orders(shape[2], turns), invariants)
        self.kernel = Metric(
            exact.Squares(device),
            space,
            lambda points, turn: exact.turned(points, turn) if turn else points,
            shape[0] * shape[1] * shape[2],
            [
                Finer(partial(_finer, grid=grid), coarse.orders(shape[2], turns, grid))
                for grid in FINER
                if grid <= min(shape[:2])
            ],
        )

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["coarse"] if params.threshold is not None else []

    def compared(self, images: Images) -> Compared:
        """Images by their thumbnails."""
        if self.limit is None:
            return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)
        sums = images.rows["coarse"].combine_chunks().flatten().to_numpy()
        return Compared(coarse.vectors(sums.reshape(-1, coarse.length(self._shape)), self._shape), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values / self._divisor


def _finer(thumbnails: NDArray[np.uint8], grid: int) -> NDArray[np.float32]:
    return coarse.vectors(coarse.coarse(thumbnails, grid), thumbnails.shape[1:], grid)


class Hamming:
    """Bits in which hashes differ; hash_0 of one image and, in turn k, hash_k of the other."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._turns = 4 if params.rotations else 1
        self.limit = None if params.threshold is None else float(np.floor(params.threshold))
        self._bits: int | None = None
        self._device = device

    @property
    def kernel(self) -> Metric:
        """Known once the hashes have been seen."""
        bits = self._bits or 0
        orders = np.arange(self._turns * bits).reshape(self._turns, bits)
        space = None if self.limit is None else Space(self.limit, orders)
        return Metric(exact.Squares(self._device), space, lambda points, turn: points[:, turn], self._turns * bits)

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["path", *(HASHES if params.rotations else HASHES[:1])]

    def compared(self, images: Images) -> Compared:
        """Images by the bits of their hashes, uint8 (n, turns, bits), each 0 or 1."""
        whole = np.stack([self._unpacked(images.rows, name) for name in HASHES[: self._turns]], axis=1)
        vectors = whole.reshape(len(whole), -1).astype(np.float32)
        return Compared(vectors, lambda positions: (whole, positions))

    def _unpacked(self, rows: pa.Table, name: str) -> NDArray[np.uint8]:
        texts = rows[name].to_pylist()
        if self._bits is None and texts:
            self._bits = 4 * len(texts[0])
        try:
            packed = [bytes.fromhex(text + "0" * (len(text) % 2)) for text in texts]
        except ValueError:
            packed = []
        lengths = {4 * len(text) for text in texts}
        if len(packed) != len(texts) or lengths - {self._bits}:
            odd = next(n for n, text in enumerate(texts) if 4 * len(text) != self._bits or not _is_hex(text))
            raise TaskError(
                f"pairs.metric hamming: expected hashes of {(self._bits or 0) // 4} hex digits, as the first one; "
                f"hash.function gives {texts[odd][:80]!r} for {rows['path'][odd].as_py()}"
            )
        if not texts:
            return np.empty((0, self._bits or 0), np.uint8)
        return np.unpackbits(np.array([np.frombuffer(row, np.uint8) for row in packed]), axis=1)[:, : self._bits]

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values.astype(np.float64)


def _is_hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdefABCDEF")


class Embedding:
    """Squared distance of vectors, or cosine distance: half of it, for vectors of length 1."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._cosine = params.embedding_distance == "cosine"
        self._turns = 4 if params.rotations else 1
        self.limit = params.threshold
        self._entries = 0

    @property
    def kernel(self) -> Metric:
        """Known once the vectors have been seen."""
        scale = 0.5 if self._cosine else 1.0
        orders = np.arange(self._turns * self._entries).reshape(self._turns, self._entries)
        # What is summed in float64 may be a little less than the true distance.
        space = None if self.limit is None else Space(self.limit / scale * (1 + 2.0**-30), orders)
        measure = exact.Floats(scale)
        return Metric(measure, space, lambda points, turn: points[:, turn], 4 * self._turns * self._entries)

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["path", "vector"]

    def compared(self, images: Images) -> Compared:
        """Images by their vectors, float32 (n, turns, d)."""
        data = images.rows["vector"].to_pylist()
        if len({len(row) for row in data} | ({4 * self._turns * self._entries} if self._entries else set())) > 1:
            raise TaskError("pairs.embedding: expected vectors of one length for all images, got several")
        whole = np.array([np.frombuffer(row, "<f4") for row in data], np.float32).reshape(len(data), self._turns, -1)
        self._entries = whole.shape[2] if len(data) else self._entries
        if self._cosine:
            norms = np.sqrt(np.cumsum(whole.astype(np.float64) ** 2, axis=2)[..., -1:])
            if not norms.all():
                bad = images.rows["path"][int(np.flatnonzero((norms == 0).any(axis=(1, 2)))[0])].as_py()
                raise TaskError(f"pairs.embedding: a vector of zeros has no cosine; it was given for {bad}")
            whole = (whole / norms).astype(np.float32)
        vectors = whole.reshape(len(whole), self._turns * self._entries)
        return Compared(vectors, lambda positions: (whole, positions))

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values


class Custom:
    """A user's function from thumbnails (n, H, W, C) and one thumbnail (H, W, C) to n distances."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        function = imported(params.metric)

        def distances(images: NDArray[np.uint8], image: NDArray[np.uint8]) -> Any:
            try:
                return function(images, image)
            except Exception as error:  # the user's function may raise anything
                raise TaskError(f"pairs.metric {params.metric} failed: {said(error)}") from error

        self.limit = params.threshold
        self.kernel = Metric(
            exact.Function(distances),
            None,
            lambda points, turn: exact.turned(points, turn) if turn else points,
            shape[0] * shape[1] * shape[2],
        )

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs: none, for there are no bounds."""
        return []

    def compared(self, images: Images) -> Compared:
        """Images by their thumbnails."""
        return Compared(np.empty((len(images.rows), 0), np.float32), images.thumbnails)

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values


Kind = Mse | Hamming | Embedding | Custom
KINDS: dict[str, type[Kind]] = {"mse": Mse, "hamming": Hamming, "embedding": Embedding}


def kind_of(params: Params) -> type[Kind]:
    """What `pairs.metric` names."""
    return KINDS.get(params.metric, Custom)
