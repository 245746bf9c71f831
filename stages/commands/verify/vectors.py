"""Read the vectors of a run with metric embedding for `verify`, and measure their distances by NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.messages.errors import ConfigError
from stages.commands.verify.distances import Ints, digests
from stages.commands.verify.files import ArtifactFile

PAIRS_AT_ONCE = 1 << 16
"""Pairs whose vectors are in memory together."""

Doubles = NDArray[np.float64]


class Vectors:
    """The vectors of images in a run without rotations, in the order of `paths`.

    present   whether an image has a vector, bool (n,)
    identity  64-bit digests of vectors, uint64 (n,)"""

    def __init__(self, files: Sequence[ArtifactFile], paths: pa.Array, cosine: bool) -> None:
        tables = [file.table(["path", "vector"]) for file in files]
        rows = dict(zip(*(pa.concat_tables(tables)[name].to_pylist() for name in ("path", "vector")), strict=True))
        if rows.keys() != set(paths.to_pylist()):
            raise ConfigError("embed/ and thumbnail/ have different images; run `fast-diff run` again")
        found = [rows[path] for path in paths.to_pylist()]
        self.present = np.array([each is not None for each in found], np.bool_)
        self.identity = digests(each or b"" for each in found)
        length = max((len(each) for each in found if each), default=4)
        self._values = np.stack([np.frombuffer(each or bytes(length), "<f4") for each in found]).astype(np.float64)
        self._scale = 1.0
        if cosine:  # half the squared distance of vectors of length 1, rounded to float32
            lengths = np.sqrt(_summed(self._values.T))
            lengths[lengths == 0] = 1.0
            self._values = (self._values / lengths[:, None]).astype(np.float32).astype(np.float64)
            self._scale = 0.5

    def distances(self, a: Ints, b: Ints) -> Doubles:
        """Return the distance of each pair of images, float64 (m,)."""
        out = np.empty(len(a))
        for start in range(0, len(a), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            out[part] = self._scale * _summed((self._values[a[part]] - self._values[b[part]]).T)
        return out

    def between(self, a: Ints, b: Ints) -> Doubles:
        """Return the distances of all images of a from all images of b, float64 (len(a), len(b))."""
        return np.stack([self.distances(np.full(len(b), image), b) for image in a.tolist()])


def _summed(entries: NDArray[Any]) -> Doubles:
    """Return sums of squares along the first axis, added one by one in the order of the entries."""
    total = np.zeros(entries.shape[1])
    for entry in entries:
        total += entry * entry
    return total
