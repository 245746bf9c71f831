"""What the cluster class of each kind is called with: from the section `scheduler`, and what it passes through."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.cluster.deployment import KINDS, LOOPBACK, Scheduler, kind_of
from pipeline.machine.cores import usable

TLS = "tls://"


def arguments(scheduler: Scheduler, security: Any) -> dict[str, Any]:
    """Keyword arguments of the class: its kind's defaults, what the section says, and above both `scheduler.cluster`.

    `security`: Dask's object for TLS, or None."""
    make = {"threads": _threads, "local": _local, "cuda": _cuda, "kubernetes": _kubernetes, "ssh": _ssh}
    found = _merged(kind_of(scheduler.kind).defaults, make.get(scheduler.kind, _batch)(scheduler))
    return _merged(found | ({"security": security} if security is not None else {}), scheduler.cluster)


def _threads(scheduler: Scheduler) -> dict[str, Any]:
    return _here(scheduler) | {
        "processes": False,
        "n_workers": 1,
        "threads_per_worker": scheduler.workers or usable(),
        "protocol": "inproc://",
        "host": None,  # in one process nothing listens
    }


def _local(scheduler: Scheduler) -> dict[str, Any]:
    return {
        **_here(scheduler),
        **_encrypted(scheduler),
        "processes": True,
        "n_workers": scheduler.workers or max(1, usable() // scheduler.threads),
        "threads_per_worker": scheduler.threads,
        "preload": ["pipeline.worker"],
    }


def _cuda(scheduler: Scheduler) -> dict[str, Any]:
    return _here(scheduler) | ({"n_workers": scheduler.workers} if scheduler.workers else {})


def _here(scheduler: Scheduler) -> dict[str, Any]:
    return {
        "host": scheduler.host or LOOPBACK,
        "dashboard_address": f"{LOOPBACK}:0",
        "worker_dashboard_address": f"{LOOPBACK}:0",
        "memory_limit": scheduler.memory_limit,
        "silence_logs": logging.CRITICAL,
    }


def _batch(scheduler: Scheduler) -> dict[str, Any]:
    """Settings of Dask travel in the job script, as environment variables. A class of the user's own gets what the
    config passes through, and no more."""
    if scheduler.kind not in KINDS:
        return _encrypted(scheduler)
    found: dict[str, Any] = {"silence_logs": logging.CRITICAL, **_encrypted(scheduler)}
    if scheduler.host:
        found["scheduler_options"] = {"host": scheduler.host}
    if not scheduler.listens_beyond_loopback:  # then jobs run on this machine, and need not be reached from others
        found["worker_extra_args"] = ["--host", scheduler.host]
    if "cores" in scheduler.cluster:
        found["processes"] = scheduler.cluster["cores"]  # one thread each
    if scheduler.dask_config:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in _environment(scheduler.dask_config).items()]
        found["job_script_prologue"] = lines
    return found


def _kubernetes(scheduler: Scheduler) -> dict[str, Any]:
    return {"env": _environment(scheduler.dask_config)} if scheduler.dask_config else {}


def _ssh(scheduler: Scheduler) -> dict[str, Any]:
    """Dask's settings, those of TLS among them, travel by themselves."""
    place = {"host": scheduler.host} if scheduler.host else {}
    workers = {} if scheduler.listens_beyond_loopback else place
    encrypted = _encrypted(scheduler)
    return {"scheduler_options": encrypted | place, "worker_options": encrypted | workers}


def _encrypted(scheduler: Scheduler) -> dict[str, str]:
    return {"protocol": TLS} if scheduler.tls else {}


def _environment(settings: Mapping[str, Any], above: str = "DASK") -> dict[str, str]:
    """Settings of Dask as the environment variables that it reads."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{above}{'_' if above == 'DASK' else '__'}{re.sub('[-.]', _underscored, str(key)).upper()}"
        found |= _environment(value, name) if isinstance(value, Mapping) else {name: _literal(value)}
    return found


def _underscored(found: re.Match[str]) -> str:
    return "__" if found[0] == "." else "_"


def _literal(value: Any) -> str:
    """Dask reads values as Python literals, and takes for text what is none."""
    return value if isinstance(value, str) else repr(value)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of both: mappings are merged, lists joined, and of other values the ones above count."""
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            found[key] = _merged(under, value)
        else:
            found[key] = [*under, *value] if isinstance(value, list) and isinstance(under, list) else value
    return found
