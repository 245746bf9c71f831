"""Hold the settings that decide what is compared and which pairs are matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.stage import Settings
from stages.comparing.figure import column_of
from stages.comparing.thumbnails import CHANNELS
from stages.kernels.measure import zero_mean

UNSURE = 3.0
"""Greatest change of the root of an MSE by `decode: fast`, for 99 of 100 pairs of near-duplicate photographs.

See tests/benchmarks/decode.py."""


@dataclass(frozen=True)
class Comparison:
    """The settings of the config section `pairs` that decide which pairs are matches."""

    metric: str
    embedding: str | None
    embedding_distance: Literal["squared", "cosine"]
    normalize: Literal["pixel", "value"]
    threshold: float | None
    rotations: bool
    mirror: bool
    exposure: Literal["compare", "ignore"]
    same: Literal["any", "dimensions", "aspect"]
    same_hash: Literal["compare", "zero", "skip"]
    references: Literal["compare", "skip"]
    identical: Literal["group", "all"]
    folders: Literal["any", "across", "within"]
    folder_depth: int

    @property
    def column(self) -> str:
        """Return the name of the column of distances."""
        return column_of(self.metric)

    @property
    def turns(self) -> int:
        """Return the number of compared turns, a key of `COMPARED` in `measure/turns.py`."""
        return (4 if self.rotations else 1) * (2 if self.mirror else 1)

    def problems(self, settings: Settings) -> Iterator[str]:
        """Yield a message for each setting that contradicts another setting."""
        width, height = settings("thumbnail.size")
        if self.rotations and width != height:
            yield (
                f"pairs.rotations: quarter turns need a square thumbnail, got thumbnail.size [{width}, {height}]; "
                "set pairs.rotations=false, or a square size"
            )
        if self.exposure == "ignore":
            yield from self._exposure_problems((height, width, CHANNELS[settings("thumbnail.channels")]))
        if self.metric == "embedding" and self.embedding is None:
            yield (
                "pairs.embedding: metric embedding needs a package.module:function from images to vectors, or a model, "
                "onnx:FILE"
            )
        if self.metric == "hamming" and ":" not in settings("hash.function"):
            yield (
                f"pairs.metric: hamming needs a perceptual hash, got hash.function {settings('hash.function')}; "
                "set hash.function to a package.module:function such as imagehash:phash"
            )

    def _exposure_problems(self, shape: tuple[int, int, int]) -> Iterator[str]:
        """Yield a message if `exposure: ignore` contradicts the metric, or the threshold is too high.

        shape  height, width and channels of a thumbnail

        Sums of squares are restored from stored distances, which are float64; only sums below `zero_mean.RESTORED` can
        be restored. With a high threshold and large thumbnails, sums may be larger."""
        if self.metric != "mse":
            yield (
                f"pairs.exposure: ignore is for metric mse, got metric {self.metric}; set pairs.metric=mse, or "
                "pairs.exposure=compare"
            )
            return
        by_value = self.normalize == "value"
        highest = 255**2 * (1 if by_value else shape[2])
        most = zero_mean.RESTORED / zero_mean.divisor(shape, by_value, True)
        if most <= highest and (self.threshold is None or self.threshold >= most):
            got = "null, which records every pair" if self.threshold is None else f"{self.threshold:g}"
            yield (
                f"pairs.threshold: expected less than {most:g} for pairs.exposure ignore and thumbnails of "
                f"{shape[1]}x{shape[0]}, got {got}; lower pairs.threshold or thumbnail.size"
            )

    def borderline(self, values: NDArray[np.float64], decode: str, channels: str) -> NDArray[np.bool_]:
        """Return which matches might be beyond the threshold with `thumbnail.decode: exact`, bool (n,).

        values            the distances of the matches, float64 (n,)
        decode, channels  values of the config's section `thumbnail`"""
        if self.threshold is None or self.metric != "mse" or decode == "exact":
            return np.zeros(len(values), np.bool_)
        unsure = UNSURE / (CHANNELS[channels] ** 0.5 if self.normalize == "value" else 1)
        near: NDArray[np.bool_] = np.sqrt(values) > self.threshold**0.5 - unsure
        return near


COMPARISON_KEYS = tuple(f"pairs.{field.name}" for field in fields(Comparison))
"""Config keys that `comparison_of` reads."""


def comparison_of(settings: Settings) -> Comparison:
    """Return the settings by which the pairs were compared."""
    return Comparison(**{key.partition(".")[2]: settings(key) for key in COMPARISON_KEYS})
