"""Compare hashes by the number of bits that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.compared import BlockImages, Compared, Shape, in_turn, unturned
from stages.kernels.arrays import Device
from stages.kernels.bounds.space import Space
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Metric
from stages.kernels.measure.turns import COMPARED

HASHES = ("hash_0", "hash_90", "hash_180", "hash_270")
MIRRORED_HASHES = ("hash_mirrored_0", "hash_mirrored_90", "hash_mirrored_180", "hash_mirrored_270")
"""Hashes of the thumbnail that is mirrored and then turned; only with pairs.mirror."""
HEX = frozenset("0123456789abcdefABCDEF")


def compared_hashes(turns: int) -> list[str]:
    """Return the columns of the hashes in the compared turns."""
    return [(HASHES + MIRRORED_HASHES)[turn] for turn in COMPARED[turns]]


class Hamming:
    """The number of differing bits of two hashes.

    In each turn, hash_0 of one image is compared with the hash of another image in that turn."""

    turns_alike = False

    def __init__(self, comparison: Comparison, shape: Shape, device: Device) -> None:
        self._turns = comparison.turns
        self.limit = None if comparison.threshold is None else float(np.floor(comparison.threshold))
        self._first: tuple[str, str] | None = None
        self._device = device

    @staticmethod
    def symmetric(comparison: Comparison) -> bool:
        """Return whether the distance of a and b equals the distance of b and a."""
        return comparison.turns == 1

    @property
    def _bits(self) -> int:
        """Return the number of bits of a hash; 0 before the first hash is read."""
        return 4 * len(self._first[0]) if self._first else 0

    @property
    def kernel(self) -> Metric:
        """Return the metric for the kernels; hashes must have been read before."""
        bits = self._bits
        orders = np.arange(self._turns * bits).reshape(self._turns, bits)
        space = None if self.limit is None else Space(min(self.limit, float(bits)), orders)
        return Metric(exact.Squares(self._device), space, unturned, in_turn, self._turns * bits)

    @staticmethod
    def columns(comparison: Comparison) -> Sequence[str]:
        """Return the names of the index columns that the metric reads."""
        return ["path", *compared_hashes(comparison.turns)]

    def compared(self, images: BlockImages) -> Compared:
        """Return the images for comparison; points are the bits of hashes, 0 or 1, uint8 (n, turns, bits)."""
        whole = np.stack([self._unpacked(images.rows, name) for name in compared_hashes(self._turns)], axis=1)
        vectors = whole.reshape(len(whole), self._turns * whole.shape[2]).astype(np.float32)
        return Compared(vectors, lambda positions: (whole, positions))

    def _unpacked(self, rows: pa.Table, name: str) -> NDArray[np.uint8]:
        texts = rows[name].to_pylist()
        if self._first is None and texts:
            self._first = texts[0], rows["path"][0].as_py()
        if not HEX.issuperset("".join(texts)) or {4 * len(text) for text in texts} - {self._bits} or "" in texts:
            self._refuse(rows, texts)
        padded = [text + "0" * (len(text) % 2) for text in texts]  # ImageHash's hashes need not fill the last byte
        packed = np.frombuffer(bytes.fromhex("".join(padded)), np.uint8).reshape(len(texts), -(-self._bits // 8))
        return np.unpackbits(packed, axis=1)[:, : self._bits]

    def _refuse(self, rows: pa.Table, texts: Sequence[str]) -> NoReturn:
        """Raise a TaskError that names the first image with an invalid hash.

        A hash is invalid if it is empty, not hexadecimal, or not as long as the first hash."""
        assert self._first is not None
        length = len(self._first[0])
        odd = next(n for n, text in enumerate(texts) if len(text) != length or not text or not HEX.issuperset(text))
        text, path = texts[odd], rows["path"][odd].as_py()
        given = f"pairs.metric hamming: hash.function gives {text[:80]!r} for {path}"
        if not text or not HEX.issuperset(text):
            raise TaskError(f"{given}; expected hex digits, as in the text of ImageHash's hashes")
        raise TaskError(
            f"{given}, {len(text)} hex digits, but {length} for {self._first[1]}; "
            "expected the same number of digits for every image and turn"
        )

    def figures(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the distances to store, float64, from measured distances."""
        return values.astype(np.float64)

    def measured(self, figures: NDArray[np.float64]) -> NDArray[Any]:
        """Return measured distances from stored distances; the inverse of `figures`."""
        return figures.astype(np.int64)
