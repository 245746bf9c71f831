"""Find the commands that this distribution declares."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pipeline.cli.command import Command
from pipeline.machine.installation import DISTRIBUTION, installed
from pipeline.messages.errors import ConfigError

GROUP = "fast_diff.commands"
"""Entry point group that names the packages of commands. Each module with a `COMMAND` declares a command."""


def packages() -> list[Any]:
    """Import and return the packages of commands. Raises ConfigError.

    Each package defines `ABOUT` and `EXAMPLES` for the help."""
    distribution = installed()
    found = [importlib.import_module(name) for name in distribution.entry_points(GROUP)] if distribution else []
    if not found:
        raise ConfigError(f"found no command; install {DISTRIBUTION} again")
    return found


def modules() -> dict[str, str]:
    """Return full module names by command name, without importing the modules."""
    return {
        module.name.replace("_", "-"): f"{package.__name__}.{module.name}"
        for package in packages()
        for module in pkgutil.iter_modules(package.__path__)
    }


def command(module: str) -> Command | None:
    """Import a module and return the command that it declares, if any."""
    return getattr(importlib.import_module(module), "COMMAND", None)
