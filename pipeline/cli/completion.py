"""What a shell offers after Tab: runs, configs, folders, and keys of a config."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    import click

CONFIGS = (".yaml", ".yml")


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return runs in ./outputs, then configs and folders that begin like `incomplete`."""
    from pipeline.cli.targets import runs_here

    found = [str(run) for run in runs_here()]
    return [*dict.fromkeys([run for run in found if run.startswith(incomplete)] + configs(ctx, param, incomplete))]


def configs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return YAML files and folders that begin like `incomplete`; folders end in a slash."""
    return sorted(_entries(incomplete))


def _entries(incomplete: str) -> Iterator[str]:
    head, _, tail = incomplete.rpartition("/")
    top = head + "/" if "/" in incomplete else ""
    try:
        entries = list(os.scandir(Path(top).expanduser() if top else Path()))
    except OSError:
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not tail.startswith(".")
        if entry.name.startswith(tail) and entry.name.isprintable() and not hidden:
            if entry.is_dir():
                yield f"{top}{entry.name}/"
            elif entry.name.endswith(CONFIGS):
                yield f"{top}{entry.name}"


def keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return keys of the config that begin like `incomplete`, each with its equals sign."""
    from pipeline.config.settings import TOP, kinds_of
    from pipeline.plan.discovery import discover

    sections = kinds_of(discover())
    nested = [f"{name}.{field}" for name, kind in sections.items() for field in dict.fromkeys(_fields(kind))]
    return [f"{key}=" for key in (*TOP, *nested) if f"{key}=".startswith(incomplete)]


def _fields(kind: Any) -> Iterator[str]:
    """Yield the names of a dataclass's fields; of a union, those of all its members."""
    if dataclasses.is_dataclass(kind):
        yield from (field.name for field in dataclasses.fields(kind))
    for member in get_args(kind):
        yield from _fields(member)
