"""Format numbers as text."""

from __future__ import annotations

from pipeline.messages.errors import one_line

__all__ = ["human_bytes", "human_count", "human_mse", "human_number", "human_seconds", "one_line"]

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

    Whole numbers are written in full, others with three digits or up to the unit."""
    if number == int(number) and abs(number) < 1e15:
        return f"{number:,.0f}"
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.3g}"


def human_mse(mse: float) -> str:
    """Return a mean squared error with one decimal, or with two digits below 10."""
    return f"{mse:,.1f}" if mse >= 10 or mse == 0 else f"{mse:.2g}"
