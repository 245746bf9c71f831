"""Share the cores of this machine among all processes of a user that run tasks.

Each core has a lock file. A task holds a core while the task runs. Work that can be split also takes idle cores. The
machine then stays busy when fewer tasks than cores are left, as at the end of every stage. The operating system
releases the locks of a dead process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path


class Core:
    """A core that this process holds until `close` is called.

    `descriptor` is the file descriptor of the core's lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Release the core."""
        os.close(self._descriptor)


def usable() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def take_core(count: int) -> Core | None:
    """Lock and return an idle core among the first `count` cores, or None.

    The result is None if `count` is less than 2: a single core needs no sharing."""
    if count < 2:
        return None
    folder = Path(tempfile.gettempdir()) / f"fast-diff-cores-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            return None
        for number in range(count):
            opened = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return Core(opened)
            except OSError:
                os.close(opened)
    return None
