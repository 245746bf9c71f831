"""Where tasks run: a closed table of scheduler kinds, and one executor interface for the runner."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import ConfigError, SchedulerLost
from pipeline.task import Call, Outcome, run_task

if TYPE_CHECKING:
    from distributed import Client, Future

    from pipeline.config import Scheduler

DISTRIBUTION = "fast-diff-dask"
WAIT_FOR_WORKERS = 30.0
LOOPBACK = "127.0.0.1"


class Executor(Protocol):
    """Runs calls somewhere. `window` is how many calls it wants to hold at a time."""

    @property
    def window(self) -> int: ...
    def submit(self, calls: Sequence[Call]) -> None: ...
    def finished(self) -> Iterable[Outcome]:
        """Outcomes of calls that have ended; waits for at least one. Raises SchedulerLost."""
        ...

    def close(self) -> None:
        """Let go of everything, calls that still run included."""
        ...


class SynchronousExecutor:
    """A plain loop in this process, for debugging: one call at a time, in order."""

    window = 1

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()

    def submit(self, calls: Sequence[Call]) -> None:
        self._calls.extend(calls)

    def finished(self) -> Iterable[Outcome]:
        yield run_task(self._calls.popleft())

    def close(self) -> None:
        self._calls.clear()


class DaskExecutor:
    """Futures of a Dask client, submitted in batches and released as they finish."""

    def __init__(self, client: Client, close: Callable[[], None]) -> None:
        from distributed import as_completed

        self._client, self._close = client, close
        self._slots = sum(client.nthreads().values())
        self._futures: dict[Future, Call] = {}
        self._completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._submitted = 0

    @property
    def window(self) -> int:
        """Enough that no slot waits for the driver; few enough that the scheduler stays small."""
        return max(64, 4 * self._slots)

    def submit(self, calls: Sequence[Call]) -> None:
        keys = []
        for call in calls:
            self._submitted += 1
            keys.append((call.context.stage.name, f"{call.task.key}-{self._submitted}"))
        futures = self._client.map(run_task, calls, key=keys, pure=False, retries=0)
        self._futures.update(zip(futures, calls, strict=True))
        self._completed.update(futures)

    def finished(self) -> Iterable[Outcome]:
        for future, result in self._completed.next_batch():
            call = self._futures.pop(future)
            status = future.status
            future.release()
            if status == "finished":
                yield result
            elif self._client.status != "running" or status in ("cancelled", "lost"):
                raise SchedulerLost(
                    "the Dask scheduler is gone; what was computed stands: run the same command again to go on"
                )
            else:
                yield Outcome(call.address, message=_died(result[1]))

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever state the cluster is in, closing goes on
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        self._completed.clear()
        self._close()


def _died(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "each worker that ran it died, most likely for lack of memory; raise scheduler.memory_limit"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def open_executor(scheduler: Scheduler) -> Executor:
    """An executor of the configured kind. Raises ConfigError where there is nothing to run on."""
    return KINDS[scheduler.kind](scheduler)


def _synchronous(scheduler: Scheduler) -> Executor:
    return SynchronousExecutor()


def _threads(scheduler: Scheduler) -> Executor:
    return _local_cluster(
        scheduler,
        processes=False,
        n_workers=1,
        threads_per_worker=scheduler.workers or _cores(),
        protocol="inproc://",
        host=None,  # in one process nothing listens
    )


def _local(scheduler: Scheduler) -> Executor:
    return _local_cluster(
        scheduler,
        processes=True,
        n_workers=scheduler.workers or max(1, _cores() // scheduler.threads),
        threads_per_worker=scheduler.threads,
        preload=["pipeline.worker"],
    )


def _local_cluster(scheduler: Scheduler, **arguments: Any) -> Executor:
    from distributed import Client, LocalCluster

    _keep_quiet()
    options = {
        "host": scheduler.host,
        "dashboard_address": f"{LOOPBACK}:0",
        "memory_limit": scheduler.memory_limit,
        "silence_logs": logging.CRITICAL,
    }
    try:
        cluster = LocalCluster(**(options | arguments | dict(scheduler.cluster)))
        client = Client(cluster, set_as_default=False)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error.__cause__ or error).split())[:200]
        raise ConfigError(f"scheduler: Dask could not start its workers ({text}); see the section scheduler") from error

    def close() -> None:
        client.close(timeout=5)
        cluster.close(timeout=10)

    return DaskExecutor(client, close)


def _address(scheduler: Scheduler) -> Executor:
    from distributed import Client

    where = scheduler.address or scheduler.scheduler_file
    if not where:
        raise ConfigError("scheduler.address: kind `address` needs scheduler.address or scheduler.scheduler_file")
    if scheduler.scheduler_file and not Path(scheduler.scheduler_file).is_file():
        raise ConfigError(f"scheduler.scheduler_file: {scheduler.scheduler_file} does not exist; is the scheduler up?")
    _keep_quiet()
    target = {"address": scheduler.address} if scheduler.address else {"scheduler_file": scheduler.scheduler_file}
    try:
        client = Client(**target, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"scheduler.address: no Dask scheduler answers at {where}; start it, or mend the address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS)
        _check_workers(client)
    except TimeoutError as error:
        client.close()
        raise ConfigError(f"scheduler.address: no worker joined {where} within {WAIT_FOR_WORKERS:.0f} s") from error
    except BaseException:
        client.close()
        raise
    return DaskExecutor(client, lambda: client.close(timeout=5))


def versions() -> dict[str, str]:
    """What must be the same wherever a task runs, since it changes results."""
    names = (DISTRIBUTION, "Pillow", "numpy", "pyarrow")
    return {name: metadata.version(name) for name in names} | {"Python": ".".join(platform.python_version_tuple()[:2])}


def _check_workers(client: Client) -> None:
    """Raise ConfigError, a line per worker, unless each imports this distribution at this version."""
    here = versions()
    complaints = []
    for worker, there in client.run(versions, on_error="return").items():
        if isinstance(there, BaseException):
            complaints.append(
                f"worker {worker} can't import {DISTRIBUTION}: install version {here[DISTRIBUTION]} there"
            )
        else:
            complaints += [
                f"worker {worker} has {name} {there.get(name)}, expected {version}: install the same one there"
                for name, version in here.items()
                if there.get(name) != version
            ]
    if complaints:
        raise ConfigError("\n".join(complaints))


def _keep_quiet() -> None:
    """What Dask says in this process is said by this program, in one line; the workers keep logs of their own."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    for name in ["distributed", "asyncio", *names]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


KINDS: dict[str, Callable[[Scheduler], Executor]] = {
    "synchronous": _synchronous,
    "threads": _threads,
    "local": _local,
    "address": _address,
}
