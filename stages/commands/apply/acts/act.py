"""Define the base class of all acts, which delete a file or move a file away.

An act first sets the file aside; until the last step, the file can be put back.

The forward steps are lift, drop, name and clear; the backward steps are fetch, release, restore and tidy (`steps.py`).
The docstring of this package says what each step does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, Version
from stages.commands.apply.acts.folders import Folders

if TYPE_CHECKING:
    from stages.commands.apply.kept_images import KeptImage

JournalEntry: TypeAlias = Mapping[str, Any]
"""The journal's record of an act: action, path, bytes, mtime_ns, digest, mode, keeper, temporary; and to, made, owner
and attributes where the action needs them."""


class Act:
    """An act on one file, forward and backward. The base class deletes the file."""

    def __init__(
        self, entry: JournalEntry, folders: Folders, seen: Version | None = None, keeper: KeptImage | None = None
    ) -> None:
        self.entry = entry
        self.folders = folders
        self.path = path_in(entry["path"])
        self.temporary = path_in(entry["temporary"]).name
        self.seen = seen
        self.keeper = keeper
        self.changed = False
        """Whether undoing the act changed anything."""
        self.dropped = False
        """Whether the file was removed from its folder."""
        self.together: Sequence[Act] = ()
        """The acts on an image and its companions: if one fails, all fail."""

    # forward

    def lift(self) -> None:
        """Set the file aside, check the kept images, and complete the replacement.

        Raises ActRefused, OSError, as all steps do."""
        assert self.seen is not None
        assert self.keeper is not None
        home = self._home()
        if not home.is_at_path():
            raise ActRefused("the path leads to another folder now")
        look_again = self.keeper.guard(self.seen)
        home.set_aside(self.path.name, self.temporary, self.seen)
        look_again()

    def drop(self) -> None:
        """Remove the file that was set aside."""
        self.dropped = True
        self._home().remove(self.temporary)

    def name(self) -> None:
        """Give the file its final name in its new folder."""

    def clear(self) -> None:
        """Remove temporary names."""

    # backward

    def fetch(self) -> None:
        """Restore the file's bytes under the temporary name, wherever the bytes are."""
        home = self.folders.find(self.path.parent)
        if home and self.is_whole(home, self.path.name):
            return
        aside = home is not None and self.is_whole(home, self.temporary)
        if home and home.stat(self.path.name):
            raise self.taken(aside)
        if not aside:
            self._fetch_bytes()
        self.changed = True

    def _fetch_bytes(self) -> None:
        raise ActRefused("the file was deleted and can't be restored")

    def release(self) -> None:
        """Remove the file from its new place."""

    def restore(self) -> None:
        """Give the file its name back."""
        if self.changed:
            try:
                self._home().claim(self.temporary, self.path.name)
            except FileExistsError as error:
                raise self.taken() from error
            self.dropped = False

    def tidy(self) -> None:
        """Remove temporary files whose bytes the restored file holds."""
        home = self.folders.find(self.path.parent)
        if home and self.is_whole(home, self.path.name):
            for folder, name in self.temporaries():
                with contextlib.suppress(ActRefused, FileNotFoundError):
                    if folder.begins_like(name, home, self.path.name):
                        folder.remove(name)

    def temporaries(self) -> list[tuple[Folder, str]]:
        """Return folder and name of each temporary file of this act."""
        home = self.folders.find(self.path.parent)
        return [(home, self.temporary)] if home else []

    def is_settled(self) -> bool:
        """Return whether the file is back and no temporary name is left. Raises OSError."""
        return not self.dropped and all(folder.stat(name) is None for folder, name in self.temporaries())

    def taken(self, aside: bool = True) -> ActRefused:
        """Return the error for an act whose file's name belongs to another file now.

        aside  whether the bytes of the act's file are at the temporary name"""
        reason = "another file has the name now"
        return ActRefused(
            f"{reason}; the bytes of the original file are in {self.path.parent / self.temporary}" if aside else reason
        )

    def is_whole(self, folder: Folder, name: str) -> bool:
        """Return whether a name in a folder has the file's bytes."""
        return folder.is_whole(name, self.entry["bytes"], self.entry["digest"])

    def _home(self) -> Folder:
        return self.folders.make(self.path.parent)


def path_in(name: str) -> Path:
    """Return the path from a journal's hexadecimal text."""
    return Path(os.fsdecode(bytes.fromhex(name)))
