"""Ignore Ctrl-C in Dask workers.

Workers load this module by `--preload pipeline.worker`.

Ctrl-C reaches every process of the terminal's group. The driver ends the run and closes its workers, so a worker that
also reacted to Ctrl-C would only print a traceback over the driver's message."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore SIGINT; Dask calls this function when a worker process starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
