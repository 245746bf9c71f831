"""Names for files that come to a folder where others are."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path

LONGEST = 255
"""Bytes that a name may have on nearly all file systems."""
LONG_ENDING = 20
"""An ending of more bytes is taken for a part of the name."""
OURS = re.compile(r"\.fast-diff-[0-9a-f]{32}")
"""Names that this program alone gives to files, for a moment."""


def temporary(path: Path) -> Path:
    """Return a new name of our own beside a file."""
    return path.with_name(f".fast-diff-{uuid.uuid4().hex}")


def free(name: str, is_taken: Callable[[str], bool], longest: int = LONGEST) -> str:
    """Return the name, or one like it, that is not taken and has at most so many bytes."""
    number, found = 1, numbered(name, 1, longest)
    while is_taken(found):
        number += 1
        found = numbered(name, number, longest)
    return found


def numbered(name: str, number: int, longest: int = LONGEST) -> str:
    """Return a name with a number before its ending, but for the first; cut between two characters if too long."""
    stem, ending = os.fsencode(Path(name).stem), os.fsencode(Path(name).suffix)
    if len(ending) > LONG_ENDING:
        stem, ending = stem + ending, b""
    tail = (f" ({number})".encode() if number > 1 else b"") + ending
    end = longest - len(tail)
    if len(stem) > end:
        while end and stem[end] & 0xC0 == 0x80:  # within a character of UTF-8
            end -= 1
        stem = stem[:end]
    return os.fsdecode(stem + tail)
