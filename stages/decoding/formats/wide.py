"""Which values of an image of more than 8 bits a value become black and white, whoever reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OVERSHOOT = 0.1
"""Sharp scaling takes floats of 0 to 1 so far beyond: they are cut off, where all others would turn black."""
DARKEST = 16.0
"""Floats of 0 to 255 have a value above this; what has none is of some other range."""
NO_DATA = -9999.0
"""What files of measurements hold where nothing was measured, whether they say so or not."""
MISSING = "missing"
"""Where an opened image holds what its file says of missing data."""
HUGE = 1e30
"""Greater floats stand for no light: a marker of missing data, or a quotient by nearly nothing."""


def finite(values: NDArray[Any], missing: float | None = None) -> NDArray[np.bool_]:
    """Which values tell of light: finite, not huge, and no marker of missing data, which the file may name."""
    if values.dtype.kind == "u":
        return np.ones(values.shape, np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        there = np.asarray(np.abs(values) < np.float64(HUGE))
        for marker in (NO_DATA, missing):
            if marker is not None:
                there &= values != np.asarray(marker).astype(values.dtype)
    return there


def ends(low: float, high: float) -> tuple[float, float]:
    """What becomes black and white, of floats from `low` to `high`: 0 and 1, 0 and 255, or these two. A single
    value is taken as one of 0 to 255."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return 0.0, 1.0
    if low == high or (low >= 0 and DARKEST < high <= 255):
        return 0.0, 255.0
    return low, high


def missing_of(tag: Any) -> float | None:
    """The value for missing data that GDAL writes down as text."""
    try:
        return float(str(tag).strip("\0 "))
    except ValueError:
        return None
