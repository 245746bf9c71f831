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
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.errors import ConfigError, LockedError

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
DEAD_AFTER = 60.0
"""Seconds without one after which an owner on another host counts as dead."""


class RunLock:
    """Context manager that holds `<folder>/.lock`.

    Raises LockedError if another run holds it, ConfigError if the folder can't be written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self.token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock-heartbeat", daemon=True)

    def __enter__(self) -> RunLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._create():
                self._take_over()
        except OSError as error:
            raise ConfigError(
                f"output: can't write to {self.path.parent} ({error.strerror}); "
                "name another folder with --set output=FOLDER"
            ) from error
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._owner().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        owner = {"token": self.token, "host": socket.gethostname(), "boot": _boot_id(), **_process(os.getpid())}
        # A link appears with its content: no reader ever meets a lock that does not yet name its owner.
        draft = self.path.with_name(f".lock.{self.token}.tmp")
        try:
            draft.write_text(json.dumps(owner))
            os.link(draft, self.path)
            return True
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)

    def _owner(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _take_over(self) -> None:
        """Replace a dead owner's lock; one taker at a time looks and replaces."""
        with self.path.with_name(".lock.guard").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            owner = self._owner()
            if owner and self._alive(owner):
                raise LockedError(
                    f"{self.path.parent} is in use by another run (process {owner.get('pid')} on "
                    f"{owner.get('host')}); wait for it to end, or choose another name with --set run=NAME"
                )
            self.path.unlink(missing_ok=True)
            if not self._create():
                raise LockedError(f"{self.path.parent}: another run has just started there; wait for it to end")

    def _alive(self, owner: dict[str, Any]) -> bool:
        if owner.get("host") == socket.gethostname():
            if owner.get("boot") != _boot_id():
                return False
            return _process(int(owner.get("pid", -1))).get("started", "gone") == owner.get("started")
        probe = self.path.with_name(f".lock.{self.token}.probe.tmp")
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime < DEAD_AFTER
        except FileNotFoundError:
            return False
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self.path)


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
