"""Put files into the trash by the specification of freedesktop.org.

See https://specifications.freedesktop.org/trash-spec/latest/.

A file goes to `files`, a note with its path to `info`; the note is written first. The library Send2Trash works on
paths; this module works in open folders, and supports names of any length. On macOS the library is used, since only the
Finder can put a file back.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable
from configparser import ConfigParser, Error
from pathlib import Path
from urllib.parse import quote, unquote

from stages.commands.apply.acts import names
from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.moving import Move

INFO_SUFFIX = ".trashinfo"
NOT_FOUND = "the file was not found in the trash; if the system's trash shows the file, restore the file there"


def place_in(trash: Path, path: Path, is_taken: Callable[[Path], bool]) -> Path:
    """Return the path of a file in a trash folder, under a free name."""

    def taken(name: str) -> bool:
        place, note = trash / "files" / name, trash / "info" / f"{name}{INFO_SUFFIX}"
        return os.path.lexists(place) or os.path.lexists(note) or is_taken(place)

    return trash / "files" / names.free(path.name, taken, names.LONGEST - len(INFO_SUFFIX))


def trash_for(path: Path) -> Path:
    """Return the user's trash if it is on the file's disk, else the trash of the file's disk.

    Raises OSError."""
    device = path.lstat().st_dev
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "Trash"
    if nearest_existing(home).stat().st_dev == device:
        return home
    top = Path(os.path.realpath(path.parent))
    while not top.is_mount():
        top = top.parent
    shared = top / ".Trash"
    with contextlib.suppress(OSError):
        mode = shared.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
            return shared / str(os.getuid())
    return top / f".Trash-{os.getuid()}"


def nearest_existing(path: Path) -> Path:
    """Return the path if it exists, else the nearest existing folder above the path."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


class ToTrash(Move):
    """A move to a trash, with a note."""

    folder_mode = 0o700
    lost = NOT_FOUND

    def _announce(self) -> None:
        place = self._to
        trash, user = place.parent.parent, str(os.getuid())
        top = next((top for top in place.parents if trash in (top / f".Trash-{user}", top / ".Trash" / user)), None)
        where = self.path if top is None else Path(os.path.realpath(self.path.parent)).relative_to(top) / self.path.name
        info = self.folders.make(trash / "info", self.folder_mode)
        date = time.strftime("%Y-%m-%dT%H:%M:%S")
        try:
            with info.created(place.name + INFO_SUFFIX) as note:
                note.write(f"[Trash Info]\nPath={quote(os.fsencode(where))}\nDeletionDate={date}\n".encode())
        except FileExistsError as error:
            raise ActRefused(f"another program made {place} meanwhile") from error

    def tidy(self) -> None:
        super().tidy()
        info = self.folders.find(self._to.parent.parent / "info")
        name = self._to.name + INFO_SUFFIX
        if info and not os.path.lexists(self._to) and self._is_note(info.path / name):
            info.remove(name)

    def _is_note(self, path: Path) -> bool:
        """Return whether a note is about a file of this name, or empty.

        A note is empty if the process was killed before writing the text."""
        note = ConfigParser(interpolation=None)
        with contextlib.suppress(OSError, UnicodeDecodeError, Error, KeyError):
            if path.stat().st_size == 0:
                return True
            note.read(path)
            return Path(unquote(note["Trash Info"]["Path"], errors="surrogateescape")).name == self.path.name
        return False


class ToFinder(Act):
    """The trash of macOS, which takes paths."""

    def lift(self) -> None:
        assert self.seen is not None
        assert self.keeper is not None
        self.keeper.guard(self.seen)()

    def drop(self) -> None:
        from send2trash import send2trash

        send2trash(os.fsencode(self.path))

    def _fetch_bytes(self) -> None:
        raise ActRefused(NOT_FOUND)
