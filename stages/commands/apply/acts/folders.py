"""Hold the folders of a group of acts open, make missing folders, and sync names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.store.atomic import sync_folder
from stages.commands.apply.acts.folder import Folder


class Folders(contextlib.AbstractContextManager["Folders"]):
    """The open folders of a group of acts; folders above new names are synced, too."""

    def __init__(self) -> None:
        self._open: dict[Path, Folder] = {}
        self._rooted: set[Path] = set()
        self._above: list[Path] = []
        self._late: set[Path] = set()

    def __exit__(self, *error: object) -> None:
        self.close()
        for path in self._late:
            with contextlib.suppress(OSError):
                sync_folder(path)

    def close(self) -> None:
        """Close all folders; sync the folders with removed names once."""
        for folder in self._open.values():
            os.close(folder.descriptor)
            if folder.loose or folder.stale:
                self._late.add(folder.path)
        self._open.clear()

    def find(self, path: Path) -> Folder | None:
        """Return the open folder at a path; None if no folder is there. Raises OSError."""
        if path not in self._open:
            try:
                self._open[path] = Folder(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            except FileNotFoundError:
                return None
        return self._open[path]

    def make(self, path: Path, mode: int = 0o777) -> Folder:
        """Return the open folder at a path for new names; make missing folders.

        Raises OSError."""
        if path in self._open and path in self._rooted:
            return self._open[path]
        folder = self.find(path)
        if folder is None:
            above = self.make(path.parent, mode)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path.name, mode, dir_fd=above.descriptor)
                above.loose = True
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            folder = self._open[path] = Folder(path, os.open(path.name, flags, dir_fd=above.descriptor))
        if path not in self._rooted:  # another program may have just made the folder or one above
            self._above += [place for place in path.parents if place not in self._rooted]
            self._rooted |= {path, *path.parents}
        return folder

    def remove_empty(self, paths: Iterable[Path]) -> None:
        """Remove the empty folders among `paths`, which are sorted from deep to shallow."""
        for path in paths:
            with contextlib.suppress(OSError):
                path.rmdir()
                if folder := self._open.pop(path, None):
                    os.close(folder.descriptor)
                if above := self.find(path.parent):
                    above.stale = True

    def sync(self, stale: bool = True) -> None:
        """Sync folders with new names and, if `stale`, folders with removed names.

        Raises OSError where a disk fails."""
        for folder in self._open.values():
            if folder.loose or (stale and folder.stale):
                folder.sync()
        while self._above:
            sync_folder(self._above[-1])
            self._above.pop()
