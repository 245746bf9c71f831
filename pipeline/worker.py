"""What Dask's workers load of this program.

As a preload (`--preload pipeline.worker`) it keeps them quiet at Ctrl-C, which reaches every process of the terminal's
group: the driver ends the run and closes its workers, and a worker that answered for itself would only print a
traceback over the driver's one line."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Dask calls this when the worker process starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
