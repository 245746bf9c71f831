"""Find the files below a root; one `os.scandir` per folder, one `stat` per file. URLs: `urls.py`.

Names are bytes throughout, so that a name which is no UTF-8 is a name like any other. Symbolic links below a root
are left out, or followed with `follow_links`; the root itself may be one. A link that leads to a file which is also
found without it, or through an earlier link, is left out: one file is one image. Hard links are two names of equal
standing, hence two images. What is listed stands in columns, some hundred bytes a file, and not in objects.
"""

from __future__ import annotations

import array
import errno
import hashlib
import heapq
import logging
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.decoding.reading import in_range, read_url
from stages.listing.rules import Rules
from stages.listing.urls import Stat, find_urls, is_url

logger = logging.getLogger("fast_diff")

GONE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR})
"""What an entry ends in that is no file: it went away, or is a link to nowhere or to itself."""
PIECE = 1 << 16
"""Paths that stand as Python objects at a time."""


@dataclass(frozen=True)
class Files:
    """Files of one set in the order of their paths' bytes, each once: columns of one length.

    `paths` are bytes; `root` counts in `roots`, the inputs under which they were found; times are in nanoseconds.
    `tags` are the stamps of URLs, by these."""

    paths: pa.LargeBinaryArray
    roots: Sequence[bytes]
    root: NDArray[np.int32]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    ctimes: NDArray[np.int64]
    tags: Mapping[bytes, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def empty(self) -> list[bytes]:
        """Roots in which nothing was found, but for those that lie in others, whose files count there."""
        true = {root: (root if is_url(root) else os.path.realpath(root)).rstrip(b"/") + b"/" for root in self.roots}
        counts = np.bincount(self.root, minlength=len(self.roots)).tolist()
        full = tuple(true[root] for root, count in zip(self.roots, counts, strict=True) if count)
        return [root for root in self.roots if not true[root].startswith(full)]


def _times(found: list[int]) -> array.array[int]:
    try:
        return array.array("q", found)
    except OverflowError:
        return array.array("q", map(in_range, found))


class _Columns:
    """What is found, in the order of its coming."""

    def __init__(self) -> None:
        self._pieces: list[pa.Array] = []
        self._paths: list[bytes] = []
        self.numbers = [array.array("q") for _ in range(4)]

    def add(self, paths: Sequence[bytes], root: int, found: Sequence[os.stat_result | Stat]) -> None:
        self._paths += paths
        roots, sizes, mtimes, ctimes = self.numbers
        roots.extend([root] * len(found))
        sizes.extend([each.st_size for each in found])
        mtimes.extend(_times([each.st_mtime_ns for each in found]))
        ctimes.extend(_times([each.st_ctime_ns for each in found]))
        if len(self._paths) >= PIECE:
            self._flush()

    def _flush(self) -> None:
        self._pieces.append(pa.array(self._paths, pa.large_binary()))
        self._paths = []

    def paths(self) -> pa.LargeBinaryArray:
        """The paths so far; they are let go here."""
        self._flush()
        whole, self._pieces = pa.concat_arrays(self._pieces), []
        return whole


def find(roots: Sequence[str], rules: Rules) -> Files:
    """Files of one set, each once however many roots or links lead to it.

    A folder that can't be read is left out and said so, as a warning. Raises OSError for a root that can't be, and for
    one that is neither a folder nor a file."""
    names = sorted(map(os.fsencode, roots), key=len)
    walk = _Walk(rules)
    for number, root in enumerate(names):
        if is_url(root):
            walk.at_url(root, number)
        elif os.path.isdir(root):
            os.scandir(root).close()
            walk.below(root, number)
        else:
            found = os.stat(root)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is neither a folder nor a file", root)
            walk.columns.add([root], number, [found])
    walk.warn()
    return _ordered(names, walk)


def _ordered(roots: Sequence[bytes], walk: _Walk) -> Files:
    paths = walk.columns.paths()
    if walk.linked:
        known = {os.path.realpath(path) for path in paths.to_pylist()}
        for path, root, found in sorted(walk.linked, key=lambda each: each[0]):  # the first link to a file wins
            target = os.path.realpath(path)
            if target not in known:
                known.add(target)
                walk.columns.add([path], root, [found])
        paths = pa.concat_arrays([paths, walk.columns.paths()])
    order = pc.array_sort_indices(paths)
    paths = paths.take(order)
    numbers = order.to_numpy()
    if len(paths) > 1:  # a file may be an input itself, and lie in another one
        again = np.append(False, pc.equal(paths[1:], paths[:-1]).to_numpy(zero_copy_only=False))
        if again.any():
            paths, numbers = paths.filter(pa.array(~again)), numbers[~again]
    columns = walk.columns.numbers
    root, sizes, mtimes, ctimes = (np.frombuffer(columns.pop(0), np.int64)[numbers] for _ in range(len(columns)))
    return Files(paths, roots, root.astype(np.int32), sizes, mtimes, ctimes, walk.tags)


class _Walk:
    """Goes through folders; each is listed once.

    Folders without links come first, then the others in the order of their paths: so it does not depend on the order in
    which a folder is listed which of several links to one folder is taken, and no circle is walked twice."""

    def __init__(self, rules: Rules) -> None:
        self.columns = _Columns()
        self.linked: list[tuple[bytes, int, os.stat_result]] = []
        self.tags: dict[bytes, str] = {}
        self._rules, self._ignore = rules, rules.ignore()
        self._listed: set[bytes] = set()
        self._unread: Counter[str] = Counter()

    def below(self, root: bytes, number: int) -> None:
        """Take in what lies below a root."""
        ignore, recursive, wanted = self._ignore, self._rules.recursive, self._rules.wanted
        folders = [(False, root)]
        entered: set[bytes] = set()
        while folders:
            linked, folder = heapq.heappop(folders)
            if folder in self._listed:
                continue
            self._listed.add(folder)
            if self._rules.follow_links:
                real = os.path.realpath(folder)
                if linked and real in entered:
                    continue
                entered.add(real)
            paths: list[bytes] = []
            found: list[os.stat_result] = []
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        try:
                            if linked or entry.is_symlink():
                                self._through_link(entry, number, folders)
                            elif ignore and ignore(entry):
                                continue
                            elif entry.is_dir():
                                if recursive:
                                    heapq.heappush(folders, (False, entry.path))
                            elif wanted(entry.name):
                                if entry.is_file():
                                    found.append(entry.stat())
                                    paths.append(entry.path)
                                else:
                                    self._unread["not a regular file"] += 1
                        except OSError as error:
                            if error.errno not in GONE:
                                self._unread[error.strerror or str(error)] += 1
            except OSError as error:
                logger.warning("%s can't be listed (%s): what lies in it is left out", show(folder), error.strerror)
            self.columns.add(paths, number, found)

    def at_url(self, root: bytes, number: int) -> None:
        """Take in what lies below a URL."""
        found = find_urls(root.decode(), self._rules)
        self.columns.add([each.url for each in found], number, [each.stat for each in found])
        self.tags.update((each.url, each.stamp) for each in found)

    def _through_link(self, entry: os.DirEntry[bytes], root: int, folders: list[tuple[bool, bytes]]) -> None:
        """An entry that is a link, or lies below one."""
        rules = self._rules
        if not rules.follow_links or (self._ignore and self._ignore(entry)):
            return
        if entry.is_dir():
            if rules.recursive:
                heapq.heappush(folders, (True, entry.path))
        elif rules.wanted(entry.name) and entry.is_file():
            self.linked.append((entry.path, root, entry.stat()))

    def warn(self) -> None:
        """Say how many entries could not even be looked at, and why."""
        for reason, count in self._unread.items():
            logger.warning("%s files or folders are left out: %s", f"{count:,}", reason)


def stamps(files: Files, trust: str) -> pa.StringArray:
    """What must stay equal for each file to count as unchanged; empty where the bytes can't be read: the thumbnail
    stage will meet the same error, and record it."""
    if trust == "bytes":
        return pa.array([_digest(path) for path in files.paths.to_pylist()], pa.string())
    stamped = pc.cast(pa.array(files.ctimes if trust == "ctime" else files.mtimes), pa.string())
    if files.tags:
        tags = pa.array([files.tags.get(path) for path in files.paths.to_pylist()], pa.string())
        stamped = pc.coalesce(tags, stamped)
    return stamped


def _digest(path: bytes) -> str:
    try:
        if is_url(path):
            return hashlib.sha256(read_url(path.decode())[0]).hexdigest()
        with open(path, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def texts(paths: pa.LargeBinaryArray) -> tuple[pa.LargeStringArray, pa.LargeBinaryArray | None]:
    """Paths as text, bytes that are no UTF-8 escaped; and the true names of those, null elsewhere (None: there are no
    such names)."""
    try:
        return paths.cast(pa.large_string()), None
    except pa.ArrowInvalid:
        names = paths.to_pylist()
        shown = [show(name) for name in names]
        true = [None if text.encode() == name else name for text, name in zip(shown, names, strict=True)]
        return pa.array(shown, pa.large_string()), pa.array(true, pa.large_binary())


def show(path: bytes) -> str:
    """A path as text: bytes that are no UTF-8 are escaped."""
    return path.decode("utf-8", "backslashreplace")
