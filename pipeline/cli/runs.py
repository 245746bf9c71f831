"""Commands about a run that is there: what it found, and what is proposed to be done about it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.messages.errors import ConfigError
from pipeline.messages.say import complain, say

if TYPE_CHECKING:
    import pandas as pd

Command = Callable[[argparse.Namespace], int]


class Add(Protocol):
    """Adds a command by its name, what does it, and what it does in words."""

    def __call__(self, name: str, command: Command, text: str) -> argparse.ArgumentParser: ...


def add_commands(add: Add) -> None:
    """The commands of this module."""
    from stages.commands.choices import FORMATS, GATE, SEVERAL_FILES, TABLES

    failures = add("failures", _failures, "list the images that could not be read, and why")
    verify = add("verify", _verify, "recompute a finished run with simple, independent code and compare")
    show = add("show", _show, "list the clusters of a run, or all matches of one of its images")
    duplicates = add("duplicates", _duplicates, "list the images that are duplicates, by clusters or by hash alone")
    dismiss = add("dismiss", _dismiss, "say of images that they are no duplicates, for cluster.dismissed")
    export = add("export", _export, "write what a run found in a form that other programs read")
    plan = add("plan", _plan, "write down what the run proposes: which images of each cluster stay, and which go")
    for added in (failures, verify, show, duplicates, dismiss, export, plan):
        added.add_argument("run", metavar="RUN", help="a run's folder, or its CONFIG")
    for added in (failures, show, duplicates):
        added.add_argument("--json", action="store_true", help="for machines")
    show.add_argument("path", nargs="?", metavar="PATH", help="one image: what matches it")
    duplicates.add_argument("--by", choices=("match", "hash"), default="match", help="what tells them (default match)")
    dismiss.add_argument("paths", nargs="*", metavar="PATH", help="images, of which no two are duplicates")
    dismiss.add_argument("--cluster", type=natural, metavar="N", help="in their place: those of a cluster")
    dismiss.add_argument("--file", type=named, required=True, metavar="FILE", help="the CSV file to add them to")
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument("--format", choices=FORMATS)
    form.add_argument("--to", metavar="URL", help="a database, such as sqlite:///FILE: all tables go there")
    export.add_argument("--replace", action="store_true", help="with --to: in place of tables of the same names")
    export.add_argument("--table", choices=TABLES, help="for csv, json and jsonl (default pairs)")
    folder = f"where to write it (default: here); for {' and '.join(SEVERAL_FILES)} a folder"
    export.add_argument("--out", type=named, metavar="FILE", help=folder)
    plan.add_argument("file", metavar="FILE", type=named, help="where to write the plan, such as plan.json")
    for name, default, text in (
        ("pairs", 100_000, "so many pairs at random, most of them no matches"),
        ("images", 200, "so many images at random, each against all others"),
        ("seed", 0, "another number takes other pairs and images"),
    ):
        said = f"{text} (default {default:,})"
        verify.add_argument(f"--{name}", type=natural, default=default, metavar="N", help=said)
    verify.add_argument("--quiet", action="store_true", help="no progress, no summary")

    check = add("check", _check, "compare new files with a finished run; exit 3 if one matches")
    check.add_argument("new", nargs="+", metavar="NEW", help="a folder, or an image file")
    check.add_argument("--against", required=True, metavar="RUN", help="a run's folder, or its CONFIG")
    check.add_argument("--fail-on", choices=GATE, default="match", help="what it exits 3 for (default match)")
    check.add_argument("--json", action="store_true", help="for machines")
    check.add_argument("--quiet", action="store_true", help="no progress, no summary")


def named(text: str) -> Path:
    """A path; the empty text, as of a variable that is not set, is none. Raises ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name, got an empty text")
    return Path(text)


