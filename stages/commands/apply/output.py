"""Print lines while files change.

If the reader of the output ends early, the command still handles the remaining files, and later output goes to
standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pipeline.messages.say import say

T = TypeVar("T")


def print_each(lines: Iterator[str], silent: bool = False) -> None:
    """Print each line as soon as its file is done, while a reader exists.

    With `silent`, print nothing."""
    if silent:
        deque(lines, maxlen=0)  # the iterator changes the files
        return
    for line in lines:
        if not _is_read(line):
            deque(lines, maxlen=0)


def with_bar(items: Iterator[T], total: Callable[[], int | None], noun: str = "files") -> Iterator[T]:
    """Yield the items, one per file; on a terminal, show a progress bar on standard error meanwhile.

    total  returns the number of items, which may be known only after the first item
    noun   what is counted"""
    if not (sys.stderr and sys.stderr.isatty()):
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(noun), TimeRemainingColumn(compact=True)
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)
        for item in items:
            progress.update(bar, total=total(), advance=1)
            yield item


def print_summary(lines: Iterable[str]) -> None:
    """Print the last lines; to standard error where standard output has no reader."""
    for line in lines:
        if not _is_read(line):
            say(line)


def _is_read(line: str) -> bool:
    """Print a line; return whether the output has a reader.

    Without a reader, later output goes to standard error."""
    try:
        say(line)
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):  # discards the rest of the buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stdout = sys.stderr
        return False
    return True
