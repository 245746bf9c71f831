"""Check the kept images of a cluster.

Before another image is removed, one kept image must be present and unchanged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, Version, version
from stages.commands.plan.plan_file import Group, PlannedFile, container_of, is_local, path_of
from stages.comparing.text import one_line
from stages.decoding.sources import in_range
from stages.listing.path_text import show

NONE = "no kept image is present and unchanged"
SECOND = 10**9
Trait: TypeAlias = tuple[str | int, ...]
"""The name of a kind of facts, and these facts about a file. Paths with equal traits may lead to one file."""


@dataclass(frozen=True)
class KeptImage:
    """The first kept image of a cluster that is present and unchanged.

    kept  all kept images of the cluster"""

    path: Path
    version: Version
    digest: str
    kept: KeptImages

    def guard(self, removed: Version) -> Callable[[], None]:
        """Record the state of kept images before the file `removed` is set aside.

        Returns a function to call afterwards, which raises ActRefused if a kept image has changed: then both paths lead
        to one file. Raises ActRefused if the keeper has changed already."""
        before = {path: _look(path) for path in (self.path, *self.kept.alike(removed))}
        if before[self.path][:4] != self.version:
            raise ActRefused(NONE)

        def look_again() -> None:
            for path, state in before.items():
                now = _look(path)
                if now != state and not (
                    now[:4] == state[:4] and now[:2] == removed[:2]
                ):  # making or removing a hard link changes the ctime
                    raise ActRefused(
                        f"the kept image {one_line(show(os.fsencode(path)))} changed when this file was moved"
                    )

        return look_again


class KeptImages:
    """The kept images of a cluster."""

    def __init__(self, group: Group) -> None:
        local = [file for file in group.keep if is_local(file)]
        self._local = [file for file in local if container_of(file) is None]
        self._inside = len(self._local) < len(local)
        self._last: KeptImage | None = None

    def find(self) -> KeptImage:
        """Return the first kept image that is present and unchanged.

        The bytes of an image are read once per version. Raises ActRefused if no image is left."""
        if not self._local and self._inside:
            raise ActRefused(
                "every kept image is inside a container, and apply does not check images inside containers"
            )
        if not self._local:
            raise ActRefused("every kept image is on an object store; apply works on this machine's disks only")
        with contextlib.suppress(OSError):
            if self._last and version(self._last.path.lstat()) == self._last.version:
                return self._last
        for file in self._local:
            path = path_of(file)
            with contextlib.suppress(OSError, ActRefused), _folder(path.parent) as folder:
                found, digest = folder.digest(path.name)
                if (found.st_size, digest) == (file.bytes, file.digest):
                    self._last = KeptImage(path, version(found), digest, self)
                    return self._last
        raise ActRefused(NONE)

    def refuse(self, path: Path, found: os.stat_result) -> None:
        """Raise ActRefused if a file to remove is a kept image under another path.

        A link, a mount, a second file system or another case of letters gives a file two paths. A hard link to a kept
        image may be removed. Raises OSError."""
        for other, _ in self._found.get(_inode(found), ()):
            if found.st_nlink == 1 or path.resolve() == other.resolve() or _same_name(path, other):
                raise ActRefused("the file is a kept image under another path")
        for other, kept in self._found.get(_times(found), ()):
            if _inode(kept) != _inode(found):
                name = one_line(show(os.fsencode(other)))
                raise ActRefused(f"the file has the size and all times of the kept image {name}: both may be one file")

    def alike(self, removed: Version) -> list[Path]:
        """Return kept images on other disks with the size and time of a file."""
        found = self._found.get(("moment", removed[2], removed[3] // SECOND), ())
        return [path for path, kept in found if kept.st_dev != removed[0]]

    @cached_property
    def _found(self) -> Mapping[Trait, Sequence[tuple[Path, os.stat_result]]]:
        """Return the present kept images by trait.

        The traits are: inode; size and times; size and time in whole seconds."""
        index: dict[Trait, list[tuple[Path, os.stat_result]]] = {}
        for path in map(path_of, self._local):
            with contextlib.suppress(OSError):
                found = path.stat()
                moment = ("moment", found.st_size, found.st_mtime_ns // SECOND)
                for trait in (_inode(found), _times(found), moment):
                    index.setdefault(trait, []).append((path, found))
        return index


def _same_name(path: Path, other: Path) -> bool:
    return path.parent.samefile(other.parent) and path.name.casefold() == other.name.casefold()


def _inode(found: os.stat_result) -> Trait:
    return "inode", found.st_dev, found.st_ino


def _times(found: os.stat_result) -> Trait:
    return "times", found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _look(path: Path) -> tuple[int, ...]:
    """Return version and ctime of a file after reading a byte.

    Returns an empty tuple where the file can't be read.

    The read matters: `stat` alone may be answered from a network file system's cache."""
    with contextlib.suppress(OSError, ActRefused), _folder(path.parent) as folder, folder.opened(path.name) as file:
        found = os.fstat(file.fileno())
        if file.read(1) or not found.st_size:
            return (*version(found), found.st_ctime_ns)
    return ()


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[Folder]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Folder(path, number)
    finally:
        os.close(number)


def look(file: PlannedFile, folder: Folder, name: str) -> os.stat_result:
    """Return the stat result of a file to remove.

    Raises ActRefused unless the bytes are unchanged since the run."""
    try:
        found, digest = folder.digest(name)
    except FileNotFoundError as error:
        raise ActRefused("the file is gone") from error
    except OSError as error:
        raise ActRefused(f"the file can't be read ({error.strerror})") from error
    touched = file.mtime_ns not in (None, in_range(found.st_mtime_ns))
    if found.st_size != file.bytes or touched or digest != file.digest:
        raise ActRefused("the file was changed after the run")
    return found
