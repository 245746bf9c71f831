"""Open a path only if it is a regular file.

A plain `open` of a FIFO waits until another process opens its other end, and opening a device may have side effects.
Anyone who can write to a run's folder can replace a file of the run by a FIFO or a device.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

NO_WAITING = getattr(os, "O_NONBLOCK", 0)
"""Flag without effect on regular files; a FIFO is opened, or refused, at once."""


def regular(path: str | os.PathLike[str], flags: int) -> int:
    """Open a regular file; for the argument `opener` of `open`.

    Raises OSError, with EINVAL for a path that is not a regular file."""
    descriptor = os.open(path, flags | NO_WAITING, 0o666)
    if S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise irregular(path)


def check_regular(path: Path) -> None:
    """Raise OSError if a path is not a regular file, without opening it: for libraries that open files themselves."""
    if not S_ISREG(path.stat().st_mode):
        raise irregular(path)


def irregular(path: str | os.PathLike[str]) -> OSError:
    """Return the error for a path that is not a regular file."""
    what = "is a folder" if Path(path).is_dir() else "is no regular file"
    return OSError(errno.EINVAL, f"{what}; expected a file. Remove it", os.fspath(path))


def remove_irregular(path: Path) -> None:
    """Remove a FIFO, socket or device; keep a folder, which may hold files."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (S_ISREG(mode) or S_ISLNK(mode) or S_ISDIR(mode)):
            path.unlink()
