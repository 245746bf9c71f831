"""What `pairs.metric` may be: which points it compares, where they lie in space, and what is a match.

    mse            thumbnails; coarse sums bound them from below
    hamming        bits of the hashes: their squared distance is the number of bits that differ
    embedding      vectors of a user's function; cosine is half the squared distance of vectors of length 1
    package.module:function   a user's function of thumbnails, for which there are no bounds: every pair is measured

All four become one `kernels.metric.Metric`, and what compares them knows no other difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import TaskError
from stages.functions import imported, said
from stages.kernels import arrays, coarse, exact
from stages.kernels.arrays import Device
from stages.kernels.exact import Points
from stages.kernels.metric import Finer, Metric
from stages.kernels.space import Space
from stages.thumbnails import BlockThumbnails

if TYPE_CHECKING:
    from stages.pairs import Params

BUILT_IN = ("mse", "hamming", "embedding")
HASHES = ("hash_0", "hash_90", "hash_180", "hash_270")
FINER = (8,)
"""Grids of the sums that thin out crowded tiles."""
HEX = frozenset("0123456789abcdefABCDEF")
LONGEST = 2.0**60
"""Length of a vector whose squared distances float32 can still hold."""
TINY = 2.0**-100
"""More than products of float32 lose by becoming 0."""

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


class Mse:
    """Mean squared error between thumbnails."""

    turns_alike = True
    """Whether a turned copy is as far from any image, in some turn, as the original: one may stand for both."""

    @staticmethod
    def symmetric(params: Params) -> bool:
        """Whether a and b are as far apart as b and a, which lets copies of either stand for each other in any order.

        Hashes and vectors of turned images need not be turned ones of these: then a with b turned is one thing, and b
        with a turned another."""
        return True

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
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
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["coarse"] if params.threshold is not None else []

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


def _unturned(points: Points, turn: int) -> Points:
    """Of points that are stored in each turn."""
    return points[:, 0]


def _in_turn(points: Points, turn: int) -> Points:
    return points[:, turn]


def _finer(thumbnails: NDArray[np.uint8], grid: int) -> NDArray[np.float32]:
    arrays.loops(True)  # there are many tiles to come
    return coarse.vectors(coarse.coarse(thumbnails, grid), thumbnails.shape[1:], grid)


class Hamming:
    """Bits in which hashes differ; hash_0 of one image and, in turn k, hash_k of the other."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._turns = 4 if params.rotations else 1
        self.limit = None if params.threshold is None else float(np.floor(params.threshold))
        self._first: tuple[str, str] | None = None
        self._device = device

    @staticmethod
    def symmetric(params: Params) -> bool:
        """See `Mse`."""
        return not params.rotations

    @property
    def _bits(self) -> int:
        """Bits of a hash, known once one has been seen."""
        return 4 * len(self._first[0]) if self._first else 0

    @property
    def kernel(self) -> Metric:
        """Known once the hashes have been seen."""
        bits = self._bits
        orders = np.arange(self._turns * bits).reshape(self._turns, bits)
        space = None if self.limit is None else Space(min(self.limit, float(bits)), orders)
        return Metric(exact.Squares(self._device), space, _unturned, _in_turn, self._turns * bits)

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
        """Columns of the index that it needs."""
        return ["path", *(HASHES if params.rotations else HASHES[:1])]

    def compared(self, images: Images) -> Compared:
        """Images by the bits of their hashes, uint8 (n, turns, bits), each 0 or 1."""
        whole = np.stack([self._unpacked(images.rows, name) for name in HASHES[: self._turns]], axis=1)
        vectors = whole.reshape(len(whole), self._turns * whole.shape[2]).astype(np.float32)
        return Compared(vectors, lambda positions: (whole, positions))

    def _unpacked(self, rows: pa.Table, name: str) -> NDArray[np.uint8]:
        texts = rows[name].to_pylist()
        if self._first is None and texts:
            self._first = texts[0], rows["path"][0].as_py()
        if not HEX.issuperset("".join(texts)) or {4 * len(text) for text in texts} - {self._bits} or "" in texts:
            self._refuse(rows, texts)
        padded = [text + "0" * (len(text) % 2) for text in texts]  # ImageHash's need not fill their last byte
        packed = np.frombuffer(bytes.fromhex("".join(padded)), np.uint8).reshape(len(texts), -(-self._bits // 8))
        return np.unpackbits(packed, axis=1)[:, : self._bits]

    def _refuse(self, rows: pa.Table, texts: Sequence[str]) -> NoReturn:
        """Raise TaskError that names the first image whose hash is no hex, or of another length than the first."""
        assert self._first is not None
        length = len(self._first[0])
        odd = next(n for n, text in enumerate(texts) if len(text) != length or not text or not HEX.issuperset(text))
        text, path = texts[odd], rows["path"][odd].as_py()
        given = f"pairs.metric hamming: hash.function gives {text[:80]!r} for {path}"
        if not text or not HEX.issuperset(text):
            raise TaskError(f"{given}; expected hex digits, as the text of ImageHash's hashes has them")
        raise TaskError(
            f"{given}, {len(text)} hex digits, but {length} for {self._first[1]}; "
            "expected as many for each image, in every turn"
        )

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What is recorded of what was measured."""
        return values.astype(np.float64)

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """What had been measured, from what was recorded of it."""
        return figures.astype(np.int64)


class Embedding:
    """Squared distance of vectors, or cosine distance: half of it, for vectors of length 1."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._name = f"pairs.embedding {params.embedding}"
        self._cosine = params.embedding_distance == "cosine"
        self._turns = 4 if params.rotations else 1
        self.limit = params.threshold
        self._first: tuple[int, str] | None = None

    @staticmethod
    def symmetric(params: Params) -> bool:
        """See `Mse`."""
        return not params.rotations

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
        return Metric(measure, space, _unturned, _in_turn, 4 * self._turns * self._entries)

    @staticmethod
    def columns(params: Params) -> Sequence[str]:
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


class Custom:
    """A user's function from thumbnails (n, H, W, C) and one thumbnail (H, W, C) to n distances."""

    turns_alike = False

    def __init__(self, params: Params, shape: Shape, device: Device) -> None:
        self._name, self._function = f"pairs.metric {params.metric}", imported(params.metric)
        self._seen: list[pa.Table] = []
        self.limit = params.threshold
        self.kernel = Metric(
            exact.Function(self._distances),
            None,
            None,
            lambda points, turn: exact.turned(points, turn) if turn else points,
            shape[0] * shape[1] * shape[2],
        )

    @staticmethod
    def symmetric(params: Params) -> bool:
        """Nobody knows; see `Mse`."""
        return False

    def _distances(self, images: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """What the function gives. Raises TaskError that names the image where these are no distances."""
        try:
            given = np.asarray(self._function(images, image))
        except Exception as error:  # the user's function may raise anything
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
    def columns(params: Params) -> Sequence[str]:
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


Kind = Mse | Hamming | Embedding | Custom
KINDS: dict[str, type[Kind]] = {"mse": Mse, "hamming": Hamming, "embedding": Embedding}


def kind_of(params: Params) -> type[Kind]:
    """What `pairs.metric` names."""
    return KINDS.get(params.metric, Custom)
