"""Write and read the write-ahead journal of acts on files, which `undo` reads.

Each event is a line of JSON: {"n": 1, "state": "begin", ...} names an act, its file, and all that is needed to take the
act back; {"n": 1, "state": "done"}, "failed" or "undone" gives the act's outcome. An act without an outcome was
interrupted: the disk shows how far the act came.

Guarantees after a power cut: the begin events of a group of acts, and the journal's own name, are on disk before the
first file of the group is touched. An outcome reaches the disk after the changes that it records; if an outcome is
lost, the disk shows the same. A torn last line, and lines that hold zeros, belong to acts that were not begun.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.messages.errors import ConfigError
from pipeline.store.atomic import sync_folder
from stages.commands.apply.actions import ACTIONS, LINKS, MERGE
from stages.commands.apply.acts.act import path_in
from stages.commands.apply.acts.names import OURS

FORMAT = "fast-diff-journal"
VERSION = 2
"""Version of the format, in a journal's first line. Since version 2, every act has `temporary`, which `undo` needs."""
ENDED = ("done", "failed", "undone")
FOREIGN = "not an event of a journal; expected a file that only fast-diff wrote to"
HexPath = Annotated[str, Field(pattern="^(0[1-9a-f]|[1-9a-f][0-9a-f])+$")]
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]
Id = Annotated[int, Field(ge=0, lt=(1 << 32) - 1)]
SECONDS = (1 << 63) - 1
"""The largest time of a file, in seconds."""


class Begun(BaseModel):
    """The begin event of an act, with paths in hex.

    made    number of folders that the act makes
    image   image of a companion
    before  old bytes of a sidecar in hex; None for a new sidecar
    after   new bytes of a sidecar in hex"""

    model_config = ConfigDict(strict=True)

    n: Annotated[int, Field(ge=1, lt=1 << 63)]
    action: str
    path: HexPath
    keeper: HexPath
    shown: str
    bytes: Annotated[int, Field(ge=0, lt=1 << 63)]
    mtime_ns: Annotated[int, Field(ge=-SECONDS * 10**9, le=SECONDS * 10**9)]
    digest: str
    mode: Annotated[int, Field(ge=0, lt=1 << 32)]
    temporary: HexPath
    to: HexPath | None = None
    image: HexPath | None = None
    made: Annotated[int, Field(ge=0, lt=1 << 12)] = 0
    owner: tuple[Id, Id] | None = None
    attributes: dict[HexPath, Hex] | None = None
    before: Hex | None = None
    after: Hex | None = None


@dataclass
class History:
    """The content of a journal.

    acts    acts in order, each with its last state
    broken  a message per invalid line"""

    acts: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    last: int = 0
    """The highest act number in use."""


class Journal(contextlib.AbstractContextManager["Journal"]):
    """A journal to append events to.

    Raises OSError where the journal can't be written; no act may follow such an error."""

    def __init__(self, path: Path) -> None:
        new = not path.exists() or not path.stat().st_size
        self._last = 0 if new else read_journal(path).last
        self._file = path.open("ab+")
        self.path = path
        try:
            if new:
                self._write({FORMAT: VERSION})
                self.sync()
                sync_folder(path.parent)
            else:  # a torn last line is cut off, else the next event would be appended to the line
                self._file.seek(0)
                self._file.truncate(self._file.read().rfind(b"\n") + 1)
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def begin(self, act: Mapping[str, Any]) -> int:
        """Write the begin event of an act; return the act's number.

        The act may begin once `sync` has returned."""
        self._last += 1
        self._write({"n": self._last, "state": "begin", **act})
        return self._last

    def end(self, number: int, state: str, **more: Any) -> None:
        """Write the outcome of an act."""
        self._write({"n": number, "state": state, **more})

    def sync(self) -> None:
        """Flush and sync all events written so far."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, event: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(event).encode() + b"\n")


def read_journal(path: Path) -> History:
    """Read a journal.

    Raises ConfigError where the file is not a journal, or has another version of the format."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror or error})") from error
    lines = text.split("\n")[:-1]  # an unfinished last line was torn by a crash
    _check_format(_event(lines[0]) if lines else None, path)
    found = History()
    acts: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line or "\0" in line:  # a power cut leaves zeros of pages that were not synced; JSON has none
            continue
        event = _event(line)
        if isinstance(event, dict) and type(event.get("n")) is int:
            found.last = max(found.last, event["n"])
        if not _is_event(event):
            found.broken.append(f"line {number}: {FOREIGN}")
        elif event["state"] == "begin" and event["n"] not in acts:
            acts[event["n"]] = event
        elif event["state"] != "begin" and event["n"] in acts:
            acts[event["n"]] |= {"state": event["state"]}
        else:
            what = "begins twice" if event["n"] in acts else "ends but does not begin"
            found.broken.append(f"line {number}: act {event['n']} {what}; expected an unchanged journal")
    found.acts = list(acts.values())
    return found


def _check_format(head: Any, path: Path) -> None:
    """Raise ConfigError unless a journal's first line names the expected format."""
    version = head.get(FORMAT) if isinstance(head, dict) and len(head) == 1 else None
    if type(version) is not int:
        raise ConfigError(f"{path} is not a journal of fast-diff; expected a file that `fast-diff apply` wrote")
    if version != VERSION:
        raise ConfigError(
            f"{path}: written by {'an earlier' if version < VERSION else 'a later'} version of fast-diff: expected "
            f"format {VERSION}, got {version}. Undo it with the version that wrote it."
        )


def _event(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_event(event: Any) -> bool:
    """Return whether a line is a valid event.

    A begin event must have all fields that its action needs."""
    if not isinstance(event, dict) or type(event.get("n")) is not int:
        return False
    if event.get("state") != "begin":
        return event.get("state") in ENDED
    try:
        act = Begun.model_validate_json(json.dumps(event))
    except ValidationError:
        return False
    path, temporary = path_in(act.path), path_in(act.temporary)
    return (
        act.action in (*ACTIONS, MERGE)
        and path.is_absolute()
        and temporary.parent == path.parent
        and OURS.fullmatch(temporary.name) is not None
        and (act.action != "move" or act.to is not None)
        and (act.action not in LINKS or act.owner is not None)
        and (act.action != MERGE or (act.after is not None and (act.before is None or act.owner is not None)))
    )
