"""What was done to files, written down before and after each act, so that it can be taken back.

A line of JSON an event, on disk before the next step begins: {"n": 1, "state": "begin", ...} says what is going to be
done to which file, and all that is needed to take it back; {"n": 1, "state": "done"}, "failed" or "undone" what came of
it. An act that was begun and not ended was interrupted: the disk says how far it came.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from stages.commands.choices import ACTIONS, LINKS

FORMAT = {"fast-diff-journal": 1}
ENDED = ("done", "failed", "undone")
FOREIGN = "not of a journal; expected one that fast-diff alone has written"
Name = Annotated[str, Field(pattern="^(0[1-9a-f]|[1-9a-f][0-9a-f])+$")]
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]


class Begun(BaseModel):
    """What is known of every act that was begun; names in hex. `made`: how many folders it made."""

    model_config = ConfigDict(strict=True, extra="allow")

    action: str
    path: Name
    keeper: Name
    shown: str
    bytes: int
    mtime_ns: int
    digest: str
    mode: int
    to: Name | None = None
    made: int = 0
    temporary: Name | None = None
    owner: tuple[int, int] | None = None
    attributes: dict[Name, Hex] | None = None


class Journal:
    """Appends to a journal. Raises OSError where it can't be written: then nothing more may be done."""

    def __init__(self, path: Path) -> None:
        new = not path.exists() or not path.stat().st_size
        self._last = 0 if new else max((act["n"] for act in read_journal(path)), default=0)
        self._file = path.open("a+", encoding="utf-8")
        self.path = path
        try:
            if new:
                self._write(FORMAT)
                sync(path.parent)
            else:
                self._drop_torn_line()
        except BaseException:
            self._file.close()
            raise

    def _drop_torn_line(self) -> None:
        """What a crash left of the last line would run together with the next."""
        self._file.seek(0)
        text = self._file.read()
        if not text.endswith("\n"):
            self._file.truncate(len(text[: text.rfind("\n") + 1].encode()))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def begin(self, act: Mapping[str, Any]) -> int:
        """An act is going to be done; returns its number."""
        self._last += 1
        self._write({"n": self._last, "state": "begin", **act})
        return self._last

    def end(self, number: int, state: str, **more: Any) -> None:
        """What came of it."""
        self._write({"n": number, "state": state, **more})

    def _write(self, event: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """While files are acted on: one command of a user at a time on a machine, since one might take away what another
    keeps. The system lets go of the lock of a process that dies. Raises ConfigError where another one is at work."""
    folder = Path(tempfile.gettempdir()) / f"fast-diff-acts-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        number = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder} can't be written ({error.strerror}); it holds a lock: make room for it") from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError("another `apply` or `undo` of yours is at work; wait for it to end") from error
        yield
    finally:
        os.close(number)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Its acts in order, each with its last state. Raises ConfigError where the file is no journal.

    A last line that was torn by a crash is of an act that was not begun."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read ({getattr(error, 'strerror', None) or error})") from error
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise ConfigError(f"{path}, line {number}: {FOREIGN}") from error
        if number > 1 and not _is_event(event):
            raise ConfigError(f"{path}, line {number}: {FOREIGN}")
        events.append(event)
    if not events or events[0] != FORMAT:
        raise ConfigError(f"{path} is no journal of fast-diff; expected one that `fast-diff apply` has written")
    acts: dict[int, dict[str, Any]] = {}
    for event in events[1:]:
        if event["state"] != "begin" and event["n"] not in acts:
            raise ConfigError(f"{path}: act {event['n']} ended and was never begun; expected an unchanged journal")
        acts[event["n"]] = event if event["state"] == "begin" else acts[event["n"]] | {"state": event["state"]}
    return list(acts.values())


def _is_event(event: Any) -> bool:
    """Whether a line tells of an act, and of one that was begun all that its action needs."""
    if not isinstance(event, dict) or type(event.get("n")) is not int:
        return False
    if event.get("state") != "begin":
        return event.get("state") in ENDED
    try:
        act = Begun.model_validate_json(json.dumps(event))
    except ValidationError:
        return False
    return (
        act.action in ACTIONS
        and bool(act.to or act.action != "move")
        and bool(act.temporary or act.action not in LINKS)
    )


def sync(folder: Path) -> None:
    """Have names in a folder on disk, as far as its file system lets one."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
