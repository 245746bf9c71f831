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


def say_on_stderr(*lines: str) -> None:
    """Print lines to standard error, each after the program's name."""
    for line in lines if sys.stderr else ():  # a closed stderr is None, and print(file=None) writes to standard output
        print(f"fast-diff: {one_line(line)}", file=sys.stderr)
