"""Check the images of a cluster that stay.

One of these images must be present and unchanged before another image may go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from stages.commands.apply.acts.errors import Cannot
from stages.commands.apply.acts.folder import Folder, Version, version
from stages.commands.plan.plan_file import Group, PlannedFile, container_of, is_local, path_of
from stages.comparing.text import one_line
from stages.decoding.sources import in_range
from stages.listing.path_text import show

NONE = "no image that is to stay is present and unchanged"
SECOND = 10**9
Trait: TypeAlias = tuple[str | int, ...]
"""The name of some facts, and the facts of a file; files with equal traits may be one file."""


@dataclass(frozen=True)
class StayingImage:
    """The first image of a cluster that stays, is present and is unchanged."""

    path: Path
    version: Version
    digest: str
    stays: Stays

    def guard(self, going: Version) -> Callable[[], None]:
        """Record the state of the images that stay, before another file is set aside.

        Returns a function that compares: it raises Cannot where setting that file aside changed an image that stays,
        since then both paths lead to one file. Raises Cannot where the keeper has changed already."""
        before = {path: _look(path) for path in (self.path, *self.stays.alike(going))}
        if before[self.path][:4] != self.version:
            raise Cannot(NONE)

        def look_again() -> None:
            for path, state in before.items():
                now = _look(path)
                if now != state and not (now[:4] == state[:4] and now[:2] == going[:2]):  # a hard link's ctime changes
                    raise Cannot(f"{one_line(show(os.fsencode(path)))}, which is to stay, changed as this one moved")

        return look_again


class Stays:
    """The images of a cluster that stay."""

    def __init__(self, group: Group) -> None:
        local = [file for file in group.keep if is_local(file)]
        self._local = [file for file in local if container_of(file) is None]
        self._inside = len(self._local) < len(local)
        self._last: StayingImage | None = None

    def find(self) -> StayingImage:
        """Return the first image that stays, is present and is unchanged.

        Its bytes are read once per version. Raises Cannot where there is none."""
        if not self._local and self._inside:
            raise Cannot("every image that is to stay is inside a container, whose images apply does not check")
        if not self._local:
            raise Cannot("every image that is to stay is on an object store; apply works on this machine's disks only")
        with contextlib.suppress(OSError):
            if self._last and version(self._last.path.lstat()) == self._last.version:
                return self._last
        for file in self._local:
            path = path_of(file)
            with contextlib.suppress(OSError, Cannot), _folder(path.parent) as folder:
                found, digest = folder.digest(path.name)
                if (found.st_size, digest) == (file.bytes, file.digest):
                    self._last = StayingImage(path, version(found), digest, self)
                    return self._last
        raise Cannot(NONE)

    def refuse(self, path: Path, found: os.stat_result) -> None:
        """Raise Cannot where a file that is to go is an image that stays.

        A link, a mount, a second file system or another case of letters gives such a file two paths. A hard link may
        go. Raises OSError."""
        for other, _ in self._found.get(_inode(found), ()):
            if found.st_nlink == 1 or path.resolve() == other.resolve() or _same_name(path, other):
                raise Cannot("it is an image that is to stay, under another path")
        for other, stays in self._found.get(_times(found), ()):
            if _inode(stays) != _inode(found):
                name = one_line(show(os.fsencode(other)))
                raise Cannot(f"it has the size and all times of {name}, which is to stay: both may be one file")

    def alike(self, going: Version) -> list[Path]:
        """Return staying images on other disks with the same size and time as a file."""
        found = self._found.get(("moment", going[2], going[3] // SECOND), ())
        return [path for path, stays in found if stays.st_dev != going[0]]

    @cached_property
    def _found(self) -> Mapping[Trait, Sequence[tuple[Path, os.stat_result]]]:
        """Return the present images that stay, by trait.

        Traits are the inode, size and times, and size and time in whole seconds."""
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
    with contextlib.suppress(OSError, Cannot), _folder(path.parent) as folder, folder.opened(path.name) as file:
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
    """Return the stat result of a file that is to go.

    Raises Cannot unless the bytes are unchanged."""
    try:
        found, digest = folder.digest(name)
    except FileNotFoundError as error:
        raise Cannot("it is gone") from error
    except OSError as error:
        raise Cannot(f"it can't be read ({error.strerror})") from error
    touched = file.mtime_ns not in (None, in_range(found.st_mtime_ns))
    if found.st_size != file.bytes or touched or digest != file.digest:
        raise Cannot("it was changed after the run")
    return found
