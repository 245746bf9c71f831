"""Hold the settings that decide what is compared and which pairs are matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.comparing.figure import column_of
from stages.comparing.thumbnails import CHANNELS

UNSURE = 3.0
"""Bound on how far `decode: fast` moves the root of an MSE, for 99 of 100 pairs of near-duplicate photographs.

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
        """Return how many quarter turns of the second image are compared: 4 or 1."""
        return 4 if self.rotations else 1

    def borderline(self, values: NDArray[np.float64], decode: str, channels: str) -> NDArray[np.bool_]:
        """Return which matches `thumbnail.decode: exact` might put beyond the threshold.

        The result is bool (n,).

        values  the distances of the matches, float64 (n,)"""
        if self.threshold is None or self.metric != "mse" or decode == "exact":
            return np.zeros(len(values), np.bool_)
        unsure = UNSURE / (CHANNELS[channels] ** 0.5 if self.normalize == "value" else 1)
        near: NDArray[np.bool_] = np.sqrt(values) > self.threshold**0.5 - unsure
        return near
