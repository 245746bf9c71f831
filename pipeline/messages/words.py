"""Plurals that agree with their numbers."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 file`, `2,000 files`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def verb(count: int, singular: str, plural: str) -> str:
    """Return the verb that agrees with a count: `is` or `are`."""
    return singular if count == 1 else plural
