"""A preload for Dask's workers that counts the tasks which begin, and makes some go wrong.

MEDDLE_LOG=FILE           a line per task that begins: stage/key
MEDDLE_KILL=STAGE/KEY     the worker that begins this task is killed, every time
MEDDLE_FULL=FILE          writing an artifact fails for want of space while this file is there
MEDDLE_SLOW=SECONDS       each task takes so much longer
MEDDLE_STAGE=STAGE        only those of this stage do"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.execution import task
from pipeline.store import store


def dask_setup(worker: Any) -> None:
    """Dask calls this when the worker process starts."""
    attempt, write = task._attempt, store.atomic_write

    def counted(call: task.Call, *arguments: Any) -> task.Outcome:
        name = "/".join(call.address)
        if "MEDDLE_LOG" in os.environ:
            with Path(os.environ["MEDDLE_LOG"]).open("a") as log:
                log.write(f"{name}\n")
        if os.environ.get("MEDDLE_KILL") == name:
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith(os.environ.get("MEDDLE_STAGE", "")):
            time.sleep(float(os.environ.get("MEDDLE_SLOW", "0")))
        return attempt(call, *arguments)

    @contextlib.contextmanager
    def full(path: Path, *options: Any, **named: Any) -> Iterator[IO[bytes]]:
        if Path(os.environ.get("MEDDLE_FULL", "/nonexistent")).exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        with write(path, *options, **named) as file:
            yield file

    task._attempt, store.atomic_write = counted, full


def begun(log: Path) -> Counter[str]:
    """How often each task began."""
    return Counter(log.read_text().splitlines())
