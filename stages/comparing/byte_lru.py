"""Cache recently used values in memory, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteLRU(Generic[Value]):
    """A least-recently-used cache that is bounded in bytes and safe for threads.

    most   bytes of all values together
    least  number of values that stay however large the values are; 0: a value larger than `most` is not cached"""

    def __init__(self, most: int, least: int = 0) -> None:
        self.most, self.least, self.size = most, least, 0
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: Hashable) -> Value | None:
        """Return the value, or None."""
        with self._lock:
            if digest not in self._kept:
                return None
            self._kept.move_to_end(digest)
            return self._kept[digest][0]

    def put(self, digest: Hashable, value: Value, size: int) -> None:
        """Add a value of `size` bytes; drop the least recently used values to make room."""
        with self._lock:
            if digest not in self._kept and (size <= self.most or self.least):
                self._kept[digest] = value, size
                self.size += size
            while self.size > self.most and len(self._kept) > self.least:
                self.size -= self._kept.popitem(last=False)[1][1]
