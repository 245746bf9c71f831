"""Choose words in messages: plurals, and the valid word nearest to a wrong word."""

from __future__ import annotations

from collections.abc import Iterable


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 file`, `2,000 files`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def verb(count: int, singular: str, plural: str) -> str:
    """Return the verb that agrees with a count: `is` or `are`."""
    return singular if count == 1 else plural


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return a hint at the valid word nearest to `word`, empty if none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(valid), 1)
    return f"; did you mean {near[0]}?" if near else ""
