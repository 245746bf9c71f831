"""A preload for Dask's workers that logs the start of tasks and injects faults.

MEDDLE_LOG=FILE           a line in FILE at the start of each task: stage/key
MEDDLE_KILL=STAGE/KEY     each worker that starts this task is killed
MEDDLE_FULL=FILE          writing an artifact fails with "no space left on device" while FILE exists
MEDDLE_SLOW=SECONDS       each task takes SECONDS longer
MEDDLE_STAGE=STAGE        MEDDLE_SLOW acts on the tasks of this stage only"""

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
    """Install the faults; Dask calls this function when a worker process starts."""
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
    """Return how often each task started."""
    return Counter(log.read_text().splitlines())
