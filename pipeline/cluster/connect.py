"""Connect to a Dask scheduler at a given address, or to one started by this run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cluster.deployment import ExistingScheduler
from pipeline.machine.interrupts import delayed
from pipeline.messages.errors import ConfigError

if TYPE_CHECKING:
    from distributed import Client

READS = 20
"""Number of attempts to read a scheduler file, a tenth of a second apart, before the file counts as invalid."""


def connect(scheduler: ExistingScheduler, security: Any, opened: ExitStack) -> Client:
    """Return a client of a running scheduler. Raises ConfigError within ten seconds."""
    where = scheduler.address or _address_in(Path(str(scheduler.scheduler_file)))
    timeout = min(10.0, scheduler.wait_timeout)
    try:
        with ThreadPoolExecutor(1) as thread:  # the calling thread may run an event loop, as in a notebook
            thread.submit(lambda: asyncio.run(_greet(where, security, timeout))).result()
        with delayed():
            return client_of(where, opened, security=security, timeout=10)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
        how = "the scheduler may be encrypted: see scheduler.tls"
        if security:
            how = "does the scheduler use TLS, with a certificate of the same authority?"
        raise ConfigError(
            f"scheduler.address: no Dask scheduler answers at {where}; start one, or correct the address; {how}"
        ) from error


async def _greet(address: str, security: Any, timeout: float) -> None:
    """Try a connection to a scheduler: a client without a scheduler closes slowly."""
    from distributed.comm.core import connect

    arguments = security.get_connection_args("client") if security else {}
    comm = await asyncio.wait_for(connect(address, timeout=timeout, **arguments), timeout)
    await comm.close()


def _address_in(file: Path) -> str:
    """Return the address in a scheduler file of Dask. Raises ConfigError."""
    for _ in range(READS):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            address = json.loads(file.read_text())["address"]
            if isinstance(address, str):
                return address
        if not file.is_file():
            break
        time.sleep(0.1)  # the scheduler may be writing the file
    what = "is not a file that a Dask scheduler has written" if file.exists() else "does not exist"
    raise ConfigError(f"scheduler.scheduler_file: {file} {what}; is the scheduler running?")


def client_of(where: Any, opened: ExitStack, **options: Any) -> Client:
    """Return a client that closes with `opened`.

    Call within `delayed()`: an interrupt while the client is made would leave warnings."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # `fitness` checks relevant versions
        client = Client(where, set_as_default=False, **options)
    opened.callback(close, client, 5)
    return client


def close(client_or_cluster: Any, timeout: float) -> None:
    """Close a client or a cluster in any state, without errors."""
    with contextlib.suppress(Exception):
        client_or_cluster.close(timeout=timeout)
