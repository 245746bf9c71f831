"""Print messages, each on one line, with control characters escaped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from pipeline.messages.errors import one_line


def say(*lines: str) -> None:
    """Print lines to standard output."""
    for line in lines:
        print(one_line(line))


def answer(as_json: bool, data: Any, lines: Iterable[str]) -> int:
    """Print data as JSON, or else lines, to standard output; return the exit code 0."""
    if as_json:
        print(json.dumps(data))
    else:
        say(*lines)
    return 0


def answer_paged(as_json: bool, data: Any, lines: Iterable[str]) -> int:
    """Print as `answer` does; on a terminal, more lines than the terminal has go through a pager."""
    if as_json or not sys.stdout.isatty():
        return answer(as_json, data, lines)
    import shutil

    import click

    shown = [f"{one_line(line)}\n" for line in lines]
    if len(shown) < shutil.get_terminal_size().lines:
        print(*shown, sep="", end="")
    else:
        click.echo_via_pager(shown)
    return 0


def complain(*lines: str) -> None:
    """Print lines to standard error, each after the program's name."""
    for line in lines if sys.stderr else ():  # a closed stderr is None, and print(file=None) writes to standard output
        print(f"fast-diff: {one_line(line)}", file=sys.stderr)
