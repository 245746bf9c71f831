"""Complete runs, configs, folders, and keys of a config in a shell."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pipeline.cli.targets import CONFIGS, runs_here

if TYPE_CHECKING:
    import click


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return runs in ./outputs, configs and folders that begin with `incomplete`."""
    found = [str(run) for run in runs_here()]
    return [*dict.fromkeys([run for run in found if run.startswith(incomplete)] + configs(ctx, param, incomplete))]


def configs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return YAML files and folders, with a slash, that begin with `incomplete`."""
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
    """Return `key=` for each config key that begins with `incomplete`."""
    from pipeline.config.settings import TOP, kinds_of
    from pipeline.plan.discovery import discover

    sections = kinds_of(discover())
    nested = [f"{name}.{field}" for name, kind in sections.items() for field in dict.fromkeys(_fields(kind))]
    return [f"{key}=" for key in (*TOP, *nested) if f"{key}=".startswith(incomplete)]


def _fields(kind: Any) -> Iterator[str]:
    """Yield the field names of a dataclass, or of all members of a union."""
    if dataclasses.is_dataclass(kind):
        yield from (field.name for field in dataclasses.fields(kind))
    for member in get_args(kind):
        yield from _fields(member)
