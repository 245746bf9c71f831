"""Print lines while files change."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator


def print_each(lines: Iterator[str], silent: bool = False) -> None:
    """Print each line as soon as its file is done; `silent`: print nothing.

    If the output's reader is gone, the remaining files are done, too; later output goes to standard error."""
    if silent:
        deque(lines, maxlen=0)  # the iterator does the files
        return
    for line in lines:
        try:
            print(line, flush=True)
        except OSError:
            with contextlib.suppress(OSError):  # discards the rest of the buffer
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.stdout = sys.stderr
            deque(lines, maxlen=0)
