"""Facts of an image for the page's table: what the run recorded, and which sidecars are in the image's folder now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stages.commands.plan.companions import true_name
from stages.commands.review.embedded import embedded
from stages.commands.review.images import ServedImages
from stages.commands.review.shown import Shown
from stages.listing.companions import NAME_SEPARATOR


def facts_of(shown: Shown, images: ServedImages, number: int) -> dict[str, Any]:
    """Return the facts of an image as text, by name; an empty text where a fact is unknown. Raises IndexError."""
    shown.image(number)
    row = shown.rows[number]
    taken, data = row["taken"], images.content(number)
    return {
        "camera": row["camera"] or "",
        **(embedded(data) if data is not None else {}),
        "taken": taken.isoformat(" ", "seconds") if isinstance(taken, datetime) else "",
        "GPS": "yes" if row["gps"] else "no",
        "software": row["software"] or "",
        "mode": row["mode"] or "",
        "orientation": str(row["orientation"] or ""),
        "quality": f"{row['quality']:.0f} (by the JPEG's tables)" if row["quality"] is not None else "",
        "subsampling": row["subsampling"] or "",
        "progressive": {True: "yes", False: "no"}.get(row["progressive"], ""),
        "frames": str(row["frames"] or ""),
        "companions": ", ".join(_companions(row)),
        "file": "" if data is not None else "gone or changed since the run",
    }


def _companions(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the companions that are still beside an image."""
    folder, _, image = (row["path_bytes"] or row["path"].encode()).rpartition(b"/")
    names = row["companions"].split(NAME_SEPARATOR) if row["companions"] else []
    return [name for name in names if os.path.lexists(folder + b"/" + true_name(name, image))]
