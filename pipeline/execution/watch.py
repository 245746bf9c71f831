"""An eye on the cluster while its tasks run: how many workers there are, if any, and whether anything moves."""

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
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import write_bytes

if TYPE_CHECKING:
    from distributed import Client

LOG = logging.getLogger("fast_diff.scheduler")
STALLED = ".stalled.json"
"""In the run's folder: what the cluster was doing when nothing had finished for long."""
EVERY = 5.0
"""Seconds between two looks at a cluster that works."""
ANSWER = 5.0
"""Seconds that a cluster which stands still may take to say what it does."""
SILENT = 2.0
"""Seconds without an outcome after which workers are counted."""


@dataclass(frozen=True)
class Cluster:
    """How many workers there are, how many tasks they run at a time, and bytes of memory that they take."""

    workers: int
    threads: int
    memory: int


def tell_nobody(cluster: Cluster) -> None:
    """Where nobody shows it."""


@dataclass
class Watch:
    """Asked again and again by whoever waits for tasks. `tell` hears of the cluster now and then; without a worker for
    `wait_timeout` seconds the run ends; after `patience` seconds without an outcome the cluster's state is written into
    the run's `folder`, once for each time that this happens. `remedy`: what to do where no worker is left."""

    client: Client
    folder: Place
    tell: Callable[[Cluster], None]
    wait_timeout: float
    patience: float
    remedy: str = "start workers"

    def __post_init__(self) -> None:
        self._heard = self._seen = time.monotonic()
        self._looked = self._asked = self._told = -EVERY
        self._dumped = False
        self.by_host: Counter[str] = Counter()
        """How many tasks the workers of each machine ran at a time when there were any the last time."""
        for address, threads in self.client.nthreads().items():
            self.by_host[_host(address)] += threads

    @property
    def _scheduler(self) -> Any:
        """The scheduler's remote calls, which are known by name only."""
        return self.client.scheduler

    def heard(self) -> None:
        """A task has ended."""
        self._heard = self._seen = time.monotonic()
        self._dumped = False
        if self._heard - self._looked > EVERY:
            self._look()

    def silence(self) -> None:
        """No task has ended for a moment. Raises WorkersLost."""
        now = time.monotonic()
        if now - self._heard < SILENT or now - self._asked < SILENT / 2:
            return
        self._asked = now
        cluster = self._look()
        if cluster is None or cluster.workers:
            self._seen = now
        elif now - self._seen > self.wait_timeout:
            raise WorkersLost(
                f"all workers are gone, and none has come back within {self.wait_timeout:g} s; what was computed "
                f"stands: {self.remedy} and run the same command again"
            )
        if now - self._heard > self.patience and not self._dumped:
            self._dumped = True
            self._dump(now - self._heard)

    def _look(self) -> Cluster | None:
        """The cluster as its scheduler knows it; None where that does not answer."""
        now = self._looked = time.monotonic()
        try:
            asked = self._scheduler.identity
            found = self.client.sync(asked, n_workers=-1, callback_timeout=ANSWER)["workers"]
        except Exception:  # a scheduler that is gone shows in the futures
            return None
        by_host: Counter[str] = Counter()
        for address, worker in found.items():
            by_host[_host(address)] += worker["nthreads"]
        self.by_host = by_host or self.by_host
        memory = sum(int(worker["metrics"].get("memory", 0)) for worker in found.values())
        cluster = Cluster(len(found), by_host.total(), memory)
        if now - self._told > EVERY:
            self._told = now
            self.tell(cluster)
        return cluster

    def _dump(self, silent: float) -> None:
        scheduler, found = self._scheduler, {}
        asked = {
            "scheduler": scheduler.identity,
            "processing": scheduler.processing,
            "call_stack": scheduler.call_stack,
        }
        for name, ask in asked.items():
            with contextlib.suppress(Exception):  # workers that are stuck may not answer either
                more = {"n_workers": -1} if name == "scheduler" else {}
                found[name] = self.client.sync(ask, callback_timeout=ANSWER, **more)
        path = self.folder / STALLED
        with contextlib.suppress(OSError):
            write_bytes(path, json.dumps(_plain(found), default=str, indent=1).encode())
        LOG.warning("nothing has finished for %.0f s; what the cluster was doing stands in %s", silent, path)


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _plain(value: Any) -> Any:
    """The same with names of tasks, which are tuples, as text, as JSON has it of keys."""
    if isinstance(value, Mapping):
        return {
            "/".join(map(str, key)) if isinstance(key, tuple) else str(key): _plain(each) for key, each in value.items()
        }
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
