"""Allow one run at a time on an output, by a lock in the run's folder.

A killed run does not lock the output forever, since the lock names its owner: host, boot, PID namespace, PID, and start
time of the process. A process of the same host, boot and namespace looks the owner up in the process table. Any other
process relies on the heartbeat: the lock is a lease that expires DEAD_AFTER seconds after the last heartbeat. The age
of a heartbeat is measured against a new file in the same folder, so the clocks of two hosts need not agree.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.messages.errors import ConfigError, LockedError
from pipeline.store.backends.file_lock import FileLock
from pipeline.store.backends.locations import Place, mask
from pipeline.store.backends.object_lock import ObjectLock
from pipeline.store.owner import DEAD_AFTER, is_alive


class RunLock:
    """Context manager that holds `<folder>/.lock`; `note` is a warning, or empty.

    Raises LockedError if another run holds the lock, ConfigError if the folder can't be written."""

    def __init__(self, folder: Place) -> None:
        self.token = uuid.uuid4().hex
        self._folder = folder
        self._lock: FileLock | ObjectLock
        if isinstance(folder, Path):
            self._lock = FileLock(folder, self.token)
        else:
            self._lock = ObjectLock(folder, self.token)
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
                f"output: can't write to {mask(str(error.filename or self._folder))} "
                f"({mask(str(error.strerror or error))}); name another folder with --output FOLDER"
            ) from error
        if owner:
            raise LockedError(
                f"{self._folder} is in use by another run (process {owner.get('pid')} on {owner.get('host')}); "
                f"wait for that run to end (a killed run counts as dead after {DEAD_AFTER:.0f} s), or choose another "
                "name with --set run=NAME"
            )
        if owner is not None:
            raise LockedError(f"{self._folder}: another run has just started in this folder; wait for that run to end")
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
        """Return whether this run held the lock at the last heartbeat."""
        return not self._lost.is_set()

    def check(self, now: bool = False) -> None:
        """Raise LockedError if another run took the lock; `now` reads the lock again.

        A run on another host replaces the lock of a run that paused for longer than DEAD_AFTER."""
        if now:
            self._heartbeat()
        if not self.held:
            raise LockedError(
                f"{self._folder}: this run paused for so long that another run has taken over; finished work is kept, "
                "and the other run continues from there"
            )

    def _beat(self) -> None:
        while not self._stop.wait(self._lock.heartbeat) and self.held:
            self._heartbeat()

    def _heartbeat(self) -> None:
        with contextlib.suppress(OSError):
            if not self._lock.beat():
                self._lost.set()


def holder(folder: Path) -> Mapping[str, Any] | None:
    """Return the owner of a folder's lock if the owner is alive, or None.

    No file is created: the heartbeat of an owner on another host is compared with this machine's clock."""
    lock = FileLock(folder, "")
    owner = lock.owner()
    return owner if owner and is_alive(owner, lambda: time.time() - lock.path.stat().st_mtime) else None
