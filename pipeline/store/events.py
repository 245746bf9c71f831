"""Write and read the event log of a run, which has one JSON object per line.

Events hold data that vary from run to run, such as times.

Before a run appends its first event, the run shortens the log: for each artifact that still exists, the log keeps the
event of the task that last computed the artifact. All other events of earlier runs are dropped. So the log grows with
the artifacts, not with the runs, and holds the event of every artifact, however old. A run without stale tasks does not
read or change the log.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from pipeline.execution.progress import Json
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import read_bytes, write_bytes
from pipeline.store.regular import regular
from pipeline.store.store import RETIRED, Files, Store

LOG = ".events.jsonl"
"""Name of the event log in the run's folder."""
PUT_INTERVAL = 30.0
"""Seconds between two puts of the log to an object store."""
SHARE = 20.0
"""Least pause after a put, in multiples of the time that the put took."""
FRAME = ("plan", "end")
"""Events of every run, with or without stale tasks."""

Event: TypeAlias = Mapping[str, Any]

log = logging.getLogger("fast_diff.files")


class EventLog(Json):
    """Writer of the event log, for the process that holds the run's lock.

    Object stores can't append. For an object store, the log is written to a local file, and put as a whole every
    PUT_INTERVAL seconds. A failed put is ignored: the next put includes the same events. A failed write, as on a full
    disk, ends the log and not the run.

    files  the files of the run's folder, if already listed"""

    def __init__(self, path: Place, files: Files | None = None) -> None:
        super().__init__(io.StringIO())  # holds the events of FRAME until `_open`
        self._path, self._files = path, files
        self._opened = self._broken = False
        self._next = time.monotonic() + PUT_INTERVAL

    def _say(self, event: str, **fields: Any) -> None:
        if self._broken or event == "cluster" or fields.get("how") == "skipped":
            return
        try:
            if event not in FRAME:
                self._open()
            super()._say(event, **fields)
        except OSError as error:
            self._broken = True
            log.warning("%s can't be written (%s); this run leaves no events", self._path, error.strerror or error)
        if time.monotonic() > self._next:
            self.put()

    def _open(self) -> None:
        """Shorten the log and open the log for appending. Raises OSError."""
        if self._opened:
            return
        self._opened = True
        files = self._files or Store(self._path.parent).files
        begun = self._stream
        assert isinstance(begun, io.StringIO)
        if isinstance(self._path, Path):
            _shorten(self._path, files)
            self._stream = open(self._path, "a", encoding="utf-8", opener=regular)  # noqa: SIM115  # `end` closes it
        else:
            self._stream = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # `end` closes it
            self._stream.writelines(_kept(self._path, files))
        self._stream.write(begun.getvalue())

    def put(self) -> None:
        """Put the log to an object store, so that readers see the events so far."""
        if self._broken or not self._opened or isinstance(self._path, Path):
            return
        started = time.monotonic()
        with contextlib.suppress(OSError):
            self._stream.seek(0)
            write_bytes(self._path, self._stream.read().encode())
        self._next = time.monotonic() + max(PUT_INTERVAL, SHARE * (time.monotonic() - started))

    def end(self) -> None:
        super().end()
        self.put()
        with contextlib.suppress(OSError):
            self._stream.close()


def computed(folder: Place, stage: str) -> dict[str, Event]:
    """Return the event of the last computation of each artifact of a stage, by name.

    Deleted artifacts may be included; artifacts without an event in the log are missing."""
    found: dict[str, Event] = {}
    for (made_by, name), event, _ in _computations(folder / LOG):
        if made_by == stage:
            found.pop(name, None)  # a key keeps its first place in a dict: move the latest event to the end
            found[name] = event
    return found


def seconds(folder: Place, names: Mapping[str, Collection[str]]) -> dict[str, float]:
    """Return the total seconds of the tasks that made the artifacts `names`."""
    wanted = {(stage, name) for stage, of_stage in names.items() for name in of_stage}
    last = {address: event for address, event, _ in _computations(folder / LOG) if address in wanted}
    found = dict.fromkeys(names, 0.0)
    for (stage, _), event in last.items():
        spent = event.get("seconds")
        if isinstance(spent, int | float) and math.isfinite(spent):
            found[stage] += spent
    return found


def _computations(path: Place) -> Iterator[tuple[tuple[str, str], Event, str]]:
    """Yield (stage, name), event and line of each computation, oldest first."""
    for event, line in _read(path):
        if event.get("event") == "task" and event.get("how") == "run":
            yield (str(event.get("stage")), str(event.get("artifact"))), event, line


def _read(path: Place) -> Iterator[tuple[Event, str]]:
    """Yield the event and the text of each intact line, oldest first."""
    number = bad = last = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                event = _parsed(line)
                if event is None:
                    bad, last = bad + 1, number
                else:
                    yield event, line if line.endswith("\n") else line + "\n"
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s can't be read (%s); the events of earlier runs are lost", path, error.strerror or error)
    if bad > 1 or (bad and last != number):  # only the last line is bad: a run was killed, or is running
        log.warning("%s is damaged: %d of its lines can't be read and are skipped", path, bad)


def _opened(path: Place) -> IO[str]:
    if isinstance(path, Path):
        return open(path, encoding="utf-8", errors="replace", opener=regular)
    return io.StringIO(read_bytes(path).decode("utf-8", "replace"))


def _parsed(line: str) -> Event | None:
    """Return the event in a line of the log; None if the line is damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    return None


def _shorten(path: Path, files: Files) -> None:
    """Rewrite the log with the lines of `_kept`; an OSError leaves the log as before."""
    if os.path.lexists(path):
        kept = _kept(path, files)
        with atomic_write(path) as file:
            file.writelines(line.encode() for line in kept)


def _kept(path: Place, files: Files) -> list[str]:
    """Return the last line of each artifact that exists, retired artifacts included."""
    found: dict[tuple[str, str], str] = {}
    for address, _, line in _computations(path):
        found.pop(address, None)  # a key keeps its first place in a dict: move the latest event to the end
        found[address] = line
    stages = {stage for stage, _ in found}
    there = {stage: {*files.names(stage), *files.names(f"{stage}/{RETIRED}")} for stage in stages}
    return [line for (stage, name), line in found.items() if name in there[stage]]
