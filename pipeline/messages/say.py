"""Print messages, each on one line, with control characters escaped."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from typing import Any

from pipeline.messages.errors import one_line


def say(*lines: str) -> None:
    """Print lines to standard output, and flush: the reader of a pipe must not wait."""
    for line in lines:
        print(one_line(line))
    if sys.stdout:  # None if closed
        sys.stdout.flush()


def answer(as_json: bool, data: Any, lines: Iterable[str]) -> int:
    """Print data as JSON, or else lines, to standard output; return the exit code 0."""
    if as_json:
        print(json.dumps(data))
    else:
        say(*lines)
    return 0


def answer_paged(as_json: bool, data: Any, lines: Iterable[str]) -> int:
    """Print as `answer` does, but print lines with `page`."""
    if as_json:
        return answer(as_json, data, ())
    page(lines)
    return 0


def page(lines: Iterable[str]) -> None:
    """Print lines to standard output.

    A pager shows the lines if the terminal is too small."""
    import shutil

    rest = iter(lines)
    first = list(itertools.islice(rest, shutil.get_terminal_size().lines - 1)) if sys.stdout.isatty() else []
    following = next(rest, None) if first else None
    if following is None:
        say(*first, *rest)
        return
    import click

    click.echo_via_pager(f"{one_line(line)}\n" for line in itertools.chain(first, [following], rest))


def say_on_stderr(*lines: str) -> None:
    """Print lines to standard error, each after the program's name."""
    for line in lines if sys.stderr else ():  # a closed stderr is None, and print(file=None) writes to standard output
        print(f"fast-diff: {one_line(line)}", file=sys.stderr)
