"""Scale an image of more than 8 bits a value to 8 bits, in bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from stages.decoding.formats.wide import HUGE, MISSING, ends, finite, missing_of

LARGEST_VALUE = {"I;12": 4_095}
"""Largest value of 16-bit images that are stored with fewer bits, by Pillow's raw mode."""
BAND = 1 << 20
"""Pixels of a band."""


@dataclass(frozen=True)
class ValueRange:
    """The values of a wide image that become 0 and 255.

    start, end  values that become 0 and 255
    low, high   least and greatest finite value, to which infinite values are clipped
    missing     the marker of missing data, which becomes black"""

    start: float
    end: float
    low: float
    high: float
    missing: float | None = None


def narrowed(image: Image.Image) -> Image.Image:
    """Return a loaded image scaled to 8 bits a value; an image without more bits is unchanged."""
    wide = range_of(image, "")
    return scaled(image, wide) if wide else image


def bands(image: Image.Image, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row and the pixels of bands of about BAND pixels.

    The height of a band is a multiple of `factor`."""
    height = max(1, BAND // image.width // factor) * factor
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(image.height, top + height)))


def range_of(image: Image.Image, raw: str) -> ValueRange | None:
    """Return the value range of an image of more than 8 bits a value; None for other images."""
    if not image.mode.startswith(("I", "F")):
        return None
    missing = missing_of(image.info.get(MISSING)) if image.mode == "F" else None
    low, high = _extremes(image, missing)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        start, end = 0.0, float(LARGEST_VALUE.get(raw, 65_535))
    elif image.mode == "F":
        start, end = ends(low, high)
    elif (low < 0 or high > 255) and high > low:
        start, end = low, high
    else:
        start, end = 0.0, 255.0
    return ValueRange(start, end, low, high, missing)


def _extremes(image: Image.Image, missing: float | None) -> tuple[float, float]:
    """Return the least and greatest value that is not missing data.

    The values are 0 and 0 where all data is missing."""
    found = []
    for _, band in bands(image, 1):
        values = np.asarray(band)
        there = values[finite(values, missing)]
        found += [float(there.min()), float(there.max())] if there.size else []
    return (min(found), max(found)) if found else (0.0, 0.0)


def scaled(image: Image.Image, wide: ValueRange) -> Image.Image:
    """Return an image of more than 8 bits a value as L, or as LA where one value is transparent."""
    flat = Image.new("L", image.size)
    key = image.info.get("transparency")
    opaque = Image.new("L", image.size, 255) if isinstance(key, int) else None
    for top, band in bands(image, 1):
        values = np.asarray(band).astype(np.float64)
        values[~finite(values, wide.missing) & ~(np.abs(values) >= HUGE)] = wide.start  # black
        inside = np.clip(values, wide.low, wide.high)
        grey = np.clip((inside - wide.start) * (255 / (wide.end - wide.start)), 0, 255)
        flat.paste(Image.fromarray(np.rint(grey).astype(np.uint8)), (0, top))
        if opaque:
            opaque.paste(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)), (0, top))
    if opaque:
        flat.putalpha(opaque)
    return flat
