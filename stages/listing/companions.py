"""Find the companions of images: files that belong to an image by their names.

A pattern is `<name>` or `<stem>` followed by an ending, or `<takeout>.json`, see `stages.listing.takeout`. `<name>` is
the whole name of an image, `<stem>` the name without its extension. The ending `.<raw>` stands for the endings of
camera RAW files. An image's extension and the endings of patterns match in upper and lower case; the stem must match
exactly."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from stages.decoding.formats.registry import RAW
from stages.listing import takeout
from stages.listing.path_text import show
from stages.listing.rules import Named

logger = logging.getLogger("fast_diff")

Ignore: TypeAlias = Callable[[os.DirEntry[bytes] | Named], bool]
"""A function that returns whether to ignore an entry of a folder."""
NAME, STEM = "<name>", "<stem>"
ANY_RAW = ".<raw>"
TAKEOUT = "<takeout>.json"
DEFAULT = (
    *("<name>.xmp", "<stem>.xmp", "<stem>.aae", "<name>.json", "<name>.supplemental-metadata.json", TAKEOUT),
    *("<stem>.<raw>", "<stem>.mov", "<stem>.thm", "<name>.pp3", "<name>.dop"),
)
"""Sidecars of XMP programs, edits of Apple's Photos, JSON of Google Takeout, camera RAW, videos of Live Photos,
previews of cameras, and sidecars of RawTherapee and DxO."""
NAME_SEPARATOR = "/"
"""Separator of the names in the image table's column `companions`; no file name holds a slash."""


def checked(pattern: str) -> str:
    """Return a pattern if it is valid, else raise ValueError."""
    if pattern == TAKEOUT:
        return pattern
    ending = next((pattern.removeprefix(start) for start in (NAME, STEM) if pattern.startswith(start)), "")
    if len(ending) < 2 or ending[0] != "." or any(sign in ending.removesuffix(ANY_RAW) for sign in "/\0<>*?"):
        raise ValueError(f"expected <stem> or <name> and an ending, such as <stem>.xmp, or {TAKEOUT}, got {pattern!r}")
    return pattern


class CompanionRules:
    """Patterns that decide which files of a folder are companions of which images; names are bytes."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._endings: dict[bytes, list[tuple[bool, bytes]]] = {}
        """Patterns by the last extension of their ending: whether the pattern begins with <name>, and the ending."""
        patterns = tuple(patterns)
        self._takeout = TAKEOUT in patterns
        if self._takeout:
            self._endings[takeout.ENDING.encode()] = []
        for pattern in patterns:
            if pattern == TAKEOUT:
                continue
            whole, tail = pattern.startswith(NAME), pattern[len(NAME) :]
            endings = [tail.removesuffix(ANY_RAW) + raw for raw in RAW.endings] if tail.endswith(ANY_RAW) else [tail]
            for ending in (os.fsencode(each).lower() for each in endings):
                last = ending[ending.rfind(b".") :]
                self._endings.setdefault(last, []).append((whole, ending))

    def fits(self, name: bytes) -> bool:
        """Return whether a file with this name may be a companion, by its extension."""
        return name[name.rfind(b".") :].lower() in self._endings

    def of(self, images: Iterable[bytes], others: Iterable[bytes]) -> dict[bytes, list[bytes]]:
        """Return the sorted companions of each image that has companions; all files are in one folder."""
        images, others = list(images), list(others)
        by_stem: dict[bytes, list[bytes]] = {}
        by_name: dict[bytes, list[bytes]] = {}
        for name in others:
            lower = name.lower()
            for whole, ending in self._endings.get(lower[lower.rfind(b".") :], ()):
                if lower.endswith(ending) and len(name) > len(ending):
                    base = name[: -len(ending)]
                    held, key = (by_name, _key(base)) if whole else (by_stem, base)
                    held.setdefault(key, []).append(name)
        found: dict[bytes, list[bytes]] = {}
        written = dict(takeout.json_of(images, others)) if self._takeout else {}
        for image in images:
            names = {*by_stem.get(stem_of(image), ()), *by_name.get(_key(image), ()), *written.get(image, ())} - {image}
            if names:
                found[image] = sorted(names)
        return found


def stem_of(name: bytes) -> bytes:
    """Return a name without its extension."""
    dot = name.rfind(b".")
    return name[:dot] if dot > 0 else name


def _key(name: bytes) -> bytes:
    """Return a name with its extension in lower case."""
    stem = stem_of(name)
    return stem + name[len(stem) :].lower()


def kind_of(name: bytes) -> str:
    """Return the kind of a companion: `raw` for camera RAW, else the extension in lower case."""
    ending = os.fsdecode(name[name.rfind(b".") :].lower())
    return "raw" if ending in RAW.endings else ending.lstrip(".")


class FoundCompanions:
    """The companions of images, found in listings of folders.

    names  values of the column `companions`, by the path of each image with companions"""

    def __init__(self, patterns: Iterable[str], ignore: Ignore | None) -> None:
        self.names: dict[bytes, str] = {}
        self._rules, self._ignore = CompanionRules(patterns), ignore

    def fits(self, entry: os.DirEntry[bytes]) -> bool:
        """Return whether an entry may be a companion.

        A companion is a regular file, which the directory entry tells without a `stat`."""
        fits = self._rules.fits(entry.name) and entry.is_file(follow_symlinks=False)
        return fits and not (self._ignore and self._ignore(entry))

    def add(self, folder: bytes, paths: Sequence[bytes], others: Sequence[bytes]) -> None:
        """Add the companions of images in one folder.

        paths   paths of the images
        others  names of the other files in the folder"""
        if others:
            images = [path.rpartition(b"/")[2] for path in paths]
            for name, names in self._rules.of(images, others).items():
                self.names[os.path.join(folder, name)] = NAME_SEPARATOR.join(map(show, names))

    def add_below(self, root: bytes, images: Iterable[bytes], files: Iterable[bytes]) -> None:
        """Add the companions among the files below a URL. Names are relative to `root`."""
        inside: dict[bytes, tuple[list[bytes], list[bytes]]] = {}
        for name in images:
            inside.setdefault(name[: name.rfind(b"/") + 1], ([], []))[0].append(name)
        for name in files:
            folder, last = name[: name.rfind(b"/") + 1], name.rpartition(b"/")[2]
            ignored = self._ignore and self._ignore(Named(last, root + b"/" + name))
            if folder in inside and self._rules.fits(last) and not ignored:
                inside[folder][1].append(last)
        for folder, (paths, others) in inside.items():
            self.add(root + b"/" + folder, paths, others)

    def add_beside(self, folder: bytes, paths: Sequence[bytes]) -> None:
        """Add the companions of images that are inputs, since the walk does not list their folders."""
        try:
            with os.scandir(folder) as entries:
                others = [entry.name for entry in entries if self.fits(entry)]
        except OSError as error:
            logger.warning("%s can't be listed (%s): companions are left out", show(folder), error.strerror)
        else:
            self.add(folder, paths, others)
