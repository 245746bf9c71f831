"""Keep tables and vectors of blocks from one block pair to the next, in each process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, TypeVar

from cachetools import LRUCache

INDEXES = 256 << 20
"""Greatest number of bytes of the values that a process keeps."""
Columns = TypeVar("Columns")

_cache: LRUCache[Hashable, Any] = LRUCache(INDEXES, getsizeof=attrgetter("nbytes"))
_lock = threading.Lock()


def kept(key: Hashable, make: Callable[[], Columns]) -> Columns:
    """Return the kept value of a key, or make, keep and return the value.

    key   determines the value, in this process and for all runs
    make  returns a table or an array; a value of more than INDEXES bytes is not kept"""
    with _lock:
        found: Columns | None = _cache.get(key)
    if found is None:
        found = make()
        with _lock, contextlib.suppress(ValueError):  # cachetools refuses a value that is too large
            _cache[key] = found
    return found
