"""Remember in the target folder what is finished, so that a second call goes on.

The manifest is a file of JSON lines, appended to and locked. The first line names the format. Each further line is
about one unit, a file of the target or the loose files of a folder; the last line of a unit counts. A line is written
after the unit is complete, so that a unit without a line is written again; the line of loose files is written before,
since it says which files may be there. A torn last line was never finished."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.messages.errors import ConfigError
from pipeline.store.atomic import sweep

NAME = ".fast-diff-filter.jsonl"
FORMAT = "fast-diff-filter"
VERSION = 1


class Manifest:
    """The units that are finished, by their paths below the target folder."""

    def __init__(self, file: Any, units: dict[str, Mapping[str, Any]]) -> None:
        self._file, self.units = file, units

    def record(self, unit: str, facts: Mapping[str, Any]) -> None:
        """Record a unit; the line is on disk when this returns. Raises OSError."""
        self._append({"unit": unit, **facts})
        self.units[unit] = facts

    def forget(self, unit: str) -> None:
        """Record that a unit's files are not in the target any more. Raises OSError."""
        self._append({"unit": unit, "removed": True})
        self.units.pop(unit, None)

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def opened_manifest(folder: Path) -> Iterator[Manifest]:
    """Create the target folder and its manifest, or open them; hold the manifest's lock meanwhile.

    Raises:
        ConfigError: the folder holds something else, or another process writes there.
        OSError: the folder can't be written to."""
    path = folder / NAME
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConfigError(f"--out: {folder} is not a folder; choose another name")
    if folder.is_dir() and not path.exists() and any(folder.iterdir()):
        raise ConfigError(f"--out: {folder} is not empty, and `fast-diff filter` did not write it; choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"--out: another process writes to {folder}; wait for it to end") from error
        sweep(folder)
        file.seek(0)
        units = _read(file, path)
        manifest = Manifest(file, units)
        if file.tell() == 0:
            manifest._append({FORMAT: VERSION})
        yield manifest


def _is_below(name: str) -> bool:
    """Return whether a relative path stays below its folder: files that a manifest names may be removed."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _read(file: Any, path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the last line of each unit; cut off a torn last line. Raises ConfigError."""
    units: dict[str, Mapping[str, Any]] = {}
    whole = 0
    for number, line in enumerate(file):
        try:
            facts = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            facts = None
        if facts is None:
            break
        if number == 0 and facts.get(FORMAT) != VERSION:
            raise ConfigError(f"--out: {path} is of another version; choose a new folder")
        whole += len(line)
        if unit := facts.get("unit"):
            if not _is_below(unit) or not all(_is_below(name) and "/" not in name for name in facts.get("names", ())):
                raise ConfigError(f"--out: {path} names files outside of its folder; choose a new folder")
            units.pop(unit, None)
            if not facts.get("removed"):
                units[unit] = facts
    file.truncate(whole)
    file.seek(whole)
    return units
