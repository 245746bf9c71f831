"""Link or copy loose files: the kept images of a folder, and the files that belong to these images.

Two kinds of files belong to an image: its companions, which the run recorded, and files in the same folder whose names
equal the image's name up to the first dot, as in a WebDataset sample. A file that belongs only to removed images is
removed, too. A hard link takes no space, but a change of the result in place also changes the source."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.store.atomic import TEMPORARY, atomic_write
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected, in_range
from stages.filtering.outcome import Refused
from stages.filtering.rewriting import CHANGED
from stages.listing.values import split

NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS})
"""Errors of `os.link` after which the file is copied instead."""


@dataclass
class FolderImages:
    """The images of one folder, by name.

    kept        path, size and stamp in the run of each kept image
    removed     names of the images to remove
    companions  names of the companions of each image that has companions"""

    folder: bytes
    kept: dict[bytes, Expected] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    companions: dict[bytes, list[bytes]] = field(default_factory=dict)


def companion_files(images: FolderImages, others: set[bytes]) -> tuple[set[bytes], set[bytes]]:
    """Return the names of files that belong to a kept image, and of files that belong only to removed images.

    others  names of files in the folder that are no images of the run"""
    keys: Mapping[bool, set[bytes]] = {
        is_kept: {split(name)[0] for name in names} - {b""}  # hidden files belong to no sample
        for is_kept, names in ((True, images.kept), (False, images.removed))
    }
    own = {
        is_kept: {each for name in names for each in images.companions.get(name, ())}
        for is_kept, names in ((True, images.kept), (False, images.removed))
    }
    kept = {name for name in others if name in own[True] or (split(name)[1] and split(name)[0] in keys[True])}
    removed = {name for name in others if name in own[False] or (split(name)[1] and split(name)[0] in keys[False])}
    return kept, removed - kept


def other_files(images: FolderImages) -> set[bytes]:
    """Return the names of regular files in the folder that are no images of the run. Raises OSError."""
    if not images.folder.startswith(b"/"):
        return set()
    with os.scandir(images.folder) as entries:
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    return names - images.kept.keys() - images.removed


def put(file: Expected, trust: str, target: Path, linked: bool) -> None:
    """Link or copy a file to `target`, unless the file is there already.

    linked  make a hard link where possible

    Raises:
        Refused: the image has changed since the run.
        OSError: a file can't be read or written."""
    if not file.path.startswith(b"/"):
        _fetch(file, trust, target)
        return
    found = os.stat(file.path)
    if file.stamp and not _is_as_found(file, found, trust):
        raise Refused(CHANGED)
    with contextlib.suppress(FileNotFoundError):
        there = target.lstat()
        same = (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        alike = (there.st_size, there.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
        if stat.S_ISREG(there.st_mode) and alike and (linked or not same):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (linked and _link(file.path, target)):
        _copy(file.path, target, found)


def _is_as_found(file: Expected, found: os.stat_result, trust: str) -> bool:
    if found.st_size != file.size:
        return False
    if trust == "bytes":
        with open(file.path, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.stamp
    return file.stamp == str(in_range(getattr(found, f"st_{trust}_ns")))


def _link(source: bytes, target: Path) -> bool:
    """Replace `target` by a hard link to `source`; return False if hard links are not possible. Raises OSError."""
    temporary = target.with_name(f".{uuid.uuid4().hex}{TEMPORARY}")
    try:
        os.link(os.path.realpath(source), os.fsencode(temporary))
    except OSError as error:
        if error.errno in NO_LINK:
            return False
        raise
    try:
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # a rename onto another link of the same file does nothing
    return True


def _copy(source: bytes, target: Path, found: os.stat_result) -> None:
    with atomic_write(target, synced=False) as file:
        with open(source, "rb") as opened:
            shutil.copyfileobj(opened, file, 1 << 20)
        file.flush()
        os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def _fetch(file: Expected, trust: str, target: Path) -> None:
    """Download an image, unless a file of the same size is there; `target` never holds a part of the image."""
    if target.is_file() and target.stat().st_size == file.size:
        return
    try:
        data, _ = read(file, trust, file.size)
    except Unreadable as error:
        raise Refused(str(error)) from error
    with atomic_write(target, synced=False) as opened:
        opened.write(data)


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files that an earlier call wrote and this call does not write. Raises OSError."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
