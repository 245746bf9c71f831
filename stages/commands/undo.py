"""Undo the actions recorded in a journal."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, VERBOSE, Argument, PathName
from pipeline.messages.say import answer


def undo(journal: Path, verbose: bool, as_json: bool) -> int:
    """Undo the acts, print a line per unrestored file, and return the exit code."""
    from stages.commands.apply.alone import alone
    from stages.commands.apply.output import print_each, print_summary, with_bar
    from stages.commands.apply.take_back import AS_BEFORE, undo
    from stages.commands.apply.tally import Tally, restored

    tally = Tally()
    with alone():
        each = undo(journal, tally)
        if not verbose:
            each = (line for line in with_bar(each, lambda: tally.total) if not line.startswith(AS_BEFORE))
        print_each(each, silent=as_json)
    data = {
        "files": tally.done,
        "bytes": tally.bytes,
        "companions": tally.companions,
        "companion_bytes": tally.companion_bytes,
        "sidecars": tally.sidecars,
        "not_restored": dict(tally.refused),
    }
    if as_json:
        answer(as_json, data, ())
    else:
        print_summary([restored(tally)])
    return 0 if tally.ok else 1


COMMAND = Command(
    "undo",
    "clean up",
    does="undo the actions recorded in a journal",
    help="Undo the acts in a journal of `fast-diff apply`, the last act first: each file gets its place and content "
    "back, and no other file is overwritten. Deleted files can't be restored. After an interrupt or a power cut, run "
    "the same command again. The output is a line per file that was not restored, and a summary; with --verbose a line "
    "per file.",
    examples={
        "fast-diff undo plan-20260101-120000.jsonl": "put every file back",
        "fast-diff undo plan-20260101-120000.jsonl --json": "print counts for a script",
    },
    arguments=(Argument("journal", "JOURNAL", "Journal that `fast-diff apply` wrote.", type=PathName()), VERBOSE, JSON),
    function=undo,
    exits={0: "done, for every file", 1: "some files could not be restored", 2: "bad usage, or not a journal"},
)
