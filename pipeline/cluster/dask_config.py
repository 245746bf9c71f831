"""Set Dask's config, logging and encryption for the duration of a run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.cluster.checks import certificates_of
from pipeline.cluster.keys import Dask, Tls
from pipeline.machine.installation import install_extra
from pipeline.messages.errors import ConfigError

NO_PROFILE = {"distributed.worker.profile.enabled": False}
"""Turn off Dask's profiler: 100 samples per second and thread take 2.5 % of a run over small files."""


def keep_quiet() -> None:
    """Silence Dask's loggers in this process; workers keep their own logs."""
    try:
        importlib.import_module("distributed")  # the import sets levels of Dask's loggers, so it must come first
    except (ImportError, SyntaxError):
        raise
    except Exception as error:  # distributed reads Dask's config on import
        cause = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"Dask's own config can't be used: {cause}. Correct the files in ~/.config/dask or in DASK_CONFIG"
        ) from error
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    for name in ["distributed", "asyncio", *names]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextlib.contextmanager
def configured(scheduler: Dask) -> Iterator[None]:
    """Apply the run's settings of Dask; restore the former settings at the end.

    Some kinds of scheduler pass these settings to their workers."""
    import dask

    shown = importlib.util.find_spec("bokeh")  # only Bokeh's pages (dashboard, performance report) show profiles
    settings = ({} if shown else NO_PROFILE) | flat(scheduler.dask_config)
    for key, value in settings.items():
        if isinstance(dask.config.get(key, None), Mapping) and not isinstance(value, Mapping):
            raise ConfigError(f"scheduler.dask_config: {key}: expected keys and values, got {type(value).__name__}")
    tls = certificates_of(scheduler)
    if isinstance(tls, Tls):
        settings |= _tls_settings(tls)
    with dask.config.set(settings):
        yield


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flatten Dask's settings to dotted keys.

    Dask would replace a whole section of its config by a nested mapping, and lose the section's other keys."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}.{key}" if above else str(key)
        found |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return found


def _tls_settings(tls: Tls) -> dict[str, Any]:
    trusted, cert, key = (str(Path(name).expanduser().absolute()) for name in (tls.ca_file, tls.cert, tls.key))
    settings = {"distributed.comm.require-encryption": True, "distributed.comm.tls.ca-file": trusted}
    for side in ("scheduler", "worker", "client"):
        settings |= {f"distributed.comm.tls.{side}.cert": cert, f"distributed.comm.tls.{side}.key": key}
    return settings


def security_of(scheduler: Dask) -> Any:
    """Return Dask's object for TLS, or None without encryption. Raises ConfigError."""
    from distributed.security import Security

    tls = certificates_of(scheduler)
    if tls is None:
        return None
    if isinstance(tls, Tls):
        return Security()  # reads the files from Dask's settings
    try:
        return Security.temporary()
    except ImportError as error:
        raise ConfigError(f"scheduler.tls: temporary certificates need a library: {install_extra('tls')}") from error
