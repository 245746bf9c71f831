"""Find the files below a root; one `os.scandir` per folder, one `stat` per file.

Names are bytes throughout, so that a name which is no UTF-8 is a name like any other. Symbolic links below a root
are left out, or followed with `follow_links`; the root itself may be one. A link that leads to a file which is also
found without it, or through an earlier link, is left out: one file is one image. Hard links are two names of equal
standing, hence two images.
"""

from __future__ import annotations

import fnmatch
import hashlib
import heapq
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

logger = logging.getLogger("fast_diff")

EXTENSIONS = frozenset(
    b".avif .avifs .bmp .cur .dds .dib .gif .heic .heif .ico .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .jxl "
    b".mpo .pbm .pcx .pgm .png .pnm .ppm .psd .sgi .tga .tif .tiff .webp .xbm .xpm".split()
)
"""Endings that `scan.extensions: default` takes for images."""


@dataclass(frozen=True, slots=True)
class Found:
    """One file: its path, and what identifies its state."""

    path: bytes
    root: bytes
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Rules:
    """Which files below a root count. `extensions` are lower case with their dot; None takes every file."""

    recursive: bool = True
    extensions: frozenset[bytes] | None = EXTENSIONS
    ignore_names: Sequence[str] = ()
    ignore_paths: Sequence[str] = ()
    follow_links: bool = False

    def ignore(self) -> Callable[[os.DirEntry[bytes]], bool]:
        """Whether a file or folder is to be left out: by its name, or by its whole path."""
        names, paths = _expression(self.ignore_names), _expression(map(_absolute, self.ignore_paths))
        return lambda entry: bool((names and names.match(entry.name)) or (paths and paths.match(entry.path)))

    def wanted(self, name: bytes) -> bool:
        """Whether a file of this name counts as an image."""
        return self.extensions is None or os.path.splitext(name)[1].lower() in self.extensions


def _expression(patterns: Iterable[str]) -> re.Pattern[bytes] | None:
    either = "|".join(f"(?:{fnmatch.translate(pattern)})" for pattern in patterns)
    return re.compile(os.fsencode(either), re.DOTALL) if either else None


def _absolute(pattern: str) -> str:
    return pattern if pattern.startswith("*") else os.path.abspath(os.path.expanduser(pattern))


def find(roots: Sequence[str], rules: Rules) -> list[Found]:
    """Files of one set, sorted by the bytes of their paths, each once however many roots or links lead to it.

    A folder that can't be read is left out and said so, as a warning. Raises OSError for a root that can't be."""
    ignore = rules.ignore()
    found: dict[bytes, Found] = {}
    linked: list[Found] = []
    listed: set[bytes] = set()
    for root in sorted(map(os.fsencode, roots), key=len):
        if os.path.isdir(root):
            os.scandir(root).close()
            for file, through_link in _below(root, rules, ignore, listed):
                if through_link:
                    linked.append(file)
                else:
                    found.setdefault(file.path, file)
        else:
            found.setdefault(root, _file(root, root, os.stat(root)))
    files = list(found.values()) + _new_through_links(linked, found)
    return sorted(files, key=lambda file: file.path)


def _below(
    root: bytes, rules: Rules, ignore: Callable[[os.DirEntry[bytes]], bool], listed: set[bytes]
) -> Iterator[tuple[Found, bool]]:
    # Folders without links come first, then the others in the order of their paths: so it does not depend on the
    # order in which a folder is listed which of several links to one folder is taken, and no circle is walked twice.
    folders = [(False, root)]
    entered: set[bytes] = set()
    while folders:
        linked, folder = heapq.heappop(folders)
        if folder in listed:
            continue
        listed.add(folder)
        if rules.follow_links:
            real = os.path.realpath(folder)
            if linked and real in entered:
                continue
            entered.add(real)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    through_link = linked or entry.is_symlink()
                    if (entry.is_symlink() and not rules.follow_links) or ignore(entry):
                        continue
                    try:
                        if entry.is_dir():
                            if rules.recursive:
                                heapq.heappush(folders, (through_link, entry.path))
                        elif rules.wanted(entry.name) and entry.is_file():
                            yield _file(entry.path, root, entry.stat()), through_link
                    except OSError:
                        continue  # gone, or a link to nowhere: there is no file
        except OSError as error:
            logger.warning("%s can't be listed (%s): what lies in it is left out", show(folder), error.strerror)


def _file(path: bytes, root: bytes, stat: os.stat_result) -> Found:
    return Found(path, root, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _new_through_links(linked: Sequence[Found], found: dict[bytes, Found]) -> list[Found]:
    """Of the files reached through links, those that are not found otherwise; the first link wins."""
    real = {os.path.realpath(path) for path in found} if linked else set()
    new = []
    for file in sorted(linked, key=lambda file: file.path):
        target = os.path.realpath(file.path)
        if target not in real:
            real.add(target)
            new.append(file)
    return new


def stamp(file: Found, trust: str) -> str:
    """What must stay equal for a file to count as unchanged. Raises OSError where the bytes can't be read."""
    if trust == "bytes":
        with open(file.path, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    return str(file.ctime_ns if trust == "ctime" else file.mtime_ns)


def show(path: bytes) -> str:
    """A path as text: bytes that are no UTF-8 are escaped."""
    return path.decode("utf-8", "backslashreplace")
