"""Count readable and failed images, for artifacts' summaries and run.json."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from stages.decoding.rows import LIMITED, FileFacts, should_retry


class ImageCounts:
    """Counts of the images of one task.

    images  number of the task's images"""

    def __init__(self, images: int) -> None:
        self._images = images
        self._errors: Counter[str] = Counter()
        self._limits: dict[str, float] = {}
        """The least limit that a failed image exceeded, by the error's code."""

    def add(self, rows: Iterable[FileFacts]) -> None:
        """Count the errors of some images."""
        for row in rows:
            if row.error:
                self._errors[row.error] += 1
            if row.error in LIMITED:
                self._limits[row.error] = min(row.error_limit or 0.0, self._limits.get(row.error, math.inf))

    def summary(self) -> dict[str, Any]:
        """Return the summary of the task's artifact."""
        failed = self._errors.total()
        counts = {"images": self._images, "readable": self._images - failed, "failed": failed}
        return (
            counts | {"errors": dict(sorted(self._errors.items()))} | ({"limits": self._limits} if self._limits else {})
        )


def may_succeed(summary: Mapping[str, Any], limits: Mapping[str, float]) -> bool:
    """Return whether a task has an image for which a retry may succeed.

    limits  values of the limits in LIMITED"""
    exceeded = summary.get("limits", {})
    return any(should_retry(error, exceeded.get(error), limits) for error in summary["errors"])


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the sections `images` and `errors` of run.json.

    `errors` counts unreadable images by code."""
    total: dict[str, Any] = {"total": 0, "readable": 0, "failed": 0}
    errors: Counter[str] = Counter()
    for summary in summaries:
        total["total"] += summary["images"]
        total["readable"] += summary["readable"]
        total["failed"] += summary["failed"]
        errors.update(summary["errors"])
    return {"images": total, "errors": dict(sorted(errors.items()))}
