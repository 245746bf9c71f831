"""Derive keyword arguments of cluster classes from the section `scheduler`."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.cluster.addresses import LOOPBACK
from pipeline.cluster.dask_config import flat
from pipeline.cluster.deployment import Batch, Cuda, CustomCluster, Kubernetes, Processes, Ssh, Threads
from pipeline.cluster.keys import DaskCluster, Encrypted, EncryptedByFiles
from pipeline.machine.cores import usable

TLS = "tls://"


def arguments(scheduler: DaskCluster, security: Any) -> dict[str, Any]:
    """Return the keyword arguments of the cluster class of `scheduler`.

    Keys of the section override the kind's defaults, and `scheduler.cluster` overrides both. `security` is Dask's
    object for TLS, or None."""
    found = _merged(scheduler.defaults, next(make(scheduler) for kind, make in MAKE if isinstance(scheduler, kind)))
    return _merged(found | ({"security": security} if security is not None else {}), scheduler.cluster)


def _threads(scheduler: Threads) -> dict[str, Any]:
    return _here(scheduler.memory_limit) | {
        "processes": False,
        "n_workers": 1,
        "threads_per_worker": scheduler.workers or usable(),
        "protocol": "inproc://",
        "host": None,  # one process needs no listening socket
    }


def _processes(scheduler: Processes) -> dict[str, Any]:
    return {
        **_here(scheduler.memory_limit, scheduler.host),
        **_encrypted(scheduler),
        "processes": True,
        "n_workers": scheduler.workers or max(1, usable() // scheduler.threads),
        "threads_per_worker": scheduler.threads,
        "preload": ["pipeline.worker"],
    }


def _cuda(scheduler: Cuda) -> dict[str, Any]:
    workers = {"n_workers": scheduler.workers} if scheduler.workers else {}
    return _here(scheduler.memory_limit, scheduler.host) | workers


def _here(memory_limit: str | int, host: str | None = None) -> dict[str, Any]:
    return {
        "host": host or LOOPBACK,
        "dashboard_address": f"{LOOPBACK}:0",
        "worker_dashboard_address": f"{LOOPBACK}:0",
        "memory_limit": memory_limit,
        "silence_logs": logging.CRITICAL,
    }


def _batch(scheduler: Batch) -> dict[str, Any]:
    """Return arguments of a batch kind; the job script passes Dask's settings."""
    found: dict[str, Any] = {"silence_logs": logging.CRITICAL, **_encrypted(scheduler)}
    if scheduler.host:
        found["scheduler_options"] = {"host": scheduler.host}
    if not scheduler.listens_beyond_loopback:  # jobs run on this machine; other machines need not reach the jobs
        found["worker_extra_args"] = ["--host", scheduler.host]
    if "cores" in scheduler.cluster:
        found["processes"] = scheduler.cluster["cores"]  # one thread in each process
    if scheduler.dask_config:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in _environment(scheduler.dask_config).items()]
        found["job_script_prologue"] = lines
    return found


def _ssh(scheduler: Ssh) -> dict[str, Any]:
    """Return arguments of kind ssh; Dask's SSH cluster passes Dask's settings itself."""
    place = {"host": scheduler.host} if scheduler.host else {}
    workers = {} if scheduler.listens_beyond_loopback else place
    encrypted = _encrypted(scheduler)
    return {"scheduler_options": encrypted | place, "worker_options": encrypted | workers}


def _encrypted(scheduler: Encrypted | EncryptedByFiles) -> dict[str, str]:
    return {"protocol": TLS} if scheduler.tls else {}


MAKE: tuple[tuple[type, Callable[[Any], dict[str, Any]]], ...] = (
    (Threads, _threads),
    (Processes, _processes),
    (Cuda, _cuda),
    (Ssh, _ssh),
    (Batch, _batch),
    (Kubernetes, lambda scheduler: {"env": _environment(scheduler.dask_config)} if scheduler.dask_config else {}),
    (CustomCluster, _encrypted),
)


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return Dask's settings as environment variables.

    Dask reads a value as a Python literal, or else as text."""
    return {
        f"DASK_{key.replace('-', '_').replace('.', '__').upper()}": value if isinstance(value, str) else repr(value)
        for key, value in flat(settings).items()
        if value != {}
    }


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge arguments: mappings are merged, lists joined, other values from `above`."""
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            found[key] = _merged(under, value)
        else:
            found[key] = [*under, *value] if isinstance(value, list) and isinstance(under, list) else value
    return found
