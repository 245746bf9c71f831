"""Start a cluster of the configured kind."""

from __future__ import annotations

import atexit
import importlib
import shutil
import sys
from typing import Any

from pipeline.cluster.arguments import arguments
from pipeline.cluster.deployment import CustomCluster
from pipeline.cluster.keys import DaskCluster, Elastic
from pipeline.machine.installation import install_extra
from pipeline.messages.errors import ConfigError


def start(scheduler: DaskCluster, security: Any) -> Any:
    """Return a new Dask cluster without waiting for workers. Raises ConfigError."""
    make = _class(scheduler)
    if scheduler.command and not shutil.which(scheduler.command):
        raise ConfigError(
            f"scheduler.kind: {scheduler.kind} submits its jobs with {scheduler.command}, which is not installed here; "
            f"run fast-diff on a machine that has {scheduler.command}"
        )
    try:
        cluster = make(**arguments(scheduler, security))
        if isinstance(scheduler, Elastic):
            if scheduler.adapt:
                cluster.adapt(minimum=scheduler.adapt.minimum, maximum=scheduler.adapt.maximum)
            elif scheduler.scale:
                cluster.scale(scheduler.scale)
        return cluster
    except Exception as error:  # the errors depend on the batch system
        if module := sys.modules.get("dask_kubernetes.operator.kubecluster.kubecluster"):
            atexit.unregister(module.reap_clusters)  # the hook would delete a cluster that was never created
        text = " ".join(str(error.__cause__ or error).split())[:300] or type(error).__name__
        raise ConfigError(f"scheduler: Dask could not start its workers ({text}); see the section scheduler") from error


def _class(scheduler: DaskCluster) -> Any:
    module, _, name = (scheduler.kind if isinstance(scheduler, CustomCluster) else scheduler.dask_class).partition(":")
    try:
        if scheduler.extra:
            importlib.import_module(scheduler.package.replace("-", "_"))  # importing the class may not need the package
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        how = install_extra(scheduler.extra) if scheduler.extra else "correct scheduler.kind"
        raise ConfigError(
            f"scheduler.kind: {scheduler.kind} needs {scheduler.package or module}, which can't be imported here: {how}"
        ) from error
