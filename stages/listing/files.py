"""Find the files below a root: one `os.scandir` per folder, one `stat` per file.

Names are bytes, so that names that are not UTF-8 need no special case. Symbolic links below a root are left out, or
followed with `follow_links`; the root itself may be a link. A link is left out if its file is found without the
link, or through an earlier link: one file is one image. Each hard link is an image of its own. The files found are
stored in columns of some hundred bytes per file, not in objects."""

from __future__ import annotations

import errno
import heapq
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from stages.decoding.location import is_container
from stages.decoding.sources import in_range
from stages.listing.companions import FoundCompanions
from stages.listing.containers import Container, Members, listed
from stages.listing.known import KnownContainers
from stages.listing.layouts import dataset_files, is_of_img2dataset
from stages.listing.listed_images import add_list
from stages.listing.lists import is_list
from stages.listing.path_text import show
from stages.listing.patterns import has_pattern
from stages.listing.rules import InputMarks, ListingRules
from stages.listing.table import FileColumns, FileTable
from stages.listing.urls import find_urls, is_url
from stages.listing.values import ValuesBeside, folder_values

logger = logging.getLogger("fast_diff")

NOT_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR})
"""Errors of an entry that is not a file: the entry vanished, or is a broken or circular link."""


def find(
    roots: Sequence[str],
    rules: ListingRules,
    marks: InputMarks | None = None,
    report: Callable[[int], None] = lambda count: None,
    known: KnownContainers | None = None,
) -> FileTable:
    """Return the files of one set, each once, although several roots or links may lead to one file.

    An unreadable folder is left out with a warning.

    marks   settings of single roots in the config
    report  called with the number of files of each folder
    known   containers that need not be opened

    Raises:
        OSError: a root can't be read, or is neither a folder nor a file."""
    names = sorted(map(os.fsencode, roots), key=len)
    walk = _Walk(rules, marks or InputMarks(), report, known)
    single: dict[bytes, list[bytes]] = {}
    for number, root in enumerate(names):
        if is_url(root):
            walk.at_url(root, number)
        elif os.path.isdir(root):
            os.scandir(root).close()
            walk.at_folder(root, number)
        else:
            found = os.stat(root)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a folder and not a file", root)
            walk.file(root, number, found)
            single.setdefault(os.path.dirname(root), []).append(root)
    for folder, paths in single.items():
        walk.companions.add_beside(folder, paths)
    walk.warn()
    _add_linked(walk)
    return walk.columns.table(names, walk.tags, walk.companions.names)


def _add_linked(walk: _Walk) -> None:
    """Add the files that only links lead to, each once, under the first link in path order."""
    if not walk.linked:
        return
    paths, containers = walk.columns.paths().to_pylist(), walk.columns.numbers[-1]
    known = {os.path.realpath(path) for path, inside in zip(paths, containers, strict=True) if inside < 0}
    for path, root, found in sorted(walk.linked, key=lambda each: each[0]):
        target = os.path.realpath(path)
        if target not in known:
            known.add(target)
            walk.columns.add([path], root, [found])


