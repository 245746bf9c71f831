"""Admit workers to a run: ask each one that is there, and each one that joins later, whether it is fit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from distributed import Client, WorkerPlugin

from pipeline.cluster.fitness import Needs, faults
from pipeline.machine.installation import DISTRIBUTION
from pipeline.messages.errors import ConfigError

LOG = logging.getLogger("distributed.worker")
"""That of Dask's worker, so that this stands among what it says."""


class Admission(WorkerPlugin):
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


@contextlib.contextmanager
def checked_workers(client: Client, needs: Needs) -> Iterator[None]:
    """Ask every worker that is there, and have those asked that come while this lasts. Raises ConfigError, a line per
    fault."""
    lines = []
    answers = client.run(faults, needs, on_error="return")
    for worker, there in answers.items():
        if isinstance(there, ImportError | AttributeError) or "No module named 'pipeline'" in str(there):
            version = needs.versions[DISTRIBUTION]
            lines.append(f"worker {worker} can't import {DISTRIBUTION}: install version {version} there")
        elif isinstance(there, OSError) and _has_left(client, worker):
            continue
        elif isinstance(there, BaseException):
            lines.append(f"worker {worker} could not be asked: {type(there).__name__}: {' '.join(str(there).split())}")
        else:
            lines += [f"worker {worker} {problem}" for problem in there]
    if lines:
        raise ConfigError(*lines)
    client.register_plugin(Admission(_plugin(needs), needs, frozenset(answers)))
    try:
        yield
    finally:
        dismiss(client, needs)


def dismiss(client: Client, needs: Needs) -> None:
    """Have workers that join no longer asked; also what a driver of the same run has left, which was killed."""
    with contextlib.suppress(Exception):  # a scheduler that is gone, or has no such plugin, needs nothing
        client.unregister_worker_plugin(_plugin(needs))


def _plugin(needs: Needs) -> str:
    """Runs on one scheduler have one each."""
    return f"fast-diff-{hashlib.sha256(str(needs.folder).encode()).hexdigest()[:16]}"


def _has_left(client: Client, worker: str) -> bool:
    """Whether a worker that broke off has gone; its scheduler may learn so a moment later."""
    for _ in range(10):
        if worker not in client.scheduler_info(n_workers=-1)["workers"]:
            return True
        time.sleep(0.1)
    return False
