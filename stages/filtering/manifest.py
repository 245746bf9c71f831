"""Record in the target folder which results are finished, so that a second call continues the first.

The manifest is a locked file of JSON lines. The first line names the format and the run. Each further line describes
one unit: a file of the target, or the loose files of one folder. If a unit has several lines, the last line counts. The
line of a file is written after the file, so a file without a line is written again. The line of loose files is written
before the files, since the line names the files that a later call may remove. An incomplete last line is ignored."""

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
    """The recorded units, by their paths below the target folder."""

    def __init__(self, file: Any, units: dict[str, Mapping[str, Any]]) -> None:
        self._file, self.units = file, units

    def record(self, unit: str, facts: Mapping[str, Any]) -> None:
        """Record a unit; the line is on disk when this method returns. Raises OSError."""
        self.write({"unit": unit, **facts})
        self.units[unit] = facts

    def forget(self, unit: str) -> None:
        """Record that the files of a unit were removed from the target. Raises OSError."""
        self.write({"unit": unit, "removed": True})
        self.units.pop(unit, None)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; the line is on disk when this method returns. Raises OSError, which names the manifest."""
        data, descriptor = json.dumps(line).encode() + b"\n", self._file.fileno()
        try:
            while data:
                data = data[os.write(descriptor, data) :]  # no buffer, which closing the file would write again
            os.fsync(descriptor)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error


@contextlib.contextmanager
def opened_manifest(folder: Path, run: str) -> Iterator[Manifest]:
    """Create the target folder and its manifest, or open both; the manifest is locked while the context is open.

    run  the folder of the run

    Raises:
        ConfigError: the folder holds other files or the results of another run, or another process writes there.
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
        manifest = Manifest(file, _read(file, path, run))
        if file.tell() == 0:
            manifest.write({FORMAT: VERSION, "run": run})
        yield manifest


def _is_below(name: str) -> bool:
    """Return whether a relative path leads to a place below its folder.

    Files that a manifest names may be removed, so a manifest must not name files elsewhere."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _is_line(facts: Any) -> bool:
    """Return whether the values in a line of a manifest have the expected types."""
    if not isinstance(facts, dict) or not isinstance(facts.get("unit", ""), str):
        return False
    names = facts.get("names")
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return named or (names is None and (bool(facts.get("removed")) or not facts.get("unit", "").endswith("/")))


def _read(file: Any, path: Path, run: str) -> dict[str, Mapping[str, Any]]:
    """Return the last line of each unit; cut off an incomplete last line. Raises ConfigError."""
    units: dict[str, Mapping[str, Any]] = {}
    whole = 0
    for number, line in enumerate(file):
        try:
            facts = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            facts = None
        if facts is None:
            break
        if not _is_line(facts):
            raise ConfigError(f"--out: {path} is damaged; choose a new folder")
        if number == 0 and facts.get(FORMAT) != VERSION:
            raise ConfigError(f"--out: {path} is of another version; choose a new folder")
        if number == 0 and facts.get("run") != run:
            raise ConfigError(f"--out: {path.parent} is of the run {facts.get('run')}; choose a new folder")
        whole += len(line)
        if unit := facts.get("unit"):
            if not _is_below(unit) or not all(_is_below(name) and "/" not in name for name in facts.get("names", [])):
                raise ConfigError(f"--out: {path} names files outside of its folder; choose a new folder")
            units.pop(unit, None)
            if not facts.get("removed"):
                units[unit] = facts
    file.truncate(whole)
    file.seek(whole)
    return units