class _Walk:
    """A walk through folders that lists each folder once.

    Folders without links come first, then linked folders in path order. This order makes the choice among several links
    to one folder independent of the order of a listing, and ends circular links."""

    def __init__(
        self,
        rules: ListingRules,
        marks: InputMarks,
        report: Callable[[int], None],
        known: KnownContainers | None,
    ) -> None:
        self._marks, self._report, self._known = marks, report, known
        self.columns = FileColumns(rules.columns)
        self.linked: list[tuple[bytes, int, os.stat_result]] = []
        self.tags: dict[bytes, str] = {}
        self._values: dict[bytes, ValuesBeside] = {}
        self._rules, self._ignore = rules, rules.ignore()
        self.companions = FoundCompanions(rules.companions, self._ignore)
        self._listed: set[bytes] = set()
        self._unread: Counter[str] = Counter()

    def at_folder(self, root: bytes, number: int) -> None:
        """Add the files below a root, or the containers of a data set."""
        files = dataset_files(root)
        if files is None:
            self._below(root, number, self._rules.archives or is_of_img2dataset(root))
        for path in files or ():
            try:
                self.file(path, number, os.stat(path))
            except OSError as error:
                logger.warning("%s can't be read (%s): a file of the data set is left out", show(path), error.strerror)

    def _below(self, root: bytes, number: int, archives: bool) -> None:
        """Add the files below a folder; with `archives`, the members of containers, too."""
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
            others: list[bytes] = []
            earlier = len(self.linked)
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        try:
                            if self.companions.fits(entry):
                                others.append(entry.name)
                            if linked or entry.is_symlink():
                                self._through_link(entry, number, folders)
                            elif ignore and ignore(entry):
                                continue
                            elif entry.is_dir():
                                if recursive:
                                    heapq.heappush(folders, (False, entry.path))
                            elif wanted(entry.name) or (archives and is_container(entry.name)):
                                if archives and is_container(entry.name) and entry.is_file():
                                    self.file(entry.path, number, entry.stat(), named=False)
                                elif entry.is_file():
                                    found.append(entry.stat())
                                    paths.append(entry.path)
                                else:
                                    self._unread["not a regular file"] += 1
                        except OSError as error:
                            if error.errno not in NOT_THERE:
                                self._unread[error.strerror or str(error)] += 1
            except OSError as error:
                logger.warning("%s can't be listed (%s): its files are left out", show(folder), error.strerror)
            names = self._rules.columns
            self._values |= folder_values(folder, names)
            values = [self._values.get(path, (None,) * len(names)) for path in paths] if self._values else ()
            self.columns.add(paths, number, found, values)
            self._report(len(paths))
            self.companions.add(folder, (*paths, *(path for path, _, _ in self.linked[earlier:])), others)

    def file(self, path: bytes, number: int, found: os.stat_result, named: bool = True) -> None:
        """Add an image file, or the images in a container file or a list."""
        container = Container(path, found.st_size, in_range(found.st_mtime_ns), in_range(found.st_ctime_ns))
        if is_container(path):
            self._open(container, number, named)
        elif is_list(path):
            self._list(container, number)
        else:
            self.columns.add([path], number, [found])

    def _open(self, container: Container, number: int, named: bool = True) -> None:
        found: Iterable[Members] | None = self._known.members(container) if self._known else None
        if found is None:
            column = self._marks.columns.get(container.name.decode("utf-8", "surrogateescape"))
            found = listed(container, self._rules, column, named)
        self.columns.add_members(container, number, self._reported(found))

    def _reported(self, found: Iterable[Members]) -> Iterator[Members]:
        for some in found:
            self._report(len(some.paths))
            yield some

    def _list(self, container: Container, number: int) -> None:
        name = container.name.decode("utf-8", "surrogateescape")
        column, folder = self._marks.columns.get(name), self._marks.folders.get(name)
        self.tags |= add_list(self.columns, container, number, column, folder, self._rules.columns)

    def at_url(self, root: bytes, number: int) -> None:
        """Add the files below a URL."""
        found = find_urls(root.decode(), self._rules, self.companions)
        loose = [each for each in found if not is_container(each.url) and not (each.url == root and is_list(root))]
        self.columns.add([each.url for each in loose], number, [each.stat for each in loose])
        self.tags.update((each.url, each.stamp) for each in loose)
        self._report(len(loose))
        named = root in (each.url for each in found) or has_pattern(root.decode())
        for each in found:
            container = Container(each.url, *each.stat, each.stamp)
            if is_container(each.url):
                self._open(container, number, named)
            elif each.url == root and is_list(root):
                self._list(container, number)

    def _through_link(self, entry: os.DirEntry[bytes], root: int, folders: list[tuple[bool, bytes]]) -> None:
        """Add an entry that is a link, or lies below a link."""
        rules = self._rules
        if not rules.follow_links or (self._ignore and self._ignore(entry)):
            return
        if entry.is_dir():
            if rules.recursive:
                heapq.heappush(folders, (True, entry.path))
        elif rules.wanted(entry.name) and entry.is_file():
            self.linked.append((entry.path, root, entry.stat()))

    def warn(self) -> None:
        """Log how many entries could not be read, and why."""
        for reason, count in self._unread.items():
            logger.warning("files and folders left out: %s (%s)", f"{count:,}", reason)
