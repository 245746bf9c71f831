"""Detect exhausted memory.

Decoders in C report a failed allocation as broken data, but leave `errno` set. `errno` is per thread, so `ran_out`
covers only calls in the current thread since `forget`."""

from __future__ import annotations

import ctypes
import errno
import functools
from typing import Any

LOCATIONS = ("__errno_location", "__error")
"""Functions of C libraries that return the address of this thread's `errno`: glibc and musl, macOS."""
UNLOADED = ("failed to map segment", "cannot allocate memory")
"""Parts of a dynamic linker's messages for a library that could not be loaded for lack of memory."""


@functools.cache
def _location() -> Any:
    """Return the C function that returns the address of `errno`, or None if unknown."""
    library = ctypes.CDLL(None)
    for name in LOCATIONS:
        if hasattr(library, name):
            function = library[name]
            function.restype = ctypes.POINTER(ctypes.c_int)
            return function
    return None


def forget() -> None:
    """Clear `errno`, so that earlier failures do not count."""
    if location := _location():
        location()[0] = 0


def ran_out(error: BaseException) -> bool:
    """Return whether an error comes from exhausted memory, in this thread since `forget`."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError) and any(words in str(error).lower() for words in UNLOADED):
        return True
    location = _location()
    return bool(location and location()[0] == errno.ENOMEM)
