"""Follow a plan: check each file again, and record each act in a journal.

follow.py      the plan from beginning to end
actions.py     names of the actions
options.py     options that contradict each other or the plan
planned.py     a file to remove, and its checks
kept_images.py the kept images of a cluster: one must be present and unchanged
acts/          the acts on files, the order of their steps, and guarantees after a power cut
companions.py  files that are removed with an image
merging.py     metadata for the kept image; metadata.py compares, exiftool.py reads and writes
journal.py     the record of acts, for `undo`
take_back.py   undo the acts of a journal
alone.py       one `apply` or `undo` of a user at a time
tally.py       what was done and refused: counts, and the end of the output
output.py      print lines while files change, even if their reader is gone
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, VERBOSE, Argument, OneOf, PathName
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import answer, page, say_on_stderr
from stages.commands.apply.actions import ACTIONS, CHOICES, REPORT, WITH

if TYPE_CHECKING:
    from stages.commands.apply.journal import Journal


def apply(
    plan: Path,
    action: str,
    to: Path | None,
    companions: str,
    merge_metadata: bool,
    yes: bool,
    journal: Path | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Follow a plan, print a summary or a line per file, and return the exit code."""
    from pipeline.machine.interrupts import INTERRUPTED
    from stages.commands.apply.alone import alone
    from stages.commands.apply.exiftool import check_installed
    from stages.commands.apply.follow import apply
    from stages.commands.apply.options import check_options, warning
    from stages.commands.apply.output import print_each, print_summary, with_bar
    from stages.commands.apply.tally import Tally, as_dict, by_folders, summary
    from stages.commands.plan.plan_file import read_plan

    checked = read_plan(plan)
    to = to and to.expanduser()
    check_options(checked, action, to)
    if merge_metadata:
        check_installed()
    if to and (message := warning(checked, to)):
        say_on_stderr(message)
    tally, path = Tally(), None
    if yes and action != REPORT:
        path = journal or plan.with_name(f"{plan.stem}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    try:
        with alone(), _opened(path) if path else contextlib.nullcontext() as opened:
            each = apply(checked, action, to, opened, tally, companions, merge_metadata)
            if verbose and not as_json and path is None:
                page(each)
            else:
                print_each(each if verbose else with_bar(each, lambda: tally.total), silent=as_json or not verbose)
    except KeyboardInterrupt:
        where = f"; {path} records what was done: fast-diff undo {path} reverses it" if path else ""
        say_on_stderr(f"interrupted{where}, or run the same command again to go on")
        return INTERRUPTED
    folders = by_folders(tally, checked)
    if as_json:
        answer(as_json, as_dict(tally, action, path, folders), ())
    else:
        print_summary(summary(tally, action, path, None if verbose else folders))
    return 0 if tally.ok else 1


def _opened(path: Path) -> Journal:
    """Return a journal to write to. Raises ConfigError."""
    from stages.commands.apply.journal import Journal

    try:
        return Journal(path)
    except OSError as error:
        raise ConfigError(f"--journal: {path} can't be written ({error.strerror}); choose another place") from error


COMMAND = Command(
    "apply",
    "clean up",
    does="follow a plan: a dry run, unless --yes is given",
    help="Move the files that a plan removes, put these files into the trash, replace each file by a link, or delete "
    "the files. Companions such as sidecars are treated like their image. Without --yes the command is a dry run. Each "
    "file is checked again before the act: a file that changed since the run, or whose kept image is gone, is left "
    "alone. A journal records each act; `fast-diff undo` reverses every act but delete. The output is a summary by "
    "folder, or with --verbose a line per file.",
    examples={
        "fast-diff apply plan.json --action move --to ~/duplicates": "a dry run",
        "fast-diff apply plan.json --action move --to ~/duplicates --yes": "move the files",
    },
    arguments=(
        Argument("plan", "PLAN", "Plan that `fast-diff plan` or the report's page wrote.", type=PathName()),
        click.Option(
            ["--action"],
            type=OneOf((REPORT, *ACTIONS)),
            required=True,
            help=f"What to do with the files that the plan removes: {', '.join((REPORT, *ACTIONS))}.",
        ),
        click.Option(
            ["--to"], type=PathName(folder=True), metavar="FOLDER", help="For move: folder to move the files to."
        ),
        click.Option(
            ["--companions"],
            type=OneOf(CHOICES),
            default=WITH,
            help="Sidecars and other companions of an image: with (treat companions like their image), leave (keep "
            "companions), refuse (keep images that have companions). Default: with.",
        ),
        click.Option(
            ["--merge-metadata"],
            is_flag=True,
            help="Write caption, keywords, people, rating, date and GPS that the kept image lacks into its XMP "
            "sidecar, never into the image; needs exiftool.",
        ),
        click.Option(["--yes"], is_flag=True, help="Change files; without --yes no file is touched."),
        click.Option(["--journal"], type=PathName(), metavar="FILE", help="Journal to write (default: beside PLAN)."),
        VERBOSE,
        JSON,
    ),
    function=apply,
    exits={
        0: "done, for every file",
        1: "some files were left alone",
        2: "bad usage or plan",
        130: "interrupted; the journal records what was done",
    },
)
