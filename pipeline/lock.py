"""One run at a time on an output.

The lock is a file made by exclusive create. It names its owner (host, boot, process and that process's start), so
that a run which was killed does not lock the output for ever: on the same host the owner is looked up, on another
one the file's heartbeat decides. Times are compared with a file made at that moment in the same folder, so that
clocks of two hosts need not agree.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.errors import ConfigError, LockedError
from pipeline.locations import Place, mask
from pipeline.object_lock import ObjectLock

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
DEAD_AFTER = 60.0
"""Seconds without one after which an owner on another host counts as dead."""


class RunLock:
    """Context manager that holds `<folder>/.lock`; `note` is what the user should know of it.

    Raises LockedError if another run holds it, ConfigError if the folder can't be written."""

    def __init__(self, folder: Place) -> None:
        self.token = uuid.uuid4().hex
        self._folder = folder
        self._lock: FileLock | ObjectLock
        if isinstance(folder, Path):
            self._lock = FileLock(folder, self.token)
        else:
            self._lock = ObjectLock(folder, self.token, identity, is_alive)
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock-heartbeat", daemon=True)

    @property
    def note(self) -> str:
        return self._lock.note

    def __enter__(self) -> RunLock:
        try:
            owner = self._lock.take()
        except OSError as error:
            raise ConfigError(
                f"output: can't write to {self._folder} ({mask(str(error.strerror or error))}); "
                "name another folder with --set output=FOLDER"
            ) from error
        if owner:
            raise LockedError(
                f"{self._folder} is in use by another run (process {owner.get('pid')} on {owner.get('host')}); "
                "wait for it to end, or choose another name with --set run=NAME"
            )
        if owner is not None:
            raise LockedError(f"{self._folder}: another run has just started there; wait for it to end")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._lock.release()

    @property
    def held(self) -> bool:
        """Whether it was this run's still at the last sign of life."""
        return not self._lost.is_set()

    def check(self, now: bool = False) -> None:
        """Raises LockedError where another run, on another host, took this one for dead: it stood still for long.
        `now`: it is looked up, not told by the last sign of life."""
        if now:
            self._sign()
        if not self.held:
            raise LockedError(
                f"{self._folder}: this run stood still for so long that another one has taken its place; what was "
                "computed stands, and the other one goes on from it"
            )

    def _beat(self) -> None:
        while not self._stop.wait(self._lock.heartbeat) and self.held:
            self._sign()

    def _sign(self) -> None:
        with contextlib.suppress(OSError):
            if not self._lock.beat():
                self._lost.set()


class FileLock:
    """The lock as a file."""

    heartbeat = HEARTBEAT
    note = ""

    def __init__(self, folder: Path, token: str) -> None:
        self.path, self.token = folder / ".lock", token

    def take(self) -> dict[str, Any] | None:
        """Take the lock: None. Else who holds it, or nobody where it was taken just now. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return None if self._create() else self._take_over()

    def release(self) -> None:
        if self.owner().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def beat(self) -> bool:
        """Give a sign of life; whether the lock is this run's still. Raises OSError."""
        if self.owner().get("token") != self.token:
            return False
        os.utime(self.path)
        return True

    def _create(self) -> bool:
        # A link appears with its content: no reader ever meets a lock that does not yet name its owner.
        draft = self.path.with_name(f".lock.{self.token}.tmp")
        try:
            draft.write_text(json.dumps(identity(self.token)))
            os.link(draft, self.path)
            return True
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)

    def owner(self) -> dict[str, Any]:
        """What the lock says of whoever made it; empty where there is none."""
        try:
            return dict(json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _take_over(self) -> dict[str, Any] | None:
        """Replace a dead owner's lock; one taker at a time looks and replaces."""
        with self.path.with_name(".lock.guard").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            owner = self.owner()
            if owner and is_alive(owner, self._since_heartbeat):
                return owner
            self.path.unlink(missing_ok=True)
            return None if self._create() else {}

    def _since_heartbeat(self) -> float:
        probe = self.path.with_name(f".lock.{self.token}.probe.tmp")
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def holder(folder: Path) -> Mapping[str, Any] | None:
    """Who works in a run's folder now, by the lock that lies there: for whoever only reads, and leaves nothing behind.
    So of an owner on another host this machine's clock has to tell whether it lives."""
    lock = FileLock(folder, "")
    owner = lock.owner()
    return owner if owner and is_alive(owner, lambda: time.time() - lock.path.stat().st_mtime) else None


def identity(token: str) -> dict[str, Any]:
    """What a lock says of this process."""
    return {"token": token, "host": socket.gethostname(), "boot": _boot_id(), **_process(os.getpid())}


def is_alive(owner: Mapping[str, Any], since_heartbeat: Callable[[], float]) -> bool:
    """Whether a lock's owner still runs; its heartbeat is asked for only where it is of another host."""
    if owner.get("host") == socket.gethostname():
        if owner.get("boot") != _boot_id():
            return False
        return _process(int(owner.get("pid", -1))).get("started", "gone") == owner.get("started")
    try:
        return since_heartbeat() < DEAD_AFTER
    except FileNotFoundError:
        return False


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _process(pid: int) -> dict[str, Any]:
    """A process by number and start, since numbers are used again; `started` is absent if it does not run."""
    with contextlib.suppress(OSError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        if fields[0] != "Z":
            return {"pid": pid, "started": fields[19]}
        return {"pid": pid}
    with contextlib.suppress(OSError, OverflowError):
        if not Path("/proc/self/stat").exists():  # no /proc (macOS): a live number has to do
            os.kill(pid, 0)
            return {"pid": pid, "started": ""}
    return {"pid": pid}
