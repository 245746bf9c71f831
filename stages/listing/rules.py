"""Decide which files below a folder or a URL count as images."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.store.backends.locations import at_home
from stages.decoding.formats.registry import FORMATS
from stages.decoding.location import is_container

EXTENSIONS = frozenset(ending[1:].encode() for format in FORMATS for ending in format.endings)
"""Endings of files that `scan.extensions: default` counts as images; some formats need an extra."""
DOT = ord(".")
SLASH = ord("/")


class Named(NamedTuple):
    """The name and path of a file or folder, which the rules match."""

    name: bytes
    path: bytes


@dataclass(frozen=True)
class InputMarks:
    """Settings of single inputs in the config, by input.

    columns  the column that holds the images of a table or a list
    folders  the folder at which the relative paths of a list begin"""

    columns: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ListingRules:
    """Rules that decide which files below a root count as images.

    extensions  in lower case, without the dot; None: every file counts
    companions  patterns of the files that belong to an image
    archives    whether container files in folders are opened
    columns     names of the values beside images that the scan also reads"""

    recursive: bool = True
    extensions: frozenset[bytes] | None = EXTENSIONS
    ignore_names: Sequence[str] = ()
    ignore_paths: Sequence[str] = ()
    follow_links: bool = False
    companions: Sequence[str] = ()
    archives: bool = False
    columns: Sequence[str] = ()

    def ignore(self) -> Callable[[os.DirEntry[bytes] | Named], bool] | None:
        """Return a function that returns whether to ignore a file or folder, by its name and its path.

        Returns None where nothing is ignored."""
        names, paths = _expression(self.ignore_names), _expression(map(_absolute, self.ignore_paths))
        if names is None and paths is None:
            return None
        return lambda entry: bool(
            (names and names.match(_text(entry.name))) or (paths and paths.match(_text(entry.path)))
        )

    def wanted(self, name: bytes) -> bool:
        """Return whether a file with this name counts as an image."""
        if self.extensions is None:
            return True
        dot = name.rfind(b".")
        return dot > 0 and _lower(name[dot + 1 :]) in self.extensions and (name[0] != DOT or b"." in name.lstrip(b"."))

    def below(self, root: bytes) -> Callable[[bytes], bool]:
        """Return a function that returns whether a file counts as an image, by its name relative to `root`.

        An ignored folder excludes its content."""
        ignore = self.ignore()
        left_out: dict[bytes, bool] = {b"": False}

        def ignored(name: bytes) -> bool:
            return bool(ignore and ignore(Named(name.rpartition(b"/")[2], root + b"/" + name)))

        def out(name: bytes) -> bool:
            folder = name.rpartition(b"/")[0]
            if folder not in left_out:  # a loop, not recursion, since names inside containers may be of any depth
                ends = [place for place, byte in enumerate(folder) if byte == SLASH]
                for end in (*ends, len(folder)):
                    left_out[folder[:end]] = left_out[folder[:end].rpartition(b"/")[0]] or ignored(folder[:end])
            return left_out[folder] or ignored(name)

        def counts(name: bytes) -> bool:
            deep = not self.recursive and b"/" in name
            opened = self.archives and is_container(name)
            return not deep and (opened or self.wanted(name.rpartition(b"/")[2])) and not (ignore and out(name))

        return counts


def _lower(ending: bytes) -> bytes:
    return ending.lower() if ending.isascii() else os.fsencode(os.fsdecode(ending).lower())


def _expression(patterns: Iterable[str]) -> re.Pattern[str] | None:
    either = "|".join(f"(?:{fnmatch.translate(unicodedata.normalize('NFC', pattern))})" for pattern in patterns)
    return re.compile(either, re.DOTALL) if either else None


def _text(name: bytes) -> str:
    """Return a name as text in Unicode form NFC, the form of the patterns.

    In NFC, `?` matches a character however the name stores its accent; `?` also matches a byte that is not UTF-8."""
    return unicodedata.normalize("NFC", os.fsdecode(name))


def _absolute(pattern: str) -> str:
    return pattern if pattern.startswith("*") or "://" in pattern else os.path.abspath(at_home(pattern))
