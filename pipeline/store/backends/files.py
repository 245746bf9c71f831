"""Access the files of a run in a local folder; `ObjectFiles` has the same methods.

Names are relative to the run's folder, with slashes. A local file is looked up by name, in microseconds. An object
store is listed and many footers are fetched in parallel, since a request takes as long as a thousand local look-ups.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.store.artifact import Record, read_record
from pipeline.store.atomic import sync_file, sync_folder
from pipeline.store.backends.storage import Entry, read_bytes

SYNCS = 16
"""Number of files that are synced in parallel."""
SETTLED = 60.0
"""Seconds that a folder must have been unchanged before the last sync; such a folder is not synced again."""


class LocalFiles:
    """Files below a run's folder on this machine; nothing is cached.

    Every method raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; an empty list for a missing folder."""
        path = self._folder / folder
        return os.listdir(path) if path.is_dir() else []  # noqa: PTH208  # making Path objects costs more than the listing

    def below(self, folder: str) -> dict[str, int]:
        """Return sizes of the files in a folder at any depth, by relative name."""
        sizes = ((name, self.size(f"{folder}/{name}")) for name in self.names_below(folder))
        return {name: size for name, size in sizes if size is not None}

    def names_below(self, folder: str) -> Iterator[str]:
        """Yield the relative names in a folder at any depth, without a stat per file."""
        top = str(self._folder / folder)
        for inside, _, names in os.walk(top):
            yield from (f"{inside}/{name}"[len(top) + 1 :] for name in names)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None for a missing file."""
        return _size(f"{self._folder}/{name}")

    def entries(self, folder: str) -> dict[str, Entry]:
        """List a folder; return entries by name, empty for a missing folder."""
        found = {}
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder / folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    seen = entry.stat()
                    found[entry.name] = Entry(seen.st_size, seen.st_mtime_ns, "")
        return found

    def read(self, name: str) -> bytes:
        return read_bytes(self._folder / name)

    def record(self, name: str, stage: str, key: str) -> Record:
        """Read the record of an artifact. Raises ArtifactDamaged."""
        return read_record(self._folder / name, stage, key)

    def move(self, source: str, target: str) -> None:
        path = self._folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        (self._folder / source).replace(path)

    def delete(self, names: Collection[str]) -> None:
        for name in names:
            (self._folder / name).unlink()
        emptied = {parent for name in names for parent in Path(name).parents if parent != Path()}
        for folder in sorted(emptied, reverse=True):
            with contextlib.suppress(OSError):  # not empty
                (self._folder / folder).rmdir()

    def sync(self, folders: Collection[str]) -> None:
        """Sync the names in folders to disk."""
        for folder in folders:
            sync_folder(self._folder / folder)

    def sync_files(self, names: Collection[str]) -> None:
        """Sync files and their names to disk."""
        with ThreadPoolExecutor(SYNCS) as pool:
            for _ in pool.map(sync_file, [self._folder / name for name in names]):
                continue
        self.sync({name.rpartition("/")[0] for name in names})

    def sync_all(self, since: str) -> None:
        """Sync the names in all visible folders, and the run folder's own name.

        The caller then writes the file `since`: a folder without changes since the last write of `since` is skipped."""
        known = -math.inf
        with contextlib.suppress(OSError):
            known = (self._folder / since).stat().st_mtime - SETTLED
        folders = list(self._folder.absolute().parents)
        for folder, inside, _ in os.walk(self._folder):
            inside[:] = [name for name in inside if name[0] != "."]  # retired files may be lost
            folders.append(Path(folder))
        for path in folders:
            changed = known
            with contextlib.suppress(OSError):
                changed = path.stat().st_mtime
            if changed > known:
                sync_folder(path)

    def written(self, name: str, size: int) -> None:
        """Record that this process has written a file."""

    def refresh(self) -> None:
        """Forget listings, since other processes have written files."""


def _size(path: str) -> int | None:
    """Return the size of a regular file; None for anything else."""
    try:
        found = os.stat(path)  # noqa: PTH116  # a Path costs more than the look-up
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
