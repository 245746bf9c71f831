"""Open an executor: start or find a cluster, wait for workers, check workers."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.cluster.addresses import LOOPBACK, is_loopback
from pipeline.cluster.arguments import TLS
from pipeline.cluster.dask_config import configured, keep_quiet, security_of
from pipeline.cluster.deployment import Auto, ExistingScheduler, Processes, Threads
from pipeline.cluster.fitness import Needs, check_memory, probed
from pipeline.cluster.keys import Dask, DaskCluster, LocalWorkers, Scheduler
from pipeline.cluster.start import start
from pipeline.execution.count import Advance, unseen
from pipeline.execution.executor import Executor, SynchronousExecutor, ThreadsExecutor
from pipeline.execution.on_dask import DaskExecutor
from pipeline.execution.watch import Cluster, Watch, ignore_state
from pipeline.machine.cores import usable
from pipeline.machine.interrupts import delayed
from pipeline.messages.errors import ConfigError, SchedulerLost

if TYPE_CHECKING:
    from distributed import Client

LOG = logging.getLogger("fast_diff.scheduler")
OPEN = (
    "scheduler: ports are open beyond this machine without TLS: anyone who reaches a port can run code as you and read "
    "what your workers read; set scheduler.tls, or keep the network closed"
)


def open_executor(
    scheduler: Scheduler,
    needs: Needs,
    show_state: Callable[[Cluster], None] = ignore_state,
    report: Path | None = None,
    *,
    tasks: int = 0,
    own_code: bool = False,
    advance: Advance = unseen,
) -> Executor:
    """Return an executor whose workers meet the requirements of this run.

    show_state  called with the state of the cluster every few seconds
    report      path of Dask's performance report
    tasks       number of tasks of the run
    own_code    whether tasks call the user's own code, which may not be thread-safe
    advance     called with the address of a running task and the amount of finished work

    Raises ConfigError if no worker joins, SchedulerLost if the scheduler ends."""
    if not isinstance(scheduler, Dask):
        return SynchronousExecutor(advance)
    if isinstance(scheduler, Auto) and scheduler.fits_one_process(tasks) and not (own_code or report):
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // max(1, needs.memory)
        return ThreadsExecutor(scheduler.workers or max(1, min(usable(), room)), advance)
    keep_quiet()
    from distributed.comm.core import CommClosedError

    opened = ExitStack()
    show_state(Cluster(0, 0, 0))  # starting workers takes seconds
    try:
        client = _open(scheduler, needs, opened)
        if report:
            opened.enter_context(_performance_report(client, report))
        timeouts = scheduler.wait_timeout, scheduler.patience
        watch = Watch(client, needs.folder, show_state, *timeouts, _remedy(scheduler, needs))
        return DaskExecutor(client, watch, opened.close, advance)
    except BaseException as error:
        opened.close()
        if isinstance(error, CommClosedError) or _timed_out(error):
            raise SchedulerLost from error
        raise


def _remedy(scheduler: Dask, needs: Needs) -> str:
    """Return advice for a run that has lost all workers."""
    if isinstance(scheduler, ExistingScheduler):
        return "Start workers"
    if isinstance(scheduler, LocalWorkers):
        smaller = " or ".join(filter(None, ("raise scheduler.memory_limit", needs.remedy)))
        return f"The workers died, most likely for lack of memory: {smaller}"
    return "Look in the logs of the workers for the cause, such as a time limit or too little memory"


def _timed_out(error: BaseException) -> bool:
    """Return whether a scheduler stopped responding.

    Dask has no class for this error."""
    return isinstance(error, OSError) and error.errno is None and "trying to connect" in str(error)


def _open(scheduler: Dask, needs: Needs, opened: ExitStack) -> Client:
    """Return a client whose workers passed the checks; all resources close with `opened`."""
    from pipeline.cluster.admission import checked_workers, unregister

    if isinstance(scheduler, Processes):
        check_memory(scheduler.memory_limit, needs)
    opened.enter_context(configured(scheduler))
    client = _client(scheduler, security_of(scheduler), opened)
    where = str(cast(Any, client.scheduler).address)
    beyond = not is_loopback(where) if isinstance(scheduler, ExistingScheduler) else scheduler.listens_beyond_loopback
    if beyond and not where.startswith(TLS):
        LOG.warning(OPEN)
    if importlib.util.find_spec("bokeh") and client.dashboard_link.startswith("http"):
        link = client.dashboard_link
        if isinstance(scheduler, Threads):  # for a scheduler in this process, Dask's link has another address
            link = re.sub(r"//[^/]+:", f"//{LOOPBACK}:", link)
        LOG.info("dashboard  %s", link)
    unregister(client, needs)
    _wait(client, scheduler)
    if not isinstance(scheduler, Threads | Processes):  # local workers share this process's software and storage
        opened.enter_context(checked_workers(client, opened.enter_context(probed(needs))))
    return client


def _client(scheduler: Dask, security: Any, opened: ExitStack) -> Client:
    from pipeline.cluster.connect import client_of, close, connect

    if isinstance(scheduler, ExistingScheduler):
        return connect(scheduler, security, opened)
    assert isinstance(scheduler, DaskCluster), "every other kind starts a cluster"
    with delayed():
        cluster = start(scheduler, security)
        opened.callback(close, cluster, 10)
        return client_of(cluster, opened, security=security)


@contextlib.contextmanager
def _performance_report(client: Client, path: Path) -> Iterator[None]:
    from distributed import performance_report

    report = performance_report(filename=str(path))
    with client.as_current():
        report.__enter__()
        try:
            yield
        finally:
            try:
                report.__exit__(None, None, None)
            except Exception as error:  # this error must not hide why the run ended
                cause = " ".join(str(error).split())[:300]
                LOG.warning("--performance-report: the report could not be written (%s)", cause)


def _wait(client: Client, scheduler: Dask) -> None:
    """Wait for enough workers. Raises ConfigError after `wait_timeout` seconds."""
    try:
        client.wait_for_workers(scheduler.min_workers, timeout=scheduler.wait_timeout)
    except TimeoutError as error:
        joined = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ConfigError(
            f"scheduler: {joined} of {scheduler.min_workers} workers joined within {scheduler.wait_timeout:g} s; look "
            "at the workers' logs or the queue, or raise scheduler.wait_timeout"
        ) from error
