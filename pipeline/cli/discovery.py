"""Find the commands that this distribution declares."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pipeline.cli.command import Command
from pipeline.machine.installation import DISTRIBUTION, installed
from pipeline.messages.errors import ConfigError

GROUP = "fast_diff.commands"
"""Entry points of packages; each module of such a package that ends in a `COMMAND` is a command."""


def packages() -> list[Any]:
    """Import the packages of commands. Each says in `ABOUT` and `EXAMPLES` what the program is for.

    Raises ConfigError."""
    distribution = installed()
    found = [importlib.import_module(name) for name in distribution.entry_points(GROUP)] if distribution else []
    if not found:
        raise ConfigError(f"no command was found; install {DISTRIBUTION} again")
    return found


def modules() -> dict[str, str]:
    """Return the modules that may be commands: full names by the command's name. None of them is imported."""
    return {
        module.name: f"{package.__name__}.{module.name}"
        for package in packages()
        for module in pkgutil.iter_modules(package.__path__)
    }


def command(module: str) -> Command | None:
    """Import a module and return the command that it declares, if any."""
    return getattr(importlib.import_module(module), "COMMAND", None)
