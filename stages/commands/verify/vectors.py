"""Read the vectors and hashes of a run for `verify`, and measure their distances by NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.messages.errors import ConfigError
from stages.commands.verify.distances import Ints, digests
from stages.commands.verify.files import ArtifactFile

HASHES = tuple(f"hash_{mirror}{degrees}" for mirror in ("", "mirrored_") for degrees in (0, 90, 180, 270))
"""Columns of hashes: HASHES[t] holds the hashes in turn t."""
AT_ONCE = 1 << 22
"""Entries of vectors that are subtracted at a time."""

Doubles = NDArray[np.float64]


class Vectors:
    """The vectors of images in each compared turn.

    present   whether an image has a vector, bool (n,)
    identity  64-bit digests of the recorded vectors in all turns, uint64 (n,)"""

    def __init__(
        self, values: NDArray[Any], turns: Sequence[int], scale: float, recorded: Sequence[bytes | None]
    ) -> None:
        """Hold vectors.

        values    (n, turns, d): float32, or uint8 for the bits of hashes
        turns     numbers of the compared turns; see `Rules`
        scale     number by which squared distances are multiplied
        recorded  each image's vectors as recorded; None for an image without a vector"""
        self._values, self._turns, self._scale = values, turns, scale
        self.present = np.array([each is not None for each in recorded], np.bool_)
        self.identity = digests(each or b"" for each in recorded)

    def least(self, a: Ints, b: Ints) -> tuple[Doubles, Ints]:
        """Return the least distance of each pair of images over turns of b, and the turns that attain it, as bits."""
        distances = np.stack([self._distances(a, b, place) for place in range(len(self._turns))])
        least: Doubles = distances.min(axis=0)
        equal = (distances == least).astype(np.int64)
        return least, np.sum([each << turn for turn, each in zip(self._turns, equal, strict=True)], axis=0)

    def _distances(self, a: Ints, b: Ints, place: int) -> Doubles:
        """Return the distance of each pair of images, float64 (m,), with b in the turn at `place` of the turns."""
        out = np.empty(len(a))
        step = max(1, AT_ONCE // self._values.shape[2])
        for start in range(0, len(a), step):
            part = slice(start, start + step)
            left, right = (self._values[x, y].astype(np.float64) for x, y in ((a[part], 0), (b[part], place)))
            out[part] = self._scale * _summed((left - right).T)
        return out

    def between(self, a: Ints, b: Ints) -> Doubles:
        """Return the distances of all images of a from all images of b, float64 (len(a), len(b)).

        Of each pair, the image with the greater number is turned."""
        first, second = (each.ravel() for each in np.broadcast_arrays(a[:, None], b))
        return self.least(np.minimum(first, second), np.maximum(first, second))[0].reshape(len(a), len(b))


def embedded(files: Sequence[ArtifactFile], paths: pa.Array, turns: Sequence[int], cosine: bool) -> Vectors:
    """Return the vectors of the stage embed in the order of `paths`.

    Raises:
        ConfigError: the stage embed has other images than `paths`."""
    tables = [file.table(["path", "vector"]) for file in files]
    rows = dict(zip(*(pa.concat_tables(tables)[name].to_pylist() for name in ("path", "vector")), strict=True))
    if rows.keys() != set(paths.to_pylist()):
        raise ConfigError("embed/ and thumbnail/ have different images; run `fast-diff run` again")
    found = [rows[path] for path in paths.to_pylist()]
    length = max((len(each) for each in found if each), default=4 * len(turns))
    data = b"".join(each or bytes(length) for each in found)
    values = np.frombuffer(data, "<f4").reshape(len(found), len(turns), length // (4 * len(turns)))
    if cosine:  # half the squared distance of vectors of length 1, rounded to float32
        entries = values.astype(np.float64).reshape(-1, values.shape[2])
        lengths = np.sqrt(_summed(entries.T)).reshape(values.shape[:2])
        lengths[lengths == 0] = 1.0
        values = (values / lengths[..., None]).astype(np.float32)
    return Vectors(values, turns, 0.5 if cosine else 1.0, found)


def hashed(files: Sequence[ArtifactFile], turns: Sequence[int]) -> Vectors:
    """Return the bits of the hexadecimal hashes of the stage hash as vectors."""
    whole = pa.concat_tables(file.table([HASHES[turn] for turn in turns]) for file in files)
    texts = list(zip(*(column.to_pylist() for column in whole.columns), strict=True))
    width = len(texts[0][0]) if texts else 1
    digits = np.array([[[int(digit, 16) for digit in text] for text in row] for row in texts], np.uint8)
    bits = digits.reshape(len(texts), len(turns), width, 1) >> np.array([3, 2, 1, 0], np.uint8) & 1
    values = bits.reshape(len(texts), len(turns), 4 * width)
    return Vectors(values, turns, 1.0, ["".join(row).encode() for row in texts])


def _summed(entries: NDArray[Any]) -> Doubles:
    """Return sums of squares along the first axis, added one by one in the order of the entries."""
    total = np.zeros(entries.shape[1])
    for entry in entries:
        total += entry * entry
    return total
