"""Whether memory ran out: decoders in C report that as broken data, or as no image at all, but leave `errno` as it was.

`errno` belongs to a thread, so this tells of what the thread itself has called since `forget`."""

from __future__ import annotations

import ctypes
import errno
import functools
from typing import Any

LOCATIONS = ("__errno_location", "__error")
"""Functions of C libraries that return where `errno` of this thread is: glibc's and musl's, and macOS's."""
UNLOADED = ("failed to map segment", "cannot allocate memory")
"""What a dynamic linker says of a library that finds no room."""


@functools.cache
def _location() -> Any:
    """The C library's function; None where there is none."""
    library = ctypes.CDLL(None)
    for name in LOCATIONS:
        if hasattr(library, name):
            function = library[name]
            function.restype = ctypes.POINTER(ctypes.c_int)
            return function
    return None


def forget() -> None:
    """Begin anew: what has failed so far does not count."""
    if location := _location():
        location()[0] = 0


def ran_out(error: BaseException) -> bool:
    """Whether memory ran out in what this thread has called since `forget`, and ended in this error."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError) and any(words in str(error).lower() for words in UNLOADED):
        return True
    location = _location()
    return bool(location and location()[0] == errno.ENOMEM)
