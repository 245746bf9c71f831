"""The contract of a command: frozen data that names one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import click

Group: TypeAlias = Literal["find", "review", "clean up", "inspect", "set up"]
GROUPS: Mapping[Group, str] = {
    "find": "Find",
    "review": "Review",
    "clean up": "Clean up",
    "inspect": "Inspect",
    "set up": "Set up",
}
"""Headings of the groups in `fast-diff --help`, in the order in which people need them."""
FOUND = 3
"""Exit code of a gate that found something."""
EXITS: Mapping[int, str] = {0: "done", 1: "a file or folder can't be read or written", 2: "bad usage or config"}
"""Exit codes of most commands."""


@dataclass(frozen=True)
class Command:
    """One command of the command line. A module that ends in `COMMAND = Command(...)` declares it.

    name       as people type it; the module has the same name
    group      the heading under which `fast-diff --help` lists the command
    does       one line for that list: a verb first, no full stop
    help       a paragraph for `fast-diff NAME --help`
    examples   command lines, each with what it does
    arguments  click's parameters; their names are those of the function's keyword arguments
    function   does the work and returns the exit code; imports within it load what the work needs
    exits      exit codes and their meaning
    """

    name: str
    group: Group
    does: str
    help: str
    examples: Mapping[str, str]
    arguments: tuple[click.Parameter, ...]
    function: Callable[..., int]
    exits: Mapping[int, str] = field(default_factory=lambda: EXITS)
