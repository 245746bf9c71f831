"""The contract of a command: frozen data that names one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import click

CommandGroup: TypeAlias = Literal["find", "review", "clean up", "inspect", "set up"]
GROUPS: Mapping[CommandGroup, str] = {
    "find": "Find",
    "review": "Review",
    "clean up": "Clean up",
    "inspect": "Inspect",
    "set up": "Set up",
}
"""Headings of the groups in `fast-diff --help`, in the order in which people need them."""
FOUND = 3
"""Exit code if a check of the data, such as `run --fail-on`, has findings."""
EXITS: Mapping[int, str] = {0: "done", 1: "a file or folder can't be read or written", 2: "bad usage or config"}
"""Exit codes of most commands."""


@dataclass(frozen=True)
class Command:
    """One command, declared by a module that ends in `COMMAND = Command(...)`.

    name       name on the command line, and name of the module
    group      heading of the command in `fast-diff --help`
    does       summary in `fast-diff --help`: a verb first, one line, no full stop
    help       paragraph in `fast-diff NAME --help`
    examples   command lines, each with a description
    arguments  click's parameters, named as the keyword arguments of `function`
    function   does the work and returns the exit code; imports heavy modules in its body
    exits      exit codes and their meaning
    """

    name: str
    group: CommandGroup
    does: str
    help: str
    examples: Mapping[str, str]
    arguments: tuple[click.Parameter, ...]
    function: Callable[..., int]
    exits: Mapping[int, str] = field(default_factory=lambda: EXITS)
