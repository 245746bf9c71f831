"""Which files below a folder or a URL count as images."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stages.decoding.formats.registry import FORMATS

EXTENSIONS = frozenset(ending[1:].encode() for format in FORMATS for ending in format.endings)
"""Endings that `scan.extensions: default` takes for images; some need an extra to be read, and say so."""
DOT = ord(".")


class Named(NamedTuple):
    """What a rule looks at."""

    name: bytes
    path: bytes


@dataclass(frozen=True)
class Rules:
    """Which files below a root count. `extensions` are lower case, without their dot; None takes every file."""

    recursive: bool = True
    extensions: frozenset[bytes] | None = EXTENSIONS
    ignore_names: Sequence[str] = ()
    ignore_paths: Sequence[str] = ()
    follow_links: bool = False

    def ignore(self) -> Callable[[os.DirEntry[bytes] | Named], bool] | None:
        """Whether a file or folder is to be left out: by its name, or by its whole path. None: none is."""
        names, paths = _expression(self.ignore_names), _expression(map(_absolute, self.ignore_paths))
        if names is None and paths is None:
            return None
        return lambda entry: bool(
            (names and names.match(_text(entry.name))) or (paths and paths.match(_text(entry.path)))
        )

    def wanted(self, name: bytes) -> bool:
        """Whether a file of this name counts as an image."""
        if self.extensions is None:
            return True
        dot = name.rfind(b".")
        return dot > 0 and _lower(name[dot + 1 :]) in self.extensions and (name[0] != DOT or b"." in name.lstrip(b"."))


def _lower(ending: bytes) -> bytes:
    return ending.lower() if ending.isascii() else os.fsencode(os.fsdecode(ending).lower())


def _expression(patterns: Iterable[str]) -> re.Pattern[str] | None:
    either = "|".join(f"(?:{fnmatch.translate(unicodedata.normalize('NFC', pattern))})" for pattern in patterns)
    return re.compile(either, re.DOTALL) if either else None


def _text(name: bytes) -> str:
    """Return a name in NFC, as patterns are matched: `?` matches a composed or decomposed character, or a raw byte."""
    return unicodedata.normalize("NFC", os.fsdecode(name))


def _absolute(pattern: str) -> str:
    return pattern if pattern.startswith("*") or "://" in pattern else os.path.abspath(os.path.expanduser(pattern))
