"""From the config's section `scheduler` to an executor: start a cluster or find one, wait for workers, look at them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import importlib.util
import json
import logging
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.arguments import TLS, arguments
from pipeline.cluster.deployment import LOOPBACK, Scheduler, Tls, flat, is_loopback, kind_of
from pipeline.cluster.fitness import Needs, check_memory, probed
from pipeline.execution.executor import DaskExecutor, Executor, SynchronousExecutor
from pipeline.execution.watch import Cluster, Watch, tell_nobody
from pipeline.machine.installation import install_extra
from pipeline.machine.interrupts import held
from pipeline.messages.errors import ConfigError, SchedulerLost

if TYPE_CHECKING:
    from distributed import Client

HERE = ("threads", "local")
"""Kinds whose workers are children of this process, with its software and its storage."""
LOG = logging.getLogger("fast_diff.scheduler")
NO_PROFILE = {"distributed.worker.profile.enabled": False}
"""Dask's profiler looks at every thread a hundred times a second: a fortieth of the time of small files."""
WRITTEN = 20
"""Looks at a scheduler's file, a tenth of a second apart, before it is taken for none."""
OPEN = (
    "scheduler: ports are open beyond this machine without TLS: whoever reaches one runs code as you and reads what "
    "your workers read; set scheduler.tls, or keep the network closed"
)


def open_executor(
    scheduler: Scheduler, needs: Needs, tell: Callable[[Cluster], None] = tell_nobody, report: Path | None = None
) -> Executor:
    """An executor of the configured kind, whose workers can do what this run needs of them. `tell` hears of the cluster
    now and then; `report` is where Dask's own performance report is to go.

    Raises ConfigError where there is nothing to run on, SchedulerLost where it goes while it is looked at."""
    if scheduler.kind == "synchronous":
        return SynchronousExecutor()
    keep_quiet()
    from distributed.comm import CommClosedError

    opened = ExitStack()
    try:
        client = _open(scheduler, needs, opened)
        if report:
            opened.enter_context(_performance_report(client, report))
        remedy = _remedy(scheduler.kind, needs)
        watch = Watch(client, needs.folder, tell, scheduler.wait_timeout, scheduler.patience, remedy)
        return DaskExecutor(client, watch, opened.close)
    except BaseException as error:
        opened.close()
        if isinstance(error, CommClosedError) or _found_nobody(error):
            raise SchedulerLost from error
        raise


def _remedy(kind: str, needs: Needs) -> str:
    """Return what to do where no worker is left, by the kind of scheduler."""
    if kind == "address":
        return "start workers"
    if kind in (*HERE, "cuda"):
        smaller = " or ".join(filter(None, ("raise scheduler.memory_limit", needs.remedy)))
        return f"they died, most likely for lack of memory: {smaller},"
    return "see in their logs why they ended, such as for lack of time or memory,"


def _found_nobody(error: BaseException) -> bool:
    """Whether a call to a scheduler that had answered before was not answered; Dask has no error of its own for it."""
    return isinstance(error, OSError) and error.errno is None and "trying to connect" in str(error)


def _open(scheduler: Scheduler, needs: Needs, opened: ExitStack) -> Client:
    """A client of workers that are there and fit; closing `opened` closes all that this opens."""
    from pipeline.cluster.admission import checked_workers, dismiss

    if scheduler.kind == "local":
        check_memory(scheduler.memory_limit, needs)
    opened.enter_context(_configured(scheduler))
    security = _security(scheduler.tls)
    if scheduler.kind == "address":
        client = _connect(scheduler, security, opened)
    else:
        with held():
            cluster = _start(scheduler, security)
            opened.callback(_close, cluster, 10)
            client = _client(cluster, opened, security=security)
    where = client.scheduler.address
    beyond = not is_loopback(where) if scheduler.kind == "address" else scheduler.listens_beyond_loopback
    if beyond and not where.startswith(TLS):
        LOG.warning(OPEN)
    if importlib.util.find_spec("bokeh") and client.dashboard_link.startswith("http"):
        link = client.dashboard_link
        if scheduler.kind == "threads":  # in one process Dask takes another name of this machine for its address
            link = re.sub(r"//[^/]+:", f"//{LOOPBACK}:", link)
        LOG.info("dashboard  %s", link)
    dismiss(client, needs)
    _wait(client, scheduler)
    if scheduler.kind not in HERE:
        opened.enter_context(checked_workers(client, opened.enter_context(probed(needs))))
    return client


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
            except Exception as error:  # why the run ended is more than a page on how it went
                LOG.warning("--performance-report: it could not be written (%s)", " ".join(str(error).split())[:300])


def _close(what: Any, timeout: float) -> None:
    """Close a client or a cluster, whatever state it is in."""
    with contextlib.suppress(Exception):
        what.close(timeout=timeout)


def keep_quiet() -> None:
    """What Dask says in this process is said by this program, in one line; the workers keep logs of their own."""
    try:
        importlib.import_module("distributed")  # sets its loggers up, and would undo this later
    except (ImportError, SyntaxError):
        raise
    except Exception as error:  # it reads its own config as it is imported
        said = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"Dask's own config can't be used: {said}; mend it, in DASK_CONFIG or ~/.config/dask"
        ) from error
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    for name in ["distributed", "asyncio", *names]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextlib.contextmanager
def _configured(scheduler: Scheduler) -> Iterator[None]:
    """Dask's settings for this run, put back afterwards; kinds that inherit them pass them on to their workers."""
    import dask

    seen = importlib.util.find_spec("bokeh")  # draws the dashboard and the performance report, where profiles are shown
    settings = ({} if seen else NO_PROFILE) | flat(scheduler.dask_config)
    for key, value in settings.items():
        if isinstance(dask.config.get(key, None), Mapping) and not isinstance(value, Mapping):
            raise ConfigError(f"scheduler.dask_config: {key} has keys of its own; expected keys and values")
    if isinstance(scheduler.tls, Tls):
        settings |= _tls_settings(scheduler.tls)
    with dask.config.set(settings):
        yield


