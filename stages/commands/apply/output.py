"""Print lines while files change."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator


def tell(lines: Iterator[str], silent: bool = False) -> None:
    """Print each line as its file is done. Every file is done, even if nobody reads the output any more: later output
    then goes to standard error. `silent`: print no line."""
    if silent:
        deque(lines, maxlen=0)  # files are done as lines are asked for
        return
    for line in lines:
        try:
            print(line, flush=True)
        except OSError:
            with contextlib.suppress(OSError):  # what is left in its buffer goes nowhere
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.stdout = sys.stderr
            deque(lines, maxlen=0)
