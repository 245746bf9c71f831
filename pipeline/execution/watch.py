"""Watch a cluster during a run: count workers and detect stalls."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.messages.errors import WorkersLost
from pipeline.messages.words import counted
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import write_bytes

if TYPE_CHECKING:
    from distributed import Client

LOG = logging.getLogger("fast_diff.scheduler")
STALLED = ".stalled.json"
"""File in the run's folder: the state of a cluster that has stalled."""
CHECK_INTERVAL = 5.0
"""Seconds between two checks of a busy cluster."""
ANSWER = 5.0
"""Seconds within which a stalled cluster must report its state."""
SILENT = 2.0
"""Seconds without an outcome after which workers are counted."""


@dataclass(frozen=True)
class Cluster:
    """Number of workers and of threads, and bytes of memory in use."""

    workers: int
    threads: int
    memory: int

    def describe(self) -> str:
        """Return the number of workers and the memory in use, as text."""
        if not self.workers:
            return "waiting for workers"
        return f"{counted(self.workers, 'worker')}, {self.memory / 2**30:.1f} GiB of memory in use"


def ignore_state(cluster: Cluster) -> None:
    """Ignore the state of the cluster."""


@dataclass
class Watch:
    """Checks of a cluster while the executor waits for tasks.

    show_state    called with the state of the cluster, at most every CHECK_INTERVAL seconds
    wait_timeout  seconds without a worker after which the run ends, with advice from `remedy`
    patience      seconds without an outcome after which the cluster's state is written into `folder`"""

    client: Client
    folder: Place
    show_state: Callable[[Cluster], None]
    wait_timeout: float
    patience: float
    remedy: str = "Start workers"

    def __post_init__(self) -> None:
        self._last_outcome = self._workers_seen = time.monotonic()
        self._last_check = self._last_attempt = self._last_shown = -CHECK_INTERVAL
        self._dumped = False
        self.by_host: Counter[str] = Counter()
        """Number of threads by machine, at the last check that found workers."""
        for address, threads in self.client.nthreads().items():
            self.by_host[_host(address)] += threads

    @property
    def _scheduler(self) -> Any:
        """Return the scheduler's RPC object; its methods have no type hints."""
        return self.client.scheduler

    def task_ended(self) -> None:
        """Record the end of a task."""
        self._last_outcome = self._workers_seen = time.monotonic()
        self._dumped = False
        if self._last_outcome - self._last_check > CHECK_INTERVAL:
            self._look()

    def check_if_silent(self) -> None:
        """Check the workers if no task has ended for SILENT seconds. Raises WorkersLost."""
        now = time.monotonic()
        if now - self._last_outcome < SILENT or now - self._last_attempt < SILENT / 2:
            return
        self._last_attempt = now
        cluster = self._look()
        if cluster is None or cluster.workers:
            self._workers_seen = now
        elif now - self._workers_seen > self.wait_timeout:
            raise WorkersLost(
                f"all workers are gone, and none has come back within {self.wait_timeout:g} s. {self.remedy}, "
                "then run the same command again: finished work is kept"
            )
        if now - self._last_outcome > self.patience and not self._dumped:
            self._dumped = True
            self._dump(now - self._last_outcome)

    def _look(self) -> Cluster | None:
        """Return the state of the cluster; None if the scheduler does not respond."""
        now = self._last_check = time.monotonic()
        try:
            asked = self._scheduler.identity
            found = self.client.sync(asked, n_workers=-1, callback_timeout=ANSWER)["workers"]
        except Exception:  # the executor's futures report a lost scheduler
            return None
        by_host: Counter[str] = Counter()
        for address, worker in found.items():
            by_host[_host(address)] += worker["nthreads"]
        self.by_host = by_host or self.by_host
        memory = sum(int(worker["metrics"].get("memory", 0)) for worker in found.values())
        cluster = Cluster(len(found), by_host.total(), memory)
        if now - self._last_shown > CHECK_INTERVAL:
            self._last_shown = now
            self.show_state(cluster)
        return cluster

    def _dump(self, silent: float) -> None:
        scheduler, found = self._scheduler, {}
        asked = {
            "scheduler": scheduler.identity,
            "processing": scheduler.processing,
            "call_stack": scheduler.call_stack,
        }
        for name, ask in asked.items():
            with contextlib.suppress(Exception):  # stuck workers may not answer
                more = {"n_workers": -1} if name == "scheduler" else {}
                found[name] = self.client.sync(ask, callback_timeout=ANSWER, **more)
        path = self.folder / STALLED
        with contextlib.suppress(OSError):
            write_bytes(path, json.dumps(_plain(found), default=str, indent=1).encode())
        LOG.warning("nothing has finished for %.0f s; the state of the cluster is in %s", silent, path)


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _plain(value: Any) -> Any:
    """Return `value` as JSON data; a tuple as a key becomes text with slashes."""
    if isinstance(value, Mapping):
        return {
            "/".join(map(str, key)) if isinstance(key, tuple) else str(key): _plain(each) for key, each in value.items()
        }
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
