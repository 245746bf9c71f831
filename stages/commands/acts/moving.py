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

from stages.commands.acts.act import Act, path_in
from stages.commands.acts.errors import Cannot
from stages.commands.acts.folders import NO_LINKS, PIECE, Folder, version

MODE = 0o777
"""Bits of a mode that are given to a copy: none that lets a file run as its owner."""


class Move(Act):
    """A file is carried to its new folder under a name of our own, and its new name is a second name of that: so `undo`
    never has to judge which of two equal files is whose."""

    folder_mode = 0o777
    lost = "{to} is not the file that was moved there any more"

    def lift(self) -> None:
        super().lift()
        self._announce()
        carry(self._home(), self.folders.make(self._to.parent, self.folder_mode), self.spare, self.entry)

    def _announce(self) -> None:
        """Say beforehand what will come to the new folder."""

    def name(self) -> None:
        target = self._target()
        try:
            target.claim(self.spare, self._to.name, before=self._home().sync)
        except FileExistsError as error:
            raise Cannot(f"{self._to} has come into being meanwhile") from error

    def clear(self) -> None:
        self._target().remove(self.spare)

    def _fetch_from_afar(self) -> None:
        target, name = self.folders.find(self._to.parent), self._to.name
        if target is None:
            raise Cannot(self.lost.format(to=self._to))
        if self.is_whole(target, self.spare):
            self._remove_second_name(target)
        elif self.is_whole(target, name):
            target.set_aside(name, self.spare, version(target.digest(name)[0]))
        else:
            raise Cannot(self.lost.format(to=self._to))
        home = self._home()
        if home.stat(self.spare) and home.begins_like(self.spare, target, self.spare):
            home.remove(self.spare)
        carry(target, home, self.spare, self.entry)

    def _remove_second_name(self, target: Folder) -> None:
        """Take the new name away, where it is one more name of what bears a name of our own."""
        there, spare = target.stat(self._to.name), target.stat(self.spare)
        if there and spare and os.path.samestat(there, spare):
            target.remove(self._to.name)

    def release(self) -> None:
        if self.changed and (target := self.folders.find(self._to.parent)):
            target.remove(self.spare)
            there, aside = target.stat(self._to.name), self._home().stat(self.spare)
            if there and aside and os.path.samestat(there, aside):  # its renaming there was lost in a power cut
                target.remove(self._to.name)

    def tidy(self) -> None:
        home, target = self.folders.find(self.path.parent), self.folders.find(self._to.parent)
        if home and target and self.is_whole(home, self.path.name):
            self._remove_second_name(target)
        super().tidy()
        self.folders.remove_empty(self._to.parents[: self.entry.get("made", 0)])

    def spares(self) -> list[tuple[Folder, str]]:
        target = self.folders.find(self._to.parent)
        return super().spares() + ([(target, self.spare)] if target else [])

    @cached_property
    def _to(self) -> Path:
        return path_in(self.entry["to"])

    def _target(self) -> Folder:
        return self.folders.make(self._to.parent, self.folder_mode)


def carry(source: Folder, target: Folder, name: str, entry: Mapping[str, Any]) -> None:
    """Have a file in another folder, too, by the same name; where the file system has no links, there alone.

    Raises Cannot, OSError."""
    if target.stat(name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target.path / name))
    target.loose = True
    try:
        os.link(name, name, src_dir_fd=source.number, dst_dir_fd=target.number, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (*NO_LINKS, errno.EXDEV):
            raise
        if error.errno == errno.EXDEV or not _renamed(source, target, name):
            source.sync()  # else a power cut may leave the file under its old name, and the copy
            copy(source, name, target, name)
            if not target.is_whole(name, entry["bytes"], entry["digest"]):
                place = target.path / name
                target.remove(name)
                raise Cannot(f"the copy on the other disk ({place}) is not what was written; the file stays") from error


def _renamed(source: Folder, target: Folder, name: str) -> bool:
    """Rename a file to another folder; whether both are on one disk."""
    try:
        os.rename(name, name, src_dir_fd=source.number, dst_dir_fd=target.number)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    source.loose = True
    return True


def copy(source: Folder, name: str, target: Folder, new: str) -> None:
    """Copy a file with its owner, where one may, its extended attributes, mode and time; on disk when it returns.

    Raises Cannot, OSError."""
    with source.opened(name) as one, target.created(new) as other:
        shutil.copyfileobj(one, other, PIECE)
        other.flush()
        found = os.fstat(one.fileno())
        dress(other.fileno(), [found.st_uid, found.st_gid], attributes(one.fileno()), found.st_mode, found.st_mtime_ns)


def dress(number: int, owner: list[int], tags: Mapping[str, str], mode: int, mtime_ns: int) -> None:
    """Give an open file an owner and extended attributes, as far as one may, a mode and a time. Raises OSError."""
    if owner:
        with contextlib.suppress(OSError):
            os.fchown(number, *owner)
    for name, value in tags.items():
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(number, bytes.fromhex(name), bytes.fromhex(value))
    os.fchmod(number, stat.S_IMODE(mode) & MODE)
    os.utime(number, ns=(mtime_ns, mtime_ns))


def attributes(number: int) -> dict[str, str]:
    """Return extended attributes of an open file, such as tags; in hex."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has them
        return {os.fsencode(name).hex(): os.getxattr(number, name).hex() for name in os.listxattr(number)}
    return {}
