"""Commands that act on the user's own files by a plan, and undo that."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.runs import Add, named
from pipeline.machine.interrupts import INTERRUPTED
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import complain, say

if TYPE_CHECKING:
    from stages.commands.journal import Journal


def add_commands(add: Add) -> None:
    """The commands of this module."""
    from stages.commands.choices import ACTIONS, REPORT

    apply = add("apply", _apply, "follow a plan; says what it would do, and does it with --yes")
    apply.add_argument("plan", metavar="PLAN", type=named, help="a file that `plan` or the report's page has written")
    apply.add_argument(
        "--action", choices=(REPORT, *ACTIONS), required=True, help="what becomes of the files that are to go"
    )
    apply.add_argument("--to", metavar="FOLDER", type=named, help="for move: the folder that takes them")
    apply.add_argument("--yes", action="store_true", help="do it; without this nothing is touched")
    apply.add_argument("--journal", metavar="FILE", type=named, help="where to write down what is done (by PLAN)")
    undo = add("undo", _undo, "take back what a journal of `apply` tells")
    undo.add_argument("journal", metavar="JOURNAL", type=named)


def _apply(options: argparse.Namespace) -> int:
    from stages.commands.alone import alone
    from stages.commands.apply import Tally, apply, check_options, summary, warning
    from stages.commands.choices import REPORT
    from stages.commands.plan import read_plan

    plan = read_plan(options.plan)
    to = options.to and options.to.expanduser()
    check_options(plan, options.action, to)
    if to and (said := warning(plan, to)):
        complain(said)
    tally, path = Tally(), None
    if options.yes and options.action != REPORT:
        path = options.journal or options.plan.with_name(f"{options.plan.stem}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    try:
        with alone(), _opened(path) if path else contextlib.nullcontext() as journal:
            _tell(apply(plan, options.action, to, journal, tally))
    except KeyboardInterrupt:
        where = f"; what was done stands in {path}: take it back by fast-diff undo" if path else ""
        complain(f"interrupted{where}, or run the same command again to go on")
        return INTERRUPTED
    say(*summary(tally, options.action, path))
    return 0 if tally.ok else 1


def _tell(lines: Iterator[str]) -> None:
    """Print lines as what they tell of is done: all of it, also if nobody listens any more. Then what comes after them
    goes to stderr."""
    for line in lines:
        try:
            print(line, flush=True)
        except OSError:
            with contextlib.suppress(OSError):  # what is left in its buffer goes nowhere
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.stdout = sys.stderr
            deque(lines, maxlen=0)  # what they tell of is done by their being asked for


def _opened(path: Path) -> Journal:
    """A journal to write to. Raises ConfigError."""
    from stages.commands.journal import Journal

    try:
        return Journal(path)
    except OSError as error:
        raise ConfigError(f"--journal: {path} can't be written ({error.strerror}); choose another place") from error


def _undo(options: argparse.Namespace) -> int:
    from stages.commands.alone import alone
    from stages.commands.apply import Tally
    from stages.commands.undo import undo
    from stages.comparing.text import human_bytes

    tally = Tally()
    with alone():
        _tell(undo(options.journal, tally))
    say(f"{tally.done:,} files, {human_bytes(tally.bytes)} taken back; {tally.refused.total():,} not")
    return 0 if tally.ok else 1
