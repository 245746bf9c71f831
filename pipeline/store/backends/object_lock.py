"""The lock of an output on an object store: an object that is put only if there is none (a conditional put).

Where the store knows no such put, or says so and puts all the same, a token is written and read back: who finds its own
there holds the lock. That leaves a gap of a request's length between two runs that begin at the same moment.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from pipeline.store.backends.conditional import NoConditionalPut, create, delete_own, read_tagged, replace
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import delete, key_of, modified_ns, write_bytes
from pipeline.store.owner import identity, is_alive, parsed

HEARTBEAT = 15.0
"""Seconds between two signs of life: a request each to read and to write."""
SETTLED = 2.0
"""Seconds after which a token that was written without a condition is read back."""
STALE = 60.0
"""Seconds after which the mark of one who takes over counts as left by one who died while doing so."""

Owner = dict[str, Any]


class ObjectLock:
    """The lock as an object. Its owner puts and deletes it on condition that its ETag is still the owner's."""

    heartbeat = HEARTBEAT

    def __init__(self, folder: Place, token: str) -> None:
        self._folder, self.token = folder, token
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
            owner, tag = self._read()
            if tag is not None and owner.get("token") == self.token:
                delete_own(self.path, tag)

    def beat(self) -> bool:
        """Give a sign of life; whether the lock is this run's still. Raises OSError."""
        owner, tag = self._read()
        return tag is not None and owner.get("token") == self.token and replace(self.path, self._text(), tag)

    def _text(self) -> bytes:
        return json.dumps(identity(self.token)).encode()

    def _read(self) -> tuple[Owner, str | None]:
        """Return the owner that the lock names, and the lock's ETag (empty: the store gives none; None: no lock)."""
        try:
            text, tag = read_tagged(self.path)
        except FileNotFoundError:
            return {}, None
        return parsed(text), tag

    def _owner(self) -> Owner:
        return self._read()[0]

    def _take_over(self) -> Owner | None:
        """Replace a dead owner's lock; one taker at a time may, the one who puts a mark that names that owner."""
        owner, _ = self._read()
        if owner and is_alive(owner, self._since_heartbeat):
            return owner
        mark = self._folder / f".lock.{owner.get('token', 'nobody')}.taken"
        if not create(mark, self._text()):
            if self._age(mark) < STALE:
                return {}
            delete(mark, [key_of(mark)])
            if not create(mark, self._text()):
                return {}
        try:
            now, tag = self._read()
            if now and now != owner:
                return now
            taken = create(self.path, self._text()) if tag is None else replace(self.path, self._text(), tag)
            return None if taken else self._owner()
        finally:
            delete(mark, [key_of(mark)])

    def _without_condition(self) -> Owner | None:
        self.note = (
            f"{self._folder}: this store knows no conditional put, so two runs that begin there at the same moment may "
            "not see each other"
        )
        owner = self._owner()
        if owner.get("token") not in (None, self.token) and is_alive(owner, self._since_heartbeat):
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
