"""What is compared, and what is a match: the settings that blocks, metrics and earlier results share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.comparing.figure import column_of
from stages.comparing.thumbnails import CHANNELS

UNSURE = 3.0
"""`decode: fast` moves the root of an MSE by less than this, for 99 of 100 pairs of near-duplicate photographs;
see tests/benchmarks/decode.py."""


@dataclass(frozen=True)
class Comparison:
    """The settings of the section `pairs` that decide which pairs are matches; see there for their meaning."""

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

    @property
    def column(self) -> str:
        """Name of the distances' column."""
        return column_of(self.metric)

    @property
    def turns(self) -> int:
        """How many quarter turns of the second image are compared: 4 or 1."""
        return 4 if self.rotations else 1

    def borderline(self, values: NDArray[np.float64], decode: str, channels: str) -> NDArray[np.bool_]:
        """Which matches `thumbnail.decode: exact` might put on the other side of the threshold, by their figures."""
        if self.threshold is None or self.metric != "mse" or decode == "exact":
            return np.zeros(len(values), np.bool_)
        unsure = UNSURE / (CHANNELS[channels] ** 0.5 if self.normalize == "value" else 1)
        near: NDArray[np.bool_] = np.sqrt(values) > self.threshold**0.5 - unsure
        return near
