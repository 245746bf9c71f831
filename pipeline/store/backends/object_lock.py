"""Lock an output on an object store by a conditional put.

The put of the lock object succeeds only if no such object exists.

If the store rejects or ignores the condition, a run writes its token and reads the token back: the run that finds its
own token holds the lock. Two runs that start within the time of one request may then both hold the lock.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from pipeline.store.backends.conditional import NoConditionalPut, create, delete_own, read_tagged, replace
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import modified_ns, remove, write_bytes
from pipeline.store.owner import identity, is_alive, parsed

HEARTBEAT = 15.0
"""Seconds between two heartbeats; a heartbeat takes one request to read and one to write."""
SETTLED = 2.0
"""Seconds from an unconditional write of a token until the token is read back."""
STALE = 60.0
"""Seconds after which the mark of a takeover counts as left behind by a dead run."""

Owner = dict[str, Any]


class ObjectLock:
    """A lock object; a change requires the ETag that was read. Methods raise OSError."""

    heartbeat = HEARTBEAT

    def __init__(self, folder: Place, token: str) -> None:
        self._folder, self.token = folder, token
        self.path = folder / ".lock"
        self.note = ""

    def take(self) -> Owner | None:
        """Take the lock and return None, or return the owner; {} if not yet written."""
        try:
            if not create(self.path, self._text()):
                return self._take_over()
            if create(self.path, self._text() + b"\n"):  # must fail; the data differ from the first put's
                raise NoConditionalPut("condition ignored")
        except NoConditionalPut:
            return self._without_condition()
        return None

    def release(self) -> None:
        with contextlib.suppress(OSError):  # the next run finds that this process has ended
            owner, tag = self._read()
            if tag is not None and owner.get("token") == self.token:
                delete_own(self.path, tag)

    def beat(self) -> bool:
        """Renew the lease; return whether this run still holds the lock."""
        owner, tag = self._read()
        return tag is not None and owner.get("token") == self.token and replace(self.path, self._text(), tag)

    def _text(self) -> bytes:
        return json.dumps(identity(self.token)).encode()

    def _read(self) -> tuple[Owner, str | None]:
        """Return the owner in the lock, and its ETag: "" if unknown, None if no lock."""
        try:
            text, tag = read_tagged(self.path)
        except FileNotFoundError:
            return {}, None
        return parsed(text), tag

    def _owner(self) -> Owner:
        return self._read()[0]

    def _take_over(self) -> Owner | None:
        """Replace a dead owner's lock, while holding a mark named after the dead owner."""
        owner, _ = self._read()
        if owner and is_alive(owner, self._since_heartbeat):
            return owner
        mark = self._folder / f".lock.{owner.get('token', 'nobody')}.taken"
        if not create(mark, self._text()):
            if self._age(mark) < STALE:
                return {}
            remove(mark)
            if not create(mark, self._text()):
                return {}
        try:
            now, tag = self._read()
            if now and now != owner:
                return now
            taken = create(self.path, self._text()) if tag is None else replace(self.path, self._text(), tag)
            return None if taken else self._owner()
        finally:
            remove(mark)

    def _without_condition(self) -> Owner | None:
        self.note = (
            f"{self._folder}: this store does not support conditional puts, so two runs that start at the same moment "
            "may overlap"
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
        """Return the seconds since an object was put, by the store's clock."""
        probe = self._folder / f".lock.{self.token}.probe"
        write_bytes(probe, b"")
        try:
            return (modified_ns(probe) - modified_ns(place)) / 1e9
        finally:
            remove(probe)
