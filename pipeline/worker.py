"""Preload of Dask workers: ignore Ctrl-C.

Ctrl-C reaches every process of the terminal's group. The driver ends the run and closes its workers; a worker that
reacted to the signal, too, would print a traceback over the driver's message. Loaded by `--preload pipeline.worker`."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore SIGINT; Dask calls this function when a worker process starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
