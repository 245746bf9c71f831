"""Find the stages that installed distributions declare."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from pipeline.machine.installation import DISTRIBUTION, distributions
from pipeline.messages.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.stage import Stage

GROUP = "fast_diff.stages"
"""Entry point group of the packages of stages; each of their modules with a `STAGE` declares a stage."""


def discover() -> list[Stage[Any]]:
    """Return all stages, each after the stages it needs. Raises ConfigError."""
    from pipeline.plan.tasks import in_order

    found: list[Stage[Any]] = []
    places: list[str] = []
    declared = dict.fromkeys(value for _, each in distributions() for value in each.entry_points(GROUP))
    for package in map(importlib.import_module, declared):
        places += package.__path__
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
        modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
        found += [module.STAGE for module in modules if hasattr(module, "STAGE")]
    if not found:
        raise ConfigError(f"{', '.join(places)}: found no stage; install {DISTRIBUTION} again")
    return in_order(found)
