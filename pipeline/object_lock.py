"""The lock of an output on an object store: an object that is put only if there is none (a conditional put).

Where the store knows no such put, or says so and puts all the same, a token is written and read back: who finds its own
there holds the lock. That leaves a gap of a request's length between two runs that begin at the same moment.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.locations import Place
from pipeline.storage import NoConditionalPut, create, delete, key_of, modified_ns, read_bytes, write_bytes

HEARTBEAT = 15.0
"""Seconds between two signs of life: a request each to read and to write."""
SETTLED = 2.0
"""Seconds after which a token that was written without a condition is read back."""
STALE = 60.0
"""Seconds after which the mark of one who takes over counts as left by one who died while doing so."""

Owner = dict[str, Any]


class ObjectLock:
    """The lock as an object; `identity(token)` names this process, `is_alive(owner, since)` tells of others."""

    heartbeat = HEARTBEAT

    def __init__(
        self,
        folder: Place,
        token: str,
        identity: Callable[[str], Owner],
        is_alive: Callable[[Mapping[str, Any], Callable[[], float]], bool],
    ) -> None:
        self._folder, self.token = folder, token
        self._identity, self._is_alive = identity, is_alive
        self.path = folder / ".lock"
        self.note = ""

    def take(self) -> Owner | None:
        """Take the lock: None. Else who holds it, or nobody where it was taken just now. Raises OSError."""
        try:
            if not create(self.path, self._text()):
                return self._take_over()
            if create(self.path, self._text() + b"\n"):  # another text, to tell whose put it was
                raise NoConditionalPut("put twice")
        except NoConditionalPut:
            return self._without_condition()
        return None

    def release(self) -> None:
        with contextlib.suppress(OSError):  # the next run finds this process gone
            if self._owner().get("token") == self.token:
                delete(self.path, [key_of(self.path)])

    def beat(self) -> bool:
        """Give a sign of life; whether the lock is this run's still. Raises OSError."""
        if self._owner().get("token") != self.token:
            return False
        write_bytes(self.path, self._text())
        return True

    def _text(self) -> bytes:
        return json.dumps(self._identity(self.token)).encode()

    def _owner(self) -> Owner:
        try:
            return dict(json.loads(read_bytes(self.path)))
        except (FileNotFoundError, ValueError, TypeError):
            return {}

    def _take_over(self) -> Owner | None:
        """Replace a dead owner's lock; one taker at a time may, the one who puts a mark that names that owner."""
        owner = self._owner()
        if owner and self._is_alive(owner, self._since_heartbeat):
            return owner
        mark = self._folder / f".lock.{owner.get('token', 'nobody')}.taken"
        if not create(mark, self._text()):
            if self._age(mark) < STALE:
                return {}
            delete(mark, [key_of(mark)])
            if not create(mark, self._text()):
                return {}
        try:
            now = self._owner()
            if now != owner:
                return now
            write_bytes(self.path, self._text())
            return None
        finally:
            delete(mark, [key_of(mark)])

    def _without_condition(self) -> Owner | None:
        self.note = (
            f"{self._folder}: this store knows no conditional put, so two runs that begin there at the same moment may "
            "not see each other"
        )
        owner = self._owner()
        if owner.get("token") not in (None, self.token) and self._is_alive(owner, self._since_heartbeat):
            return owner
        write_bytes(self.path, self._text())
        time.sleep(SETTLED)
        owner = self._owner()
        return None if owner.get("token") == self.token else owner

    def _since_heartbeat(self) -> float:
        return self._age(self.path)

    def _age(self, place: Place) -> float:
        """Seconds since an object was put, both times by the store's clock."""
        probe = self._folder / f".lock.{self.token}.probe"
        write_bytes(probe, b"")
        try:
            return (modified_ns(probe) - modified_ns(place)) / 1e9
        finally:
            delete(probe, [key_of(probe)])
