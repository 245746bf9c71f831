"""What Dask's workers load of this program.

As a preload (`--preload pipeline.worker`) it keeps them quiet at Ctrl-C, which reaches every process of the terminal's
group: the driver ends the run and closes its workers, and a worker that answered for itself would only print a
traceback over the driver's one line."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

from distributed import WorkerPlugin

from pipeline.cluster.fitness import Needs, faults

LOG = logging.getLogger("distributed.worker")
"""That of Dask's worker, so that this stands among what it says."""


def dask_setup(worker: Any) -> None:
    """Dask calls this when the worker process starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Admission(WorkerPlugin):  # type: ignore[misc]  # distributed comes without types
    """Turns away a worker that joins a run and can't do its tasks; its log then says why. Those whose addresses are
    `known` have been asked already."""

    def __init__(self, name: str, needs: Needs, known: frozenset[str]) -> None:
        self.name, self._needs, self._known = name, needs, known

    async def setup(self, worker: Any) -> None:
        """A worker that is not fit ends, before it has listened to its scheduler, and its nanny starts no other.

        An error raised here would end nothing: Dask writes it down and goes on."""
        if worker.address not in self._known and (found := faults(self._needs, worker)):
            reason = "not fit for the run: " + "; ".join(found)
            LOG.error(reason)
            self._leaving = asyncio.create_task(worker.close(nanny=True, reason=reason))
