"""Admit workers to a run: check present workers, and workers that join later."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from distributed import Client, WorkerPlugin

from pipeline.cluster.fitness import Needs, worker_problems
from pipeline.machine.installation import DISTRIBUTION
from pipeline.messages.errors import ConfigError

LOG = logging.getLogger("distributed.worker")
"""Dask's worker logger: the reason for a refusal appears in the worker's own log."""


class Admission(WorkerPlugin):
    """Worker plugin that ends a worker which does not meet the run's requirements.

    The worker's log states the reason. Workers with an address in `known` have been checked already."""

    def __init__(self, name: str, needs: Needs, known: frozenset[str]) -> None:
        self.name, self._needs, self._known = name, needs, known

    async def setup(self, worker: Any) -> None:
        """End an unfit worker before its first task; its nanny starts no other worker.

        An exception would not end the worker: Dask logs exceptions of plugins and goes on."""
        if worker.address not in self._known and (found := worker_problems(self._needs, worker)):
            reason = "not fit for the run: " + "; ".join(found)
            LOG.error(reason)
            self._leaving = asyncio.create_task(worker.close(nanny=True, reason=reason))


@contextlib.contextmanager
def checked_workers(client: Client, needs: Needs) -> Iterator[None]:
    """Check every worker that has joined, or joins inside the `with` statement.

    Raises ConfigError, with a line for each problem."""
    lines = []
    answers = client.run(worker_problems, needs, on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, ImportError | AttributeError) or "No module named 'pipeline'" in str(answer):
            version = needs.versions[DISTRIBUTION]
            lines.append(f"worker {worker} can't import {DISTRIBUTION}: install version {version} on the worker")
        elif isinstance(answer, OSError) and _has_left(client, worker):
            continue
        elif isinstance(answer, BaseException):
            lines.append(
                f"worker {worker} could not be checked: {type(answer).__name__}: {' '.join(str(answer).split())}"
            )
        else:
            lines += [f"worker {worker} {problem}" for problem in answer]
    if lines:
        raise ConfigError(*lines)
    client.register_plugin(Admission(_plugin(needs), needs, frozenset(answers)))
    try:
        yield
    finally:
        unregister(client, needs)


def unregister(client: Client, needs: Needs) -> None:
    """Remove this run's plugin, also if a killed driver has left the plugin behind."""
    with contextlib.suppress(Exception):  # the scheduler may be gone, or have no such plugin
        client.unregister_worker_plugin(_plugin(needs))


def _plugin(needs: Needs) -> str:
    """Return the name of this run's plugin; each run on a scheduler has its own."""
    return f"fast-diff-{hashlib.sha256(str(needs.folder).encode()).hexdigest()[:16]}"


def _has_left(client: Client, worker: str) -> bool:
    """Return whether a worker has left; wait up to 1 s for the scheduler to notice."""
    for _ in range(10):
        if worker not in client.scheduler_info(n_workers=-1)["workers"]:
            return True
        time.sleep(0.1)
    return False