def natural(text: str) -> int:
    """A whole number from 0. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _failures(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from stages.commands.failures import lines

    results = load_run(options.run)
    if options.json:
        print(results.failures().to_json(orient="records"))
        return 0
    say(*lines(results))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from pipeline.execution.progress import make_reporter
    from pipeline.store.lock import RunLock
    from pipeline.store.store import Store
    from stages.commands.verify.data import Recorded
    from stages.commands.verify.verify import complaints, lines, steps, verify

    folder = load_run(options.run).folder
    reporter = make_reporter(options.quiet, "text")
    with RunLock(folder):
        run = Recorded(folder, lambda name: reporter.task((name, ""), "run", "", None))
        reporter.begin(steps(run))
        try:
            report = verify(run, options.pairs, options.images, options.seed)
        finally:
            reporter.end()
        try:
            Store(folder).publish_file("verify.json", json.dumps(report, indent=2).encode())
        except OSError as error:
            raise ConfigError(
                f"{folder / 'verify.json'} can't be written ({error.strerror}); make room for it"
            ) from error
    if not options.quiet:
        say(*lines(report), f"verified    {folder / 'verify.json'}")
    complain(*complaints(report, folder))
    return 0 if report["ok"] else 1


def _check(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from pipeline.cli.end import print_end
    from pipeline.execution.progress import make_reporter
    from stages.commands.check import check
    from stages.commands.checked import as_dict, fails, match_lines, summary_lines
    from stages.commands.gate import FOUND

    checked = check(load_run(options.against), options.new, make_reporter(options.quiet, "text"))
    if checked.record and checked.record.exit_code:
        print_end(checked.record)
        return checked.record.exit_code
    if options.json:
        print(json.dumps(as_dict(checked)))
    else:
        say(*match_lines(checked))
        if not options.quiet:
            say(*summary_lines(checked))
    if said := fails(checked, options.fail_on):
        complain(f"--fail-on {options.fail_on}: {said}")
        return FOUND
    return 0


def _show(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from stages.commands.show import cluster_lines, match_lines, matches_of

    results = load_run(options.run)
    found = matches_of(results, options.path) if options.path else results.clusters()
    if options.json:
        print(_to_json(found, results.sets()))
        return 0
    say(*(match_lines(results, options.path, found) if options.path else cluster_lines(found, results.sets())))
    return 0


def _to_json(found: pd.DataFrame, sets: Mapping[str, str]) -> str:
    """Rows as JSON; with two sets each says which one its image is in."""
    return (found.assign(set=found["path"].map(sets)) if sets else found).to_json(orient="records")


def _duplicates(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from stages.commands.show import cluster_lines, hash_lines

    results = load_run(options.run)
    found = results.hash_clusters() if options.by == "hash" else results.clusters()
    if options.json:
        print(_to_json(found, results.sets()))
        return 0
    lines = hash_lines if options.by == "hash" else cluster_lines
    say(*lines(found, results.sets()))
    return 0


def _dismiss(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from stages.commands.dismiss import dismiss

    pairs, new = dismiss(load_run(options.run), options.file, options.paths, options.cluster)
    say(f"dismissed   {pairs:,} pairs, {new:,} of them new, in {options.file}")
    say(f"next        fast-diff run CONFIG --set 'cluster.dismissed=[{options.file}]'")
    return 0


def _check_export(options: argparse.Namespace) -> None:
    """Raises ConfigError where an option would be passed over."""
    from stages.commands.choices import OF_TABLES

    if options.table and options.format not in OF_TABLES:
        raise ConfigError(f"--table: only --format {', '.join(OF_TABLES)} writes one table; leave it out")
    if options.replace and options.to is None:
        raise ConfigError("--replace: goes with --to alone; files are never written over")
    if options.out and options.to is not None:
        raise ConfigError("--out: goes with --format alone; --to says where the tables go")


def _export(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from pipeline.store.atomic import atomic_write
    from stages.commands.choices import SEVERAL_FILES
    from stages.commands.export import export, export_files

    results = load_run(options.run)
    _check_export(options)
    if options.to is not None:
        from stages.commands.sql import export as send

        for name, rows in send(results, options.to, options.replace):
            say(f"{name:<10}  {rows:,} rows")
    elif options.format in SEVERAL_FILES:
        say(*export_files(results, options.format, options.out))
    elif options.out:
        if options.out.exists():
            raise ConfigError(f"{options.out} is there already; choose another name, or delete it")
        with atomic_write(options.out) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            export(results, options.format, options.table or "pairs", text)
            text.flush()
            text.detach()
    else:
        export(results, options.format, options.table or "pairs", sys.stdout)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from pipeline import load_run
    from pipeline.store.atomic import atomic_write
    from stages.commands.plan import plan_of

    plan = plan_of(load_run(options.run))
    if options.file.exists():
        raise ConfigError(f"{options.file} is there already; choose another name, or delete it")
    with atomic_write(options.file) as file:
        file.write(json.dumps(plan, indent=1).encode())
    files = [file for group in plan["clusters"] for file in group["remove"]]
    say(f"plan        {options.file}: {len(files):,} files of {len(plan['clusters']):,} clusters would go")
    say(f"next        fast-diff apply {options.file} --action report")
    return 0
