"""Which cores of this machine are idle: one lock file each, shared by all processes of a user that run tasks on it.

A task holds one while it runs. Work that can be split takes idle ones beside it, so that a stage keeps the machine busy
with fewer tasks than cores, as at the end of every stage. The system lets go of the locks of a process that dies.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on this system: no core is ever known to be idle
    fcntl = None  # type: ignore[assignment]  # a module or nothing


class Core:
    """A core that is held until `close`."""

    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        """Let others have it."""
        os.close(self._number)


def usable() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def take_core(count: int) -> Core | None:
    """An idle one of the first `count` cores, or None at once."""
    if fcntl is None or count < 2:
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
