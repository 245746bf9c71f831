"""The figure of a match: what its column is called, what it measures, and how people read it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.stage import Settings
from stages.comparing.text import human_mse, human_number

SETTINGS = ("pairs.metric", "pairs.embedding", "pairs.embedding_distance")
"""Config keys that `figure_of` reads."""


@dataclass(frozen=True)
class Figure:
    """Of one metric.

    column  of `pairs/`
    name    before a number: `MSE 12.3`, `distance 7`
    about   in full
    whole   whether it counts something
    """

    column: str
    name: str
    about: str
    whole: bool = False

    def said(self, value: float) -> str:
        """The number alone, as people read it."""
        return human_mse(value) if self.column == "mse" else human_number(value)


def column_of(metric: str) -> str:
    """The column of the distances by a metric."""
    return "mse" if metric == "mse" else "distance"


def figure_of(settings: Settings) -> Figure:
    """What `pairs.metric` measures."""
    metric = settings("pairs.metric")
    if metric == "mse":
        return Figure("mse", "MSE", "mean squared error between thumbnails")
    if metric == "hamming":
        return Figure(column_of(metric), "distance", "bits in which hashes differ", whole=True)
    if metric == "embedding":
        about = f"{settings('pairs.embedding_distance')} distance of vectors by {settings('pairs.embedding')}"
        return Figure(column_of(metric), "distance", about)
    return Figure(column_of(metric), "distance", f"distance by {metric}")
