"""The entry point of `fast-diff`: run a command line and return the exit code."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence

import click

from pipeline.cli import interface, usage
from pipeline.machine import installation
from pipeline.messages.errors import FastDiffError
from pipeline.messages.say import say_on_stderr

COLLECT = (50_000, 20, 100)
"""Thresholds of the garbage collector. Modules and plans are long-lived objects; the default thresholds would cost a
tenth of the time of a run without stale tasks."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line of `fast-diff`, and return the exit code."""
    prepare_process()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no error for a name that the terminal can't show
    try:
        installation.check()
        code = interface.call(arguments)
        if sys.stdout:  # None if closed
            sys.stdout.flush()  # an error at the end of the process would have no handler
        return code
    except click.UsageError as error:
        say_on_stderr(usage.line(error))
        return error.exit_code
    except FastDiffError as error:
        say_on_stderr(*error.lines)
        return error.exit_code
    except BrokenPipeError:  # the reader of stdout ended, as `| head` does
        return 0
    except OSError as error:
        from pipeline.store.backends.locations import mask

        where = mask(str(error.filename2 or error.filename or "storage"))  # filename2: the new name in a rename
        what = mask(" ".join(str(error.strerror or error).split()))
        say_on_stderr(f"{where}: {what}; fix the cause, then run the same command again: finished work is kept")
        return 1
    except KeyboardInterrupt:
        from pipeline.machine.interrupts import INTERRUPTED, forget

        forget()
        say_on_stderr("interrupted; run the same command again to go on")
        return INTERRUPTED
    finally:
        _discard_unwritable()


def prepare_process() -> None:
    """Set the garbage collector, and the environment of this process and its children."""
    gc.set_threshold(*COLLECT)
    atexit.register(gc.freeze)  # the end of the process frees all memory
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # child processes import no module of the current folder
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # importing NumPy would start a thread per core
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")  # Arrow returns freed memory to the system at once
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # plugin search takes longer than validating a config


def _discard_unwritable() -> None:
    """Discard output that can't be written.

    Otherwise the interpreter tries again at exit and prints a traceback."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
