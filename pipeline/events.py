"""The run's event log: what varies from run to run stands here and in no artifact.

One JSON object a line. A run begins by dropping what nobody will ask for again: of the runs before it there stays, for
each artifact that is still on disk, the event of the task that last computed it. So the log grows with the artifacts,
not with the runs, and who asks how an artifact came about finds the answer however long ago that was.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.atomic import atomic_write
from pipeline.progress import Json
from pipeline.store import RETIRED

LOG = ".events.jsonl"
"""Its name in the run's folder."""

Event: TypeAlias = Mapping[str, Any]


class EventLog(Json):
    """Writes the log; only for the holder of the run's lock.

    A log that can't be written (a full disk) is given up: it must not end the run."""

    def __init__(self, path: Path) -> None:
        self._broken = False
        try:
            _shorten(path)
            super().__init__(path.open("a", encoding="utf-8"))
        except OSError:
            self._broken = True

    def _say(self, event: str, **fields: Any) -> None:
        if self._broken or fields.get("how") == "skipped":
            return
        try:
            super()._say(event, **fields)
        except OSError:
            self._broken = True

    def end(self) -> None:
        super().end()
        if not self._broken:
            self._stream.close()


def computed(folder: Path, stage: str) -> dict[str, Event]:
    """By name, the artifacts of a stage and the events of the tasks that last computed them, as far as a run's log
    knows; artifacts that are no longer there may be among them."""
    return {name: event for (made_by, name), (event, _) in _computed(folder / LOG).items() if made_by == stage}


def _computed(path: Path) -> dict[tuple[str, str], tuple[Event, str]]:
    """The same of all stages, by stage and name, each with its line."""
    found: dict[tuple[str, str], tuple[Event, str]] = {}
    for event, line in _read(path):
        if event.get("event") == "task" and event.get("how") == "run":
            address = str(event.get("stage")), str(event.get("artifact"))
            found.pop(address, None)  # the latest last
            found[address] = event, line
    return found


def _read(path: Path) -> Iterator[tuple[Event, str]]:
    """Events and their lines, in order. A line that was torn by a crash is skipped; no log is an empty one."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            event = None
            with contextlib.suppress(ValueError):
                event = json.loads(line)
            if isinstance(event, dict):
                yield event, line if line.endswith("\n") else line + "\n"


def _shorten(path: Path) -> None:
    """Keep what later runs may ask for. Raises OSError, and leaves the log as it is then."""
    found = _computed(path)
    there = {stage: _names(path.parent / stage) for stage, _ in found}
    if path.exists():
        with atomic_write(path) as file:
            file.writelines(line.encode() for (stage, name), (_, line) in found.items() if name in there[stage])


def _names(stage: Path) -> Collection[str]:
    """Artifacts that this run or an earlier one made and that were not pruned."""
    return {file.name for folder in (stage, stage / RETIRED) if folder.is_dir() for file in folder.iterdir()}
