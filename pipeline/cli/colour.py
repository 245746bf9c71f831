"""Decide from `--color`, NO_COLOR and the terminal whether output has colours."""

from __future__ import annotations

import os
from typing import IO

WHEN = ("auto", "always", "never")


def choose(when: str) -> None:
    """Set NO_COLOR or FORCE_COLOR for a value of `--color`; auto changes nothing.

    The library rich reads the same environment variables."""
    if when == "never":
        os.environ["NO_COLOR"] = "1"
        os.environ.pop("FORCE_COLOR", None)
    elif when == "always":
        os.environ["FORCE_COLOR"] = "1"
        os.environ.pop("NO_COLOR", None)


def wanted(stream: IO[str] | None) -> bool:
    """Return whether text for a stream may have colours."""
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
