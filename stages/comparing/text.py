"""Format numbers as text, and read numbers with units."""

from __future__ import annotations

import re

from pipeline.messages.errors import one_line
from stages.kernels.measure.turns import MIRRORED

__all__ = [
    "human_bytes",
    "human_count",
    "human_mse",
    "human_number",
    "human_seconds",
    "human_turn",
    "one_line",
    "whole_number",
]

FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def human_bytes(count: int) -> str:
    """Return a number of bytes in powers of 1,000, as file managers show sizes."""
    size, unit = float(count), 0
    while size >= 999.95 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{count} bytes"


def human_count(count: int) -> str:
    """Return a count with thousands separators."""
    return f"{count:,}"


def human_seconds(seconds: float) -> str:
    """Return a duration in at most two units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def human_number(number: float) -> str:
    """Return any number as text.

    Whole numbers, and numbers from 1,000 on, are written without decimals; other numbers with three digits."""
    if number == int(number) and abs(number) < 1e15:
        return f"{number:,.0f}"
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.3g}"


def human_mse(mse: float) -> str:
    """Return a mean squared error with one decimal, or with two digits below 10."""
    return f"{mse:,.1f}" if mse >= 10 or mse == 0 else f"{mse:.2g}"


def human_turn(turn: int) -> str:
    """Describe a turn in words, such as `mirrored and turned 90°`; empty for no turn."""
    degrees, mirrored = turn % MIRRORED * 90, turn >= MIRRORED
    return " and ".join(["mirrored"] * mirrored + [f"turned {degrees}°"] * (degrees > 0))


def whole_number(value: int | str) -> int:
    """Return the value of a count that may have a unit, such as 500M or 256MiB.

    Raises:
        ValueError: `value` is not a count, is below 1, or is 2**63 or more."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", str(value).strip().lower())
    count = float(match[1]) * FACTORS[match[2]] if match and match[2] in FACTORS else 0
    if not 1 <= count < 2**63:
        raise ValueError(
            f"expected a number of 1 to 2**63, or a number with a unit such as 256MiB, got {str(value)[:80]!r}"
        )
    return int(count)
