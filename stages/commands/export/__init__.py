"""Write a run's tables in formats that other programs read.

files.py      one file or several: CSV, JSON, and formats of other programs
fiftyone.py   a dataset of FiftyOne
removals.py   the images to remove
sql.py        a database
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import OneOf, PathName, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say
from pipeline.messages.words import counted
from stages.commands.plan.options import removal_options

OF_TABLES = ("csv", "json", "jsonl")
"""Formats that hold one table."""
SEVERAL_FILES = ("difpy", "fiftyone")
"""Formats of several files, in a folder."""
REMOVALS = "removals"
"""The format that lists the images to remove: CSV or Parquet, by the file's extension."""
EXPORT_FORMATS = (*OF_TABLES, "imagededup", "html-table", *SEVERAL_FILES, REMOVALS)
TABLES = ("pairs", "clusters", "images", "hashes")


def export(
    run: str | None,
    format: str | None,
    to: str | None,
    replace: bool,
    table: str | None,
    leak_from: str | None,
    plan: Path | None,
    out: Path | None,
) -> int:
    """Write the tables, and return the exit code."""
    from pipeline.store.atomic import atomic_write
    from stages.commands.export.files import export, export_files

    _check(format, to, replace, table, out)
    if format != REMOVALS and (leak_from or plan):
        raise ConfigError(f"{'--leak-from' if leak_from else '--plan'}: expected with --format {REMOVALS} only")
    results = results_of(run)
    if to is not None:
        from stages.commands.export.sql import export as send

        for name, rows in send(results, to, replace):
            say(f"{name:<10}  {counted(rows, 'row')}")
    elif format in SEVERAL_FILES:
        say(*export_files(results, format, out))
    elif format == REMOVALS:
        from stages.commands.export.removals import export_removals

        say(export_removals(results, out, leak_from, plan))
    elif out:
        if out.exists():
            raise ConfigError(f"{out} exists; choose another name, or delete that file")
        with atomic_write(out) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            export(results, str(format), table or "pairs", text)
            text.flush()
            text.detach()
    else:
        export(results, str(format), table or "pairs", sys.stdout)
    return 0


def _check(format: str | None, to: str | None, replace: bool, table: str | None, out: Path | None) -> None:
    """Raise ConfigError where options don't go together."""
    if (format is None) == (to is None):
        raise ConfigError("export: expected either --format FORMAT or --to URL")
    if table and format not in OF_TABLES:
        raise ConfigError(f"--table: only --format {', '.join(OF_TABLES)} writes one table; leave it out")
    if replace and to is None:
        raise ConfigError("--replace: only --to replaces tables; a file that exists is never replaced")
    if out and to is not None:
        raise ConfigError("--out: only --format writes files; --to says where the tables go")


COMMAND = Command(
    "export",
    "review",
    does="write the results for other programs, or to a database",
    help="Write the matches of a finished run, or another of its tables, in a format that other programs read: to "
    "standard output, to a file, or to a database. In Python, `pipeline.load_run` gives the same tables as DataFrames.",
    examples={
        "fast-diff export outputs/Pictures --format csv --out matches.csv": "matches as a file",
        "fast-diff export outputs/Pictures --to sqlite:///matches.db": "all tables to a database",
        "fast-diff export outputs/Pictures --format removals --out removals.parquet": "the images to remove",
    },
    arguments=(
        run_argument(),
        click.Option(["--format"], type=OneOf(EXPORT_FORMATS), help=f"Format to write: {', '.join(EXPORT_FORMATS)}."),
        click.Option(["--to"], metavar="URL", help="Database for all tables, such as sqlite:///FILE."),
        click.Option(["--replace"], is_flag=True, help="With --to: replace tables of the same names."),
        click.Option(
            ["--table"], type=OneOf(TABLES), help=f"For csv, json and jsonl: {', '.join(TABLES)} (default: pairs)."
        ),
        *removal_options("With --format removals. "),
        click.Option(
            ["--out"],
            type=PathName(),
            metavar="FILE",
            help=f"File to write (default: standard output); for {' and '.join(SEVERAL_FILES)} a folder; for "
            f"{REMOVALS} FILE.csv or FILE.parquet.",
        ),
    ),
    function=export,
)
