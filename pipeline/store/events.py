"""The run's event log: what varies from run to run stands here and in no artifact.

One JSON object a line. A run that has something to tell first drops what nobody will ask for again: of the runs before
it there stays, for each artifact that is still on disk, the event of the task that last computed it. So the log grows
with the artifacts, not with the runs, and who asks how an artifact came about finds the answer however long ago that
was. A run that finds everything done leaves the log as it is, unread.
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
from pipeline.store.backends.files import Files
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import read_bytes, write_bytes
from pipeline.store.regular import regular
from pipeline.store.store import RETIRED, Store

LOG = ".events.jsonl"
"""Its name in the run's folder."""
EVERY = 30.0
"""Seconds between two puts of the log to an object store."""
SHARE = 20.0
"""So many times as long as it took, at least, a put is followed by none."""
FRAME = ("plan", "end")
"""Events of every run, whatever happens in it."""

Event: TypeAlias = Mapping[str, Any]

log = logging.getLogger("fast_diff.files")


class EventLog(Json):
    """Writes the log; only for the holder of the run's lock.

    An object store can't append: there the log is written to a local file, and put as a whole now and then. A log that
    can't be written (a full disk) is given up: it must not end the run. A put that failed is left to the next one."""

    def __init__(self, path: Place, files: Files | None = None) -> None:
        """`files`: of the run's folder, if they are listed already."""
        super().__init__(io.StringIO())  # what is said before there is anything to tell
        self._path, self._files = path, files
        self._opened = self._broken = False
        self._next = time.monotonic() + EVERY

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
        """Shorten the log, and go on where it ends. Raises OSError."""
        if self._opened:
            return
        self._opened = True
        files = self._files or Store(self._path.parent).files
        said = self._stream
        assert isinstance(said, io.StringIO)
        if isinstance(self._path, Path):
            _shorten(self._path, files)
            self._stream = open(self._path, "a", encoding="utf-8", opener=regular)  # noqa: SIM115  # `end` closes it
        else:
            self._stream = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # `end` closes it
            self._stream.writelines(_kept(self._path, files))
        self._stream.write(said.getvalue())

    def put(self) -> None:
        """Let readers see what has been written so far."""
        if self._broken or not self._opened or isinstance(self._path, Path):
            return
        started = time.monotonic()
        with contextlib.suppress(OSError):
            self._stream.seek(0)
            write_bytes(self._path, self._stream.read().encode())
        self._next = time.monotonic() + max(EVERY, SHARE * (time.monotonic() - started))

    def end(self) -> None:
        super().end()
        self.put()
        with contextlib.suppress(OSError):
            self._stream.close()


def computed(folder: Place, stage: str) -> dict[str, Event]:
    """By name, the artifacts of a stage and the events of the tasks that last computed them, as far as a run's log
    knows; artifacts that are no longer there may be among them."""
    found: dict[str, Event] = {}
    for (made_by, name), event, _ in _computations(folder / LOG):
        if made_by == stage:
            found.pop(name, None)  # the latest last
            found[name] = event
    return found


def seconds(folder: Place, names: Mapping[str, Collection[str]]) -> dict[str, float]:
    """What the tasks took, added up, that made the artifacts `names` of each stage, as far as a run's log knows."""
    wanted = {(stage, name) for stage, of_stage in names.items() for name in of_stage}
    last = {address: event for address, event, _ in _computations(folder / LOG) if address in wanted}
    found = dict.fromkeys(names, 0.0)
    for (stage, _), event in last.items():
        spent = event.get("seconds")
        if isinstance(spent, int | float) and math.isfinite(spent):
            found[stage] += spent
    return found


def _computations(path: Place) -> Iterator[tuple[tuple[str, str], Event, str]]:
    """Stage and name of each artifact that was computed, its event and its line; one may come more than once."""
    for event, line in _read(path):
        if event.get("event") == "task" and event.get("how") == "run":
            yield (str(event.get("stage")), str(event.get("artifact"))), event, line


def _read(path: Place) -> Iterator[tuple[Event, str]]:
    """Events and their lines, in order. A line that was torn by a crash is skipped; no log is an empty one."""
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
        log.warning("%s can't be read (%s); what earlier runs left there is lost", path, error.strerror or error)
    if bad > 1 or (bad and last != number):  # the last line alone: a run was killed, or is at work
        log.warning("%s is damaged: %d of its lines can't be read and are skipped", path, bad)


def _opened(path: Place) -> IO[str]:
    if isinstance(path, Path):
        return open(path, encoding="utf-8", errors="replace", opener=regular)
    return io.StringIO(read_bytes(path).decode("utf-8", "replace"))


def _parsed(line: str) -> Event | None:
    """The event in a line of the log; None where there is none."""
    with contextlib.suppress(ValueError, RecursionError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    return None


def _shorten(path: Path, files: Files) -> None:
    """Keep what later runs may ask for. Raises OSError, and leaves the log as it is then."""
    if os.path.lexists(path):
        kept = _kept(path, files)
        with atomic_write(path) as file:
            file.writelines(line.encode() for line in kept)


def _kept(path: Place, files: Files) -> list[str]:
    """Lines of artifacts that this run or an earlier one made and that were not pruned."""
    found: dict[tuple[str, str], str] = {}
    for address, _, line in _computations(path):
        found.pop(address, None)  # the latest last
        found[address] = line
    stages = {stage for stage, _ in found}
    there = {stage: {*files.names(stage), *files.names(f"{stage}/{RETIRED}")} for stage in stages}
    return [line for (stage, name), line in found.items() if name in there[stage]]
