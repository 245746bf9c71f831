"""Check whether new files match images of a finished run: a gate for a data set.

compare.py   the comparison: new files as one set, the run's images as the other
lender.py    the finished run, whose artifacts are linked into the check's folder
links.py     a link to a file of the run, or a copy
outcome.py   the outcome as text and as JSON
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from pipeline.cli.command import FOUND, Command
from pipeline.cli.completion import configs, runs
from pipeline.cli.parameters import JSON, QUIET, Argument, OneOf
from pipeline.messages.say import say, say_on_stderr


def check(new: Sequence[str], against: str, fail_on: str, as_json: bool, quiet: bool) -> int:
    """Compare new files with a run, print the matches, and return the exit code."""
    from pipeline import load_run
    from pipeline.cli.end import print_end
    from pipeline.execution.progress import make_reporter
    from stages.commands.check.compare import check
    from stages.commands.check.outcome import as_dict, fails, match_lines, summary_lines

    checked = check(load_run(against), new, make_reporter(quiet, "text"))
    if checked.record and checked.record.exit_code:
        print_end(checked.record)
        return checked.record.exit_code
    if as_json:
        print(json.dumps(as_dict(checked)))
    else:
        say(*match_lines(checked))
        if not quiet:
            say(*summary_lines(checked))
    if reason := fails(checked, fail_on):
        say_on_stderr(f"--fail-on {fail_on}: {reason}")
        return FOUND
    return 0


COMMAND = Command(
    "check",
    "find",
    does="compare new files with a finished run; exit 3 if one matches",
    help="Compare new files with the images of a finished run, and print each match. Unchanged files of "
    "the run are left out. Nothing is added to the run; the work is done in a folder beside the run, so that "
    "a second check of the same files is fast.",
    examples={
        "fast-diff check ~/inbox --against outputs/Pictures": "every image of a folder",
        "fast-diff check new.jpg --against outputs/Pictures --fail-on identical --quiet": "one image, in a script",
    },
    arguments=(
        Argument("new", "NEW...", "Folders or image files.", nargs=-1, required=True, shell_complete=configs),
        click.Option(
            ["--against"], required=True, metavar="RUN", help="A run's folder, or its config.", shell_complete=runs
        ),
        click.Option(
            ["--fail-on"],
            type=OneOf(("match", "identical", "nothing")),
            default="match",
            help="Which kind of match makes the command exit with code 3 (default: match).",
        ),
        JSON,
        QUIET,
    ),
    function=check,
    exits={
        0: "nothing matches",
        1: "a task failed",
        2: "bad usage, or the run can't be used for a check",
        FOUND: "a new image matches: see --fail-on",
        130: "interrupted; the same command continues",
    },
)
