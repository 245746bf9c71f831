"""What was done to files, written down before and after each act, so that it can be taken back.

A line of JSON an event: {"n": 1, "state": "begin", ...} says what is going to be done to which file, and all that is
needed to take it back; {"n": 1, "state": "done"}, "failed" or "undone" what came of it. An act that was begun and not
ended was interrupted: the disk says how far it came.

What is promised after a power cut: before the first file of a group of acts is touched, the events of their begin are
on disk, and the journal's own name is. Events of an end are on disk after what they tell of; where they are lost, the
disk says the same. A last line without its end, and zeros in place of lines, are of acts that were not begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.atomic import sync_folder
from pipeline.errors import ConfigError
from stages.commands.acts.act import path_in
from stages.commands.acts.names import OURS
from stages.commands.choices import ACTIONS, LINKS

FORMAT = "fast-diff-journal"
VERSION = 2
"""Of the format, in a journal's first line; since 2 every act has the name `temporary`, which taking it back needs."""
ENDED = ("done", "failed", "undone")
FOREIGN = "not of a journal; expected one that fast-diff alone has written"
Name = Annotated[str, Field(pattern="^(0[1-9a-f]|[1-9a-f][0-9a-f])+$")]
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]
Id = Annotated[int, Field(ge=0, lt=(1 << 32) - 1)]
SECONDS = (1 << 63) - 1
"""As many as a system's time may have."""


class Begun(BaseModel):
    """What is known of every act that was begun; names in hex. `made`: how many folders it made."""

    model_config = ConfigDict(strict=True, extra="allow")

    n: Annotated[int, Field(ge=1, lt=1 << 63)]
    action: str
    path: Name
    keeper: Name
    shown: str
    bytes: Annotated[int, Field(ge=0, lt=1 << 63)]
    mtime_ns: Annotated[int, Field(ge=-SECONDS * 10**9, le=SECONDS * 10**9)]
    digest: str
    mode: Annotated[int, Field(ge=0, lt=1 << 32)]
    temporary: Name
    to: Name | None = None
    made: Annotated[int, Field(ge=0, lt=1 << 12)] = 0
    owner: tuple[Id, Id] | None = None
    attributes: dict[Name, Hex] | None = None


@dataclass
class Told:
    """What a journal tells: acts in order, each with its last state, and what is wrong with other lines of it."""

    acts: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    last: int = 0
    """The highest number that is in use."""


class Journal:
    """Appends to a journal. Raises OSError where it can't be written: then nothing more may be done."""

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
            else:
                self._drop_torn_line()
        except BaseException:
            self._file.close()
            raise

    def _drop_torn_line(self) -> None:
        """What a crash left of the last line would run together with the next."""
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def begin(self, act: Mapping[str, Any]) -> int:
        """Write that an act is going to be done, once `sync` has returned; return its number."""
        self._last += 1
        self._write({"n": self._last, "state": "begin", **act})
        return self._last

    def end(self, number: int, state: str, **more: Any) -> None:
        """Write what came of an act."""
        self._write({"n": number, "state": state, **more})

    def sync(self) -> None:
        """Have on disk what was written."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, event: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(event).encode() + b"\n")


def read_journal(path: Path) -> Told:
    """Read a journal. Raises ConfigError where the file is none, or one of another version of its format."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror or error})") from error
    lines = text.split("\n")[:-1]  # what follows the last end of a line was torn by a crash
    _check_format(_event(lines[0]) if lines else None, path)
    told = Told()
    acts: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip("\0"):
            continue
        event = _event(line)
        if isinstance(event, dict) and type(event.get("n")) is int:
            told.last = max(told.last, event["n"])
        if not _is_event(event):
            told.broken.append(f"line {number}: {FOREIGN}")
        elif event["state"] == "begin" and event["n"] not in acts:
            acts[event["n"]] = event
        elif event["state"] != "begin" and event["n"] in acts:
            acts[event["n"]] |= {"state": event["state"]}
        else:
            what = "was begun before" if event["n"] in acts else "ended and was never begun"
            told.broken.append(f"line {number}: act {event['n']} {what}; expected an unchanged journal")
    told.acts = list(acts.values())
    return told


def _check_format(head: Any, path: Path) -> None:
    """Raise ConfigError unless a journal's first line names the format that this version reads."""
    version = head.get(FORMAT) if isinstance(head, dict) and len(head) == 1 else None
    if type(version) is not int:
        raise ConfigError(f"{path} is no journal of fast-diff; expected one that `fast-diff apply` has written")
    if version != VERSION:
        raise ConfigError(
            f"{path}: written by {'an earlier' if version < VERSION else 'a later'} version of fast-diff: expected "
            f"format {VERSION}, got {version}. Take it back with the version that wrote it."
        )


def _event(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_event(event: Any) -> bool:
    """Return whether a line tells of an act, and of one that was begun all that its action needs."""
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
        act.action in ACTIONS
        and path.is_absolute()
        and temporary.parent == path.parent
        and OURS.fullmatch(temporary.name) is not None
        and (act.action != "move" or act.to is not None)
        and (act.action not in LINKS or act.owner is not None)
    )
