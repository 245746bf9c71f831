"""Facts of an image for the page's table: what the run recorded, and what stands in its folder now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from stages.commands.review.embedded import embedded
from stages.commands.review.images import ServedImages
from stages.commands.review.shown import Shown
from stages.listing.files import show

SIDECARS = (".xmp", ".json", ".aae", ".thm", ".pp3", ".dop", ".xml", ".txt")
"""Suffixes of files that programs keep beside an image."""


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
        "sidecars": ", ".join(_sidecars(row)),
        "file": "" if data is not None else "gone or changed since the run",
    }


def _path(row: Mapping[str, Any]) -> Path:
    return Path(os.fsdecode(row["path_bytes"] or row["path"].encode()))


def _sidecars(row: Mapping[str, Any]) -> list[str]:
    """Return the names of files beside an image that belong to the image by name."""
    if not row["path"].startswith("/") or row["location"]:
        return []
    path = _path(row)
    forms = (suffix for each in SIDECARS for suffix in (each, each.upper()))
    names = dict.fromkeys(name for form in forms for name in (f"{path.stem}{form}", f"{path.name}{form}"))
    with contextlib.suppress(OSError):
        return [show(os.fsencode(name)) for name in names if (path.parent / name).exists()]
    return []
