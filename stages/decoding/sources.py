"""Hold the scan's facts about a file, and convert storage errors to errors of one image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from stages.decoding import problems
from stages.decoding.problems import Unreadable

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""O_NONBLOCK: opening a pipe that has replaced the file must not block."""


def in_range(time: int) -> int:
    """Return a time in nanoseconds, clipped to 64 bits.

    File systems allow dates after 2262, which need more bits."""
    return max(-1 << 63, min(time, (1 << 63) - 1))


class Expected(NamedTuple):
    """The facts of the scan about an image.

    size      in bytes; 0 for a row of a Parquet file, whose size the scan does not know
    stamp     of a file, by `scan.trust`: the time in nanoseconds, or the digest; of a URL: the ETag, where available;
              of a member: `SIZE/STAMP LOCATION` with size and stamp of its container, or the digest of its bytes
    location  position of a member in its container, see `location.py`; empty for a file outside containers"""

    path: bytes
    size: int
    stamp: str
    location: str = ""


def is_of_storage(error: Exception) -> bool:
    """Return whether an error comes from storage, not from the content of a file."""
    return isinstance(error, OSError) and error.errno is not None


@contextlib.contextmanager
def storage_errors_converted() -> Iterator[None]:
    """Convert errors of storage, local or remote, to Unreadable."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unreadable(problems.GONE) from error
    except PermissionError as error:
        raise Unreadable(problems.FORBIDDEN) from error
    except MemoryError as error:
        raise Unreadable(problems.MEMORY) from error
    except (OSError, ImportError) as error:
        raise Unreadable(problems.BROKEN_DISK) from error