def _tls_settings(tls: Tls) -> dict[str, Any]:
    shown = {"cert": _path(tls.cert), "key": _path(tls.key)}
    sides = {
        f"distributed.comm.tls.{side}.{name}": file
        for side in ("scheduler", "worker", "client")
        for name, file in shown.items()
    }
    trusted = {"distributed.comm.require-encryption": True, "distributed.comm.tls.ca-file": _path(tls.ca_file)}
    return trusted | sides


def _path(name: str) -> str:
    return str(Path(name).expanduser().absolute())


def _security(tls: Tls | str | None) -> Any:
    """Dask's object for it, or None."""
    from distributed.security import Security

    if tls is None:
        return None
    if isinstance(tls, Tls):
        return Security()  # takes the files from Dask's settings
    try:
        return Security.temporary()
    except ImportError as error:
        raise ConfigError(f"scheduler.tls: temporary certificates need a library: {install_extra('tls')}") from error


def _connect(scheduler: Scheduler, security: Any, opened: ExitStack) -> Client:
    """A client of a scheduler that is up already. Raises ConfigError, within ten seconds."""
    where = scheduler.address or _address_in(Path(str(scheduler.scheduler_file)))
    patience = min(10.0, scheduler.wait_timeout)
    try:
        with ThreadPoolExecutor(1) as aside:  # in this thread, a notebook for instance, a loop may be running
            aside.submit(lambda: asyncio.run(_reached(where, security, patience))).result()
        with held():
            return _client(where, opened, security=security, timeout=10)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
        how = "it may be encrypted: see scheduler.tls"
        if security:
            how = "does it speak TLS, with a certificate of the same authority?"
        raise ConfigError(
            f"scheduler.address: no Dask scheduler answers at {where}; start it, or mend the address; {how}"
        ) from error


async def _reached(address: str, security: Any, patience: float) -> None:
    """Have a scheduler greet us. A client that finds none takes its time to end, and complains then."""
    from distributed.comm import connect

    arguments = security.get_connection_args("client") if security else {}
    comm = await asyncio.wait_for(connect(address, timeout=patience, **arguments), patience)
    await comm.close()


def _address_in(file: Path) -> str:
    """The address in the file that a scheduler writes of itself. Raises ConfigError."""
    for _ in range(WRITTEN):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            address = json.loads(file.read_text())["address"]
            if isinstance(address, str):
                return address
        if not file.is_file():
            break
        time.sleep(0.1)  # it may be at writing it
    what = "is no file that a Dask scheduler writes of itself" if file.exists() else "does not exist"
    raise ConfigError(f"scheduler.scheduler_file: {file} {what}; is the scheduler up?")


def _client(where: Any, opened: ExitStack, **how: Any) -> Client:
    """A client, which closes with `opened`. Made where nothing interrupts: one half made ends with a complaint."""
    from distributed import Client

    with _without_versions():
        client = Client(where, set_as_default=False, **how)
    opened.callback(_close, client, 5)
    return client


@contextlib.contextmanager
def _without_versions() -> Iterator[None]:
    """Dask warns of versions that differ, in a table; those that matter are looked at later, and told in a line."""
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        yield


def _start(scheduler: Scheduler, security: Any) -> Any:
    """A cluster of the configured kind, told how many workers it is to have."""
    make = _class(scheduler)
    command = kind_of(scheduler.kind).command
    if command and not shutil.which(command):
        raise ConfigError(
            f"scheduler.kind: {scheduler.kind} hands in its jobs by {command}, which is not there; run this where it is"
        )
    try:
        cluster = make(**arguments(scheduler, security))
        if scheduler.adapt:
            cluster.adapt(minimum=scheduler.adapt.minimum, maximum=scheduler.adapt.maximum)
        elif scheduler.scale:
            cluster.scale(scheduler.scale)
        return cluster
    except Exception as error:  # clusters fail in whatever way their batch system does
        _forget_unborn()
        text = " ".join(str(error.__cause__ or error).split())[:300] or type(error).__name__
        raise ConfigError(f"scheduler: Dask could not start its workers ({text}); see the section scheduler") from error


def _forget_unborn() -> None:
    """A Kubernetes cluster that could not be made must not be taken down in the end, with complaints."""
    module = sys.modules.get("dask_kubernetes.operator.kubecluster.kubecluster")
    if module is not None:
        atexit.unregister(module.reap_clusters)


def _class(scheduler: Scheduler) -> Callable[..., Any]:
    kind = kind_of(scheduler.kind)
    module, _, name = kind.cluster.partition(":")
    try:
        if kind.extra:
            importlib.import_module(kind.package.replace("-", "_"))  # some classes are there without what they need
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found
    except (ImportError, AttributeError) as error:
        how = install_extra(kind.extra) if kind.extra else "mend scheduler.kind"
        raise ConfigError(
            f"scheduler.kind: {scheduler.kind} needs {kind.package or module}, which can't be imported here: {how}"
        ) from error


def _wait(client: Client, scheduler: Scheduler) -> None:
    """Until there are enough workers. Raises ConfigError where there are not in time."""
    try:
        client.wait_for_workers(scheduler.min_workers, timeout=scheduler.wait_timeout)
    except TimeoutError as error:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ConfigError(
            f"scheduler: {there} of {scheduler.min_workers} workers joined within {scheduler.wait_timeout:g} s; look "
            "at the workers' logs or the queue, or raise scheduler.wait_timeout"
        ) from error
