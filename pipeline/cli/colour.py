"""Decide whether output may have colours: by `--color`, NO_COLOR or terminal."""

from __future__ import annotations

import os
from typing import IO

WHEN = ("auto", "always", "never")


def choose(when: str) -> None:
    """Set the environment variable NO_COLOR or FORCE_COLOR, as `when` says.

    The library rich reads the same variables."""
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
