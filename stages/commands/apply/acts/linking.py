"""Replace a file by a link to its keeper or a clone of its keeper, and undo this."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from functools import cached_property
from pathlib import Path

from stages.commands.apply.acts.act import Act, path_in
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import PIECE, Folder, version
from stages.commands.apply.acts.moving import attributes, set_attributes

FICLONE = 0x40049409
"""Linux's ioctl request to clone a file."""
NEW = ".new"
"""Suffix of the replacement's temporary name."""


class Link(Act):
    """A replacement by a link or clone.

    The replacement is made before the file is set aside, and gets the file's name directly after."""

    def lift(self) -> None:
        home = self._home()
        match self.entry["action"]:
            case "hardlink":
                os.link(self._keeper, self._new, dst_dir_fd=home.descriptor, follow_symlinks=False)
            case "symlink":
                os.symlink(self._keeper, self._new, dir_fd=home.descriptor)
            case "reflink":
                self._clone(home)
        assert self.keeper is not None
        made = home.stat(self._new)
        if self.entry["action"] == "hardlink" and (made is None or version(made) != self.keeper.version):
            raise ActRefused("the keeper was changed meanwhile")
        super().lift()
        try:
            home.claim(self._new, self.path.name)
        except FileExistsError as error:
            raise self.taken() from error

    def _clone(self, home: Folder) -> None:
        keepers = self.folders.find(self._keeper.parent)
        if keepers is None:
            raise ActRefused("the keeper is gone")
        with keepers.opened(self._keeper.name) as source, home.opened(self.path.name) as old:
            assert self.keeper is not None
            if version(os.fstat(source.fileno())) != self.keeper.version:
                raise ActRefused("the keeper was changed meanwhile")
            with home.created(self._new) as target:
                try:
                    clone(source.fileno(), target.fileno())
                except OSError as error:
                    if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                        raise ActRefused(
                            "a reflink needs one file system, with reflinks, for file and keeper"
                        ) from error
                    raise
                found = os.fstat(old.fileno())
                owner = [found.st_uid, found.st_gid]
                set_attributes(target.fileno(), owner, attributes(old.fileno()), found.st_mode, found.st_mtime_ns)

    def clear(self) -> None:
        self._home().remove(self._new)

    def fetch(self) -> None:
        home = self._home()
        ours, aside = self._is_ours(home, self.path.name), self.is_whole(home, self.temporary)
        if self.is_whole(home, self.path.name) and not (ours or (aside and self.entry["action"] == "reflink")):
            return
        if home.stat(self.path.name) and not self.is_whole(home, self.path.name) and not ours:
            raise self.taken(aside)
        if not aside:
            self._copy(home)
        self.changed = True

    def _copy(self, home: Folder) -> None:
        """Copy the keeper, which has the same bytes, to the temporary name."""
        keepers = self.folders.find(self._keeper.parent)
        if keepers is None or not self.is_whole(keepers, self._keeper.name):
            raise ActRefused(f"the keeper {self._keeper} no longer has the same bytes")
        if home.stat(self.temporary) and home.begins_like(self.temporary, keepers, self._keeper.name):
            home.remove(self.temporary)
        with keepers.opened(self._keeper.name) as source, home.created(self.temporary) as target:
            shutil.copyfileobj(source, target, PIECE)
            target.flush()
            entry = self.entry
            tags = entry.get("attributes") or {}
            set_attributes(target.fileno(), list(entry["owner"]), tags, entry["mode"], entry["mtime_ns"])
        if not self.is_whole(home, self.temporary):
            raise ActRefused(f"the keeper {self._keeper} was changed meanwhile")

    def restore(self) -> None:
        home = self._home()
        if self.changed and (found := home.stat(self.path.name)):
            self._remove_new(home)
            home.set_aside(self.path.name, self._new, version(found))
        super().restore()

    def tidy(self) -> None:
        if home := self.folders.find(self.path.parent):
            self._remove_new(home)
        super().tidy()

    def temporaries(self) -> list[tuple[Folder, str]]:
        return [(folder, name) for folder, temporary in super().temporaries() for name in (temporary, temporary + NEW)]

    def _remove_new(self, home: Folder) -> None:
        """Remove the replacement's temporary name, unless another file has this name."""
        if not home.stat(self._new):
            return
        keepers = self.folders.find(self._keeper.parent)
        holders = ((keepers, self._keeper.name), (home, self.temporary), (home, self.path.name))
        if self._is_ours(home, self._new) or any(_begins_like(home, self._new, *other) for other in holders):
            home.remove(self._new)

    def _is_ours(self, home: Folder, name: str) -> bool:
        """Return whether a name is a symbolic or hard link to the keeper.

        The keeper may have become a link itself."""
        found = home.stat(name)
        if found is None:
            return False
        if stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=home.descriptor) == str(self._keeper):
            return True
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(found, os.lstat(self._keeper))
        return False

    @cached_property
    def _keeper(self) -> Path:
        return path_in(self.entry["keeper"])

    @property
    def _new(self) -> str:
        return self.temporary + NEW


def _begins_like(home: Folder, name: str, other: Folder | None, whole: str) -> bool:
    with contextlib.suppress(ActRefused, OSError):
        return other is not None and home.begins_like(name, other, whole)
    return False


def clone(source: int, target: int) -> None:
    """Make an open file a reflink of another open file. Raises OSError."""
    fcntl.ioctl(target, FICLONE, source)
