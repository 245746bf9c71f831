"""Lock an output on this machine by a lock file that is created exclusively.

One process at a time replaces a dead owner's lock, under `flock` if the file system supports `flock`. Many file systems
do not support `flock` between hosts. On such a file system the lease alone decides: the dead lock is renamed before a
new lock is created, another run's lock that was renamed by mistake is put back, and an owner whose heartbeat finds
another run's lock stops.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.store.owner import identity, is_alive, parsed
from pipeline.store.regular import irregular, regular, remove_irregular

HEARTBEAT = 5.0
"""Seconds between two heartbeats."""
UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of `flock` on file systems that do not support `flock`."""
NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EMLINK}
"""Errors of `link` on file systems that have no hard links."""
WRITE_TIMEOUT = 2.0
"""Seconds within which a lock created without a hard link gets its content."""


class FileLock:
    """A lock file in a folder of this machine. Every method raises OSError."""

    heartbeat = HEARTBEAT

    def __init__(self, folder: Path, token: str) -> None:
        self.path, self.token = folder / ".lock", token
        self.note = ""
        self._links = True

    def take(self) -> dict[str, Any] | None:
        """Take the lock and return None, or return the owner; {} if not yet written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return None if self._create() else self._take_over()

    def release(self) -> None:
        if self.owner().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def beat(self) -> bool:
        """Renew the lease; return whether this run still holds the lock."""
        if self.owner().get("token") != self.token:
            return False
        os.utime(self.path)
        return True

    def owner(self) -> dict[str, Any]:
        """Return the owner in the lock; empty if the lock is missing or damaged."""
        return _owner_in(self.path)

    def _create(self) -> bool:
        """Create the lock; return False if a lock exists."""
        # A link appears together with its content: no reader sees a lock without an owner.
        draft = self.path.with_name(f".lock.{self.token}.tmp")
        text = json.dumps(identity(self.token))
        try:
            draft.write_text(text)
            os.link(draft, self.path)
        except (FileExistsError, FileNotFoundError):  # not found: the owner's sweep removed the draft
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
        """Create the lock without a hard link: the lock is empty for a moment."""
        try:
            with self.path.open("x") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> dict[str, Any] | None:
        """Replace a dead owner's lock; return None or an owner, as `take` does."""
        with self._guard():
            owner = self.owner()
            if owner and is_alive(owner, self._since_heartbeat):
                return owner
            if not owner and self._is_being_written():
                return {}
            if self.path.is_dir():
                raise irregular(self.path)
            other = self._removed(owner)
            if other is not None:
                return other
            return None if self._create() else {}

    def _is_being_written(self) -> bool:
        """Return whether another process may still write the owner into an empty lock."""
        try:
            return not self._links and self._since_heartbeat() < WRITE_TIMEOUT
        except FileNotFoundError:  # the other process has released the lock
            return False

    def _removed(self, dead: Mapping[str, Any]) -> dict[str, Any] | None:
        """Remove a dead owner's lock and return None, or return the new owner.

        Another host, which `flock` may not reach, may have replaced the dead lock meanwhile. Then the lock of the other
        host is put back."""
        aside = self.path.with_name(f".lock.{self.token}.dead.tmp")
        try:
            self.path.replace(aside)
        except FileNotFoundError:
            return None
        try:
            found = _owner_in(aside)
            if found == dead:
                return None
            with contextlib.suppress(OSError):  # a third run holds the lock: the owner `found` stops at its heartbeat
                if self._links:
                    os.link(aside, self.path)
                elif found:
                    self._create_in_place(json.dumps(found))
            return found
        finally:
            aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep other processes from replacing the lock, if `flock` works."""
        path = self.path.with_name(".lock.guard")
        remove_irregular(path)
        with open(path, "w", opener=regular) as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                self.note = (
                    f"{self.path.parent}: this file system does not support flock, so only the heartbeat in .lock "
                    f"protects a run: two runs that start at the same moment may overlap for {HEARTBEAT:.0f} s"
                )
            yield

    def _since_heartbeat(self) -> float:
        probe = self.path.with_name(f".lock.{self.token}.probe.tmp")
        try:
            with probe.open("w") as file:  # the owner's sweep may remove the probe meanwhile
                return os.fstat(file.fileno()).st_mtime - self.path.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _owner_in(path: Path) -> dict[str, Any]:
    """Return the owner in a lock file; empty if the file is missing or damaged."""
    try:
        with open(path, "rb", opener=regular) as file:
            return parsed(file.read())
    except OSError:
        return {}
