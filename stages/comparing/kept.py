"""What a process has read last, kept for the tasks that it runs next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by what tells their content, up to so many bytes; those asked for last stay. Tasks of one process, in
    threads too, share it. `least` values stay however large they are; with 0 a value
    that is larger than all the room is not kept."""

    def __init__(self, most: int, least: int = 0) -> None:
        self.most, self.least, self.size = most, least, 0
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: Hashable) -> Value | None:
        """The value, or None."""
        with self._lock:
            if digest not in self._kept:
                return None
            self._kept.move_to_end(digest)
            return self._kept[digest][0]

    def put(self, digest: Hashable, value: Value, size: int) -> None:
        """Keep a value of so many bytes; the older ones go where there is no room."""
        with self._lock:
            if digest not in self._kept and (size <= self.most or self.least):
                self._kept[digest] = value, size
                self.size += size
            while self.size > self.most and len(self._kept) > self.least:
                self.size -= self._kept.popitem(last=False)[1][1]
