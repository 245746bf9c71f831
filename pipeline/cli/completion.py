"""Offer shell completions for runs, configs, folders and config keys."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pipeline.cli.targets import CONFIGS, runs_here

if TYPE_CHECKING:
    import click


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the runs in ./outputs, the configs and the folders whose names begin with `incomplete`."""
    found = [str(run) for run in runs_here()]
    return [*dict.fromkeys([run for run in found if run.startswith(incomplete)] + configs(ctx, param, incomplete))]


def configs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return YAML files, and folders with a final slash, that begin with `incomplete`."""
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
    """Return config keys, or allowed values of a key, that begin with `incomplete`.

    Keys are offered as `key=`, values as `key=value`."""
    from pipeline.config.describe import choices
    from pipeline.config.lists import dataclasses_in, hints_of
    from pipeline.config.settings import TOP, kinds_of
    from pipeline.config.unions import KIND, members
    from pipeline.plan.discovery import discover

    words: dict[str, list[str]] = {key: [] for key in TOP}
    for section, kind in kinds_of(discover()).items():
        for model in dataclasses_in(kind):
            hints = hints_of(model)
            for field in dataclasses.fields(model):
                hint = hints[field.name]
                words[f"{section}.{field.name}"] = ["true", "false"] if bool in get_args(hint) else choices(hint)
        if tags := members(kind):
            words[f"{section}.{KIND}"] = list(tags)
    key, equals, _ = incomplete.partition("=")
    offered = [f"{key}={word}" for word in words.get(key, ())] if equals else [f"{key}=" for key in words]
    return [text for text in offered if text.startswith(incomplete)]
