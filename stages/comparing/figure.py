"""Describe how the distance of a match is shown: column, name, formatted number."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.stage import Settings
from stages.comparing.text import human_mse, human_number

SETTINGS = ("pairs.metric", "pairs.exposure", "pairs.embedding", "pairs.embedding_distance")
"""Config keys that `figure_of` reads."""


@dataclass(frozen=True)
class Figure:
    """Presentation of the distances of one metric.

    column  column of `pairs/`
    name    text before the number: `MSE 12.3`, `distance 7`
    about   full description of the distance
    whole   whether the distance is a whole number"""

    column: str
    name: str
    about: str
    whole: bool = False

    def text(self, value: float) -> str:
        """Return a distance as text, without the name."""
        return human_mse(value) if self.column == "mse" else human_number(value)


def column_of(metric: str) -> str:
    """Return the name of the column of distances of a metric."""
    return "mse" if metric == "mse" else "distance"


def figure_of(settings: Settings) -> Figure:
    """Return the presentation of distances by `pairs.metric`."""
    metric = settings("pairs.metric")
    if metric == "mse":
        exposure = ", brightness ignored" if settings("pairs.exposure") == "ignore" else ""
        return Figure("mse", "MSE", f"mean squared error between thumbnails{exposure}")
    if metric == "hamming":
        return Figure(column_of(metric), "distance", "bits in which hashes differ", whole=True)
    if metric == "embedding":
        about = f"{settings('pairs.embedding_distance')} distance of vectors by {settings('pairs.embedding')}"
        return Figure(column_of(metric), "distance", about)
    return Figure(column_of(metric), "distance", f"distance by {metric}")
