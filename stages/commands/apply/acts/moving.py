"""Move a file below another folder, or to the trash, and back."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.commands.apply.acts.act import Act, path_in
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import NO_LINKS, PIECE, Folder, version

MODE = 0o777
"""Mode bits that a copy keeps: no setuid, setgid or sticky bit."""


class Move(Act):
    """A move to another folder, where the file's final name is a second hard link.

    The first hard link has a temporary name, by which `undo` tells the moved file from an equal file that was in the
    folder before."""

    folder_mode = 0o777
    lost = "{to} is no longer the file that was moved there"

    def lift(self) -> None:
        super().lift()
        self._announce()
        carry(self._home(), self._target(), self.temporary, self.entry)

    def _announce(self) -> None:
        """Write the trash's note before the file is moved; do nothing for other folders."""

    def name(self) -> None:
        target = self._target()
        try:
            target.claim(self.temporary, self._to.name, before=self._home().sync)
        except FileExistsError as error:
            raise ActRefused(f"another program made {self._to} meanwhile") from error

    def clear(self) -> None:
        self._target().remove(self.temporary)

    def _fetch_bytes(self) -> None:
        target, name = self.folders.find(self._to.parent), self._to.name
        if target is None:
            raise ActRefused(self.lost.format(to=self._to))
        if self.is_whole(target, self.temporary):
            self._remove_second_name(target)
        elif self.is_whole(target, name):
            target.set_aside(name, self.temporary, version(target.digest(name)[0]))
        else:
            raise ActRefused(self.lost.format(to=self._to))
        home = self._home()
        if home.stat(self.temporary) and home.begins_like(self.temporary, target, self.temporary):
            home.remove(self.temporary)
        carry(target, home, self.temporary, self.entry)

    def _remove_second_name(self, target: Folder) -> None:
        """Remove the final name if it is a hard link to the temporary file."""
        there, temporary = target.stat(self._to.name), target.stat(self.temporary)
        if there and temporary and os.path.samestat(there, temporary):
            target.remove(self._to.name)

    def release(self) -> None:
        if self.changed and (target := self.folders.find(self._to.parent)):
            target.remove(self.temporary)
            there, aside = target.stat(self._to.name), self._home().stat(self.temporary)
            if there and aside and os.path.samestat(there, aside):  # a power cut lost the renaming
                target.remove(self._to.name)

    def tidy(self) -> None:
        home, target = self.folders.find(self.path.parent), self.folders.find(self._to.parent)
        if home and target and self.is_whole(home, self.path.name):
            self._remove_second_name(target)
        super().tidy()
        self.folders.remove_empty(self._to.parents[: self.entry.get("made", 0)])

    def temporaries(self) -> list[tuple[Folder, str]]:
        target = self.folders.find(self._to.parent)
        return super().temporaries() + ([(target, self.temporary)] if target else [])

    @cached_property
    def _to(self) -> Path:
        return path_in(self.entry["to"])

    def _target(self) -> Folder:
        return self.folders.make(self._to.parent, self.folder_mode)


def carry(source: Folder, target: Folder, name: str, entry: Mapping[str, Any]) -> None:
    """Link a file into another folder. Without hard links, rename the file; to another disk, copy the file.

    Raises ActRefused, OSError."""
    if target.stat(name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target.path / name))
    target.loose = True
    try:
        os.link(name, name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (*NO_LINKS, errno.EXDEV):
            raise
        if error.errno == errno.EXDEV or not _renamed(source, target, name):
            source.sync()  # otherwise a power cut may leave both the copy and the file under its old name
            copy(source, name, target, name)
            if not target.is_whole(name, entry["bytes"], entry["digest"]):
                place = target.path / name
                target.remove(name)
                raise ActRefused(
                    f"the copy on the other disk ({place}) differs from the file; the file stays"
                ) from error


def _renamed(source: Folder, target: Folder, name: str) -> bool:
    """Rename a file to another folder.

    Returns False where the folders are on different disks."""
    try:
        os.rename(name, name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    source.loose = True
    return True


def copy(source: Folder, name: str, target: Folder, new: str) -> None:
    """Copy a file with its metadata, the owner where permitted; sync the copy.

    Raises ActRefused, OSError."""
    with source.opened(name) as one, target.created(new) as other:
        shutil.copyfileobj(one, other, PIECE)
        other.flush()
        found = os.fstat(one.fileno())
        set_attributes(
            other.fileno(), [found.st_uid, found.st_gid], attributes(one.fileno()), found.st_mode, found.st_mtime_ns
        )


def set_attributes(descriptor: int, owner: list[int], tags: Mapping[str, str], mode: int, mtime_ns: int) -> None:
    """Set a file's mode, time and, where permitted, owner and attributes.

    Raises OSError."""
    if owner:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, *owner)
    for name, value in tags.items():
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(descriptor, bytes.fromhex(name), bytes.fromhex(value))
    os.fchmod(descriptor, stat.S_IMODE(mode) & MODE)
    os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def attributes(descriptor: int) -> dict[str, str]:
    """Return names and values of extended attributes, such as tags, in hex."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has them
        return {os.fsencode(name).hex(): os.getxattr(descriptor, name).hex() for name in os.listxattr(descriptor)}
    return {}
