"""Free names in a folder, and temporary names."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

LONGEST = 255
"""Maximal length of a file name in bytes on nearly all file systems."""
LONG_ENDING = 20
"""Greatest length of an extension in bytes; a longer extension counts as part of the stem."""
OURS = re.compile(r"\.fast-diff-[0-9a-f]{32}")
"""Pattern of this program's temporary names."""


def temporary(path: Path) -> Path:
    """Return a new temporary path in a file's folder."""
    return path.with_name(f".fast-diff-{uuid.uuid4().hex}")


def free(name: str, is_taken: Callable[[str], bool], longest: int = LONGEST) -> str:
    """Return a free name of at most `longest` bytes, with a number if necessary."""
    number, found = 1, numbered(name, 1, longest)
    while is_taken(found):
        number += 1
        found = numbered(name, number, longest)
    return found


def free_together(stem: str, endings: Sequence[str], is_taken: Callable[[str], bool]) -> str:
    """Return a stem with which all names are free.

    The stem gets a number if necessary, and is cut if a name would be too long."""
    room = LONGEST - max(len(os.fsencode(ending)) for ending in endings)
    number, found = 1, _cut(os.fsencode(stem), b"", room)
    while any(is_taken(found + ending) for ending in endings):
        number += 1
        found = _cut(os.fsencode(stem), f" ({number})".encode(), room)
    return found


def numbered(name: str, number: int, longest: int = LONGEST) -> str:
    """Return a name with a number above 1 before its extension, cut if too long."""
    stem, ending = os.fsencode(Path(name).stem), os.fsencode(Path(name).suffix)
    if len(ending) > LONG_ENDING:
        stem, ending = stem + ending, b""
    return _cut(stem, (f" ({number})".encode() if number > 1 else b"") + ending, longest)


def _cut(stem: bytes, tail: bytes, longest: int) -> str:
    """Return `stem` and `tail` as a name of at most `longest` bytes.

    The stem is cut between characters."""
    end = longest - len(tail)
    if len(stem) > end:
        while end and stem[end] & 0xC0 == 0x80:  # within a character of UTF-8
            end -= 1
        stem = stem[:end]
    return os.fsdecode(stem + tail)
