"""Describe the owner of a lock, and find whether its process still runs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DEAD_AFTER = 60.0
"""Seconds without a heartbeat after which an owner counts as dead, if its process can't be looked up."""
PROC = Path("/proc")
ENDED = ""
"""Result of `_started` for a process that has ended."""


def identity(token: str) -> dict[str, Any]:
    """Return the description of this process as the owner of a lock."""
    return {"token": token, **_process_table(), "pid": os.getpid(), "started": _started(os.getpid())}


def parsed(text: bytes) -> dict[str, Any]:
    """Return the owner in a lock's text; empty if the text is damaged."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        owner = dict(json.loads(text))
        if isinstance(owner.get("token"), str):
            return owner
    return {}


def is_alive(owner: Mapping[str, Any], since_heartbeat: Callable[[], float]) -> bool:
    """Return whether a lock's owner still runs.

    If this process shares a process table with the owner, and the table can be read, the table decides. Otherwise the
    heartbeat decides: two hosts may have the same name, and two containers may use the same PID."""
    pid = owner.get("pid")
    if isinstance(pid, int) and all(owner.get(name) == value for name, value in _process_table().items()):
        started = _started(pid)
        if started is not None:
            return started != ENDED and started == owner.get("started")
    try:
        return since_heartbeat() < DEAD_AFTER
    except FileNotFoundError:
        return False


def _process_table() -> dict[str, str]:
    """Return the identity of this process's process table: host, boot, namespace."""
    return {"host": socket.gethostname(), "boot": _boot(), "namespace": _namespace()}


def _boot() -> str:
    with contextlib.suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    """Return Linux's name of the PID namespace; empty on other systems."""
    with contextlib.suppress(OSError):
        return str((PROC / "self/ns/pid").readlink())
    return ""


def _started(pid: int) -> str | None:
    """Return the start time of a process; ENDED if dead, None if unknown.

    PIDs recur: PID and start time together identify a process."""
    if pid <= 0:
        return ENDED
    if not (PROC / "self").is_symlink():
        return _started_elsewhere(pid)
    with contextlib.suppress(OSError):
        if str((PROC / "self").readlink()) == str(os.getpid()):  # else /proc shows another namespace
            state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            return ENDED if state in ("Z", "X") else fields[18]
    try:  # /proc may hide the processes of other users
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return ENDED
    except PermissionError:
        return None
    return None


def _started_elsewhere(pid: int) -> str | None:
    """Return the result of `_started` on a system without /proc, such as macOS."""
    import psutil  # a dependency of Dask's scheduler

    try:
        process = psutil.Process(pid)
        return ENDED if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return ENDED
    except psutil.Error:
        return None
