"""One run at a time on an output.

The lock is a file made by exclusive create. It names its owner (host, boot, PID namespace, process and that process's
start), so that a killed run does not lock the output for ever. A process that shares all of the first three with the
owner looks the owner up in the process table. Any other process goes by the heartbeat: the lock is a lease, and lasts
DEAD_AFTER seconds after the last heartbeat. Ages are differences to a file made at that moment in the same
folder, so the clocks of two hosts need not agree.

One process at a time replaces a dead owner's lock, under `flock` where the file system has it. Many have none between
hosts. There the lease alone decides: the dead lock is renamed before it is replaced, a lock that turns out to be
another run's is put back, and an owner whose heartbeat finds another run's lock stops.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.messages.errors import ConfigError, LockedError
from pipeline.store.backends.locations import Place, mask
from pipeline.store.backends.object_lock import ObjectLock
from pipeline.store.owner import DEAD_AFTER, identity, is_alive, parsed
from pipeline.store.regular import irregular, regular, remove_irregular

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of `flock` on file systems that have no such lock."""
NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EMLINK}
"""Errors of `link` on file systems that have no hard links."""
NAMED_SOON = 2.0
"""Seconds after which a lock made without a hard link names its owner."""


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
                f"({mask(str(error.strerror or error))}); name another folder with --set output=FOLDER"
            ) from error
        if owner:
            raise LockedError(
                f"{self._folder} is in use by another run (process {owner.get('pid')} on {owner.get('host')}); "
                f"wait for it to end (a killed run counts as dead after {DEAD_AFTER:.0f} s), or choose another name "
                "with --set run=NAME"
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

    def __init__(self, folder: Path, token: str) -> None:
        self.path, self.token = folder / ".lock", token
        self.note = ""
        self._links = True

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

    def owner(self) -> dict[str, Any]:
        """Return the owner that the lock names; empty where there is no lock, or a damaged one."""
        return _owner_in(self.path)

    def _create(self) -> bool:
        """Make the lock unless there is one; whether it was made. Raises OSError."""
        # A link appears with its content: no reader ever meets a lock that does not yet name its owner.
        draft = self.path.with_name(f".lock.{self.token}.tmp")
        text = json.dumps(identity(self.token))
        try:
            draft.write_text(text)
            os.link(draft, self.path)
        except (FileExistsError, FileNotFoundError):  # the latter: an owner's sweep has removed the draft
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._links = False
            return self._create_in_place(text)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _create_in_place(self, text: str) -> bool:
        """The same on a file system without hard links: for a moment the lock is empty."""
        try:
            with self.path.open("x") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> dict[str, Any] | None:
        """Replace a dead owner's lock; one taker at a time looks and replaces."""
        with self._guard():
            owner = self.owner()
            if owner and is_alive(owner, self._since_heartbeat):
                return owner
            if not owner and self._names_soon():
                return {}
            if self.path.is_dir():
                raise irregular(self.path)
            other = self._removed(owner)
            if other is not None:
                return other
            return None if self._create() else {}

    def _names_soon(self) -> bool:
        """Return whether the lock, which names no owner, may name one in a moment: see `_create_in_place`."""
        try:
            return not self._links and self._since_heartbeat() < NAMED_SOON
        except FileNotFoundError:  # released since
            return False

    def _removed(self, dead: Mapping[str, Any]) -> dict[str, Any] | None:
        """Remove a dead owner's lock. Return None, or the owner of a lock that has replaced it, which is put back.

        Between the look and this, another host may have replaced the lock: `flock` need not reach that host."""
        aside = self.path.with_name(f".lock.{self.token}.dead.tmp")
        try:
            self.path.replace(aside)
        except FileNotFoundError:
            return None
        try:
            found = _owner_in(aside)
            if found == dead:
                return None
            with contextlib.suppress(OSError):  # a third run has made its own: the heartbeat of that owner finds it
                if self._links:
                    os.link(aside, self.path)
                elif found:
                    self._create_in_place(json.dumps(found))
            return found
        finally:
            aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep other processes from replacing the lock meanwhile, where the file system supports `flock`."""
        path = self.path.with_name(".lock.guard")
        remove_irregular(path)
        with open(path, "w", opener=regular) as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                self.note = (
                    f"{self.path.parent}: this file system has no locks, so a run relies on the heartbeat in .lock "
                    f"alone: two runs that begin there at the same moment may not see each other for {HEARTBEAT:.0f} s"
                )
            yield

    def _since_heartbeat(self) -> float:
        probe = self.path.with_name(f".lock.{self.token}.probe.tmp")
        try:
            with probe.open("w") as file:  # the owner's sweep may remove it meanwhile
                return os.fstat(file.fileno()).st_mtime - self.path.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _owner_in(path: Path) -> dict[str, Any]:
    """Return the owner that a lock file names; empty where there is no file, or a damaged one."""
    try:
        with open(path, "rb", opener=regular) as file:
            return parsed(file.read())
    except OSError:
        return {}


def holder(folder: Path) -> Mapping[str, Any] | None:
    """Who works in a run's folder now, by the lock that lies there: for whoever only reads, and leaves nothing behind.
    So of an owner on another host this machine's clock has to tell whether it lives."""
    lock = FileLock(folder, "")
    owner = lock.owner()
    return owner if owner and is_alive(owner, lambda: time.time() - lock.path.stat().st_mtime) else None
