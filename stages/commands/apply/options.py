"""Check the options of `apply` against a plan, before any file is checked."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.messages.errors import ConfigError
from stages.commands.plan.plan_file import RemovalPlan, inputs_of, is_local, is_path, path_of
from stages.comparing.text import one_line


def check_options(plan: RemovalPlan, action: str, to: Path | None) -> None:
    """Raise ConfigError where the options don't go together."""
    if (action == "move") != (to is not None):
        raise ConfigError("--to: expected with --action move, such as --to ~/duplicates, and with no other action")
    if to is None:
        return
    true = Path(os.path.realpath(to))
    for root in filter(is_path, plan.references):
        if true.is_relative_to(os.path.realpath(root)):
            raise ConfigError(f"--to: {to} lies in the reference {root}, which is never touched; choose another folder")
    if is_path(plan.run) and true.is_relative_to(os.path.realpath(plan.run)):
        raise ConfigError(f"--to: {to} lies in the run's own folder {plan.run}; choose another folder")
    if os.path.lexists(to) and not to.is_dir():
        raise ConfigError(f"--to: {to} is not a folder; choose another name")
    for group in plan.clusters:
        for file in (*group.remove, *group.keep) if group.remove else ():
            if is_local(file) and any(path_of(file).is_relative_to(folder) for folder in (to.absolute(), true)):
                verb = "removes" if file in group.remove else "keeps"
                raise ConfigError(
                    f"--to: {one_line(file.path)}, which the plan {verb}, lies in {to}; choose another folder"
                )


def warning(plan: RemovalPlan, to: Path) -> str:
    """Return a warning where `to` lies in an input of the run, else an empty text."""
    inputs = inputs_of(plan.run)
    for root in filter(is_path, (*inputs.get("a", []), *inputs.get("b", []))):
        if Path(os.path.realpath(to)).is_relative_to(os.path.realpath(root)):
            return f"--to: {to} lies in the input {root}: the next run will find the moved files there"
    return ""
