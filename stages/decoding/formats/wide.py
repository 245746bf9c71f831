"""Choose the black point and the white point of images with more than 8 bits a value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OVERSHOOT = 0.1
"""Floats of 0 to 1 may exceed the range by this much, since sharp scaling overshoots; the excess is clipped."""
DARKEST = 16.0
"""Floats of at most 255 count as values of 0 to 255 only if their maximum is above DARKEST."""
NO_DATA = -9999.0
"""The usual marker of missing data in files of measurements, declared or not."""
MISSING = "missing"
"""Key of an opened image's `info` for the declared marker of missing data."""
HUGE = 1e30
"""Floats of at least this magnitude are not brightness: they mark missing data, or come from a division by nearly 0."""


def finite(values: NDArray[Any], missing: float | None = None) -> NDArray[np.bool_]:
    """Return a mask of the values that are finite, not huge, and not missing data."""
    if values.dtype.kind == "u":
        return np.ones(values.shape, np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        there = np.asarray(np.abs(values) < np.float64(HUGE))
        for marker in (NO_DATA, missing):
            if marker is not None:
                there &= values != np.asarray(marker).astype(values.dtype)
    return there


def ends(low: float, high: float) -> tuple[float, float]:
    """Return the values that become black and white, for floats from `low` to `high`.

    The result is 0 and 1, or 0 and 255, or `low` and `high`. Where `low` and `high` are equal and outside 0 to 1, the
    result is 0 and 255."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return 0.0, 1.0
    if low == high or (low >= 0 and DARKEST < high <= 255):
        return 0.0, 255.0
    return low, high


def missing_of(tag: Any) -> float | None:
    """Return GDAL's marker of missing data from the text of a tag, or None."""
    try:
        return float(str(tag).strip("\0 "))
    except ValueError:
        return None
