"""Run the missing tasks of a DAG over images, then print a summary.

inputs.py    make a config from the arguments
summary.py   the lines of the summary
work.py      the page on pairs left after each filter, and its charts
dates.py     the script with the dates of files, for the report's page
gate.py      the outcome of `--fail-on`
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.command import FOUND, Command
from pipeline.cli.completion import configs
from pipeline.cli.parameters import JSON, LOG_FORMAT, QUIET, SET, Argument, FolderOrUrl, OneOf, PathName
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say, say_on_stderr

if TYPE_CHECKING:
    from pipeline.config.settings import Config
    from pipeline.execution.record import RunRecord
    from pipeline.stage import Stage
    from pipeline.store.store import Store


def run(
    places: Sequence[str],
    sets: Sequence[str],
    threshold: float | None,
    keep: Sequence[str],
    output: str | None,
    performance_report: Path | None,
    allow_cluster_class: bool,
    fail_on: str | None,
    strict: bool,
    quiet: bool,
    as_json: bool,
    log_format: str,
) -> int:
    """Run, and return the exit code."""
    from pipeline.cluster.deployment import KINDS
    from stages.commands.run.inputs import run_config

    config, stages = run_config(places, sets, threshold, keep, output)
    if config.scheduler.kind not in KINDS and not allow_cluster_class:
        raise ConfigError(
            f"scheduler.kind: {config.scheduler.kind} is a class of yours, whose code would run; "
            "allow that with --allow-cluster-class"
        )
    if performance_report:
        _check_performance_report(config, performance_report)
    record = run_and_report(config, stages, quiet, log_format, as_json, performance_report)
    found = record.record
    failed = any(found.get(section, {}).get("failed") for section in ("images", "vectors"))
    unread = failed or found.get("unmeasured") or found.get("warnings")
    if record.exit_code or not fail_on:
        return 1 if strict and unread and not record.exit_code else record.exit_code
    return _gate(config, fail_on) or (1 if strict and unread else 0)


def run_and_report(
    config: Config,
    stages: Sequence[Stage[Any]],
    quiet: bool,
    log_format: str,
    as_json: bool = False,
    performance_report: Path | None = None,
) -> RunRecord:
    """Run, print the summary in the form asked for, and return how the run ended."""
    from pipeline.cli.end import print_end
    from pipeline.execution.progress import make_reporter
    from pipeline.run import run
    from stages.commands.run.dates import draw_dates
    from stages.commands.run.summary import summary_lines
    from stages.commands.run.work import draw_work

    def after_success(store: Store, ran: Collection[str]) -> Collection[str]:
        return (*draw_work(config, store, ran), *draw_dates(config, store))

    record = run(config, stages, make_reporter(quiet, log_format), after_success, performance_report)
    if as_json:
        print(json.dumps(record.record))
    elif log_format == "json":
        print(json.dumps({"event": "summary", **record.record}))
    elif not quiet:
        say(*summary_lines(record.record, config.folder))
    if log_format != "json":
        print_end(record)
    return record


def _gate(config: Config, fail_on: str) -> int:
    """Return the exit code of `--fail-on`."""
    from pipeline import load_run
    from stages.commands.run.gate import fails

    if reason := fails(load_run(config.folder), fail_on):
        say_on_stderr(f"--fail-on {fail_on}: {reason}; see fast-diff show {config.folder}")
        return FOUND
    return 0


def _check_performance_report(config: Config, path: Path) -> None:
    """Raise ConfigError where Dask's page can't be written."""
    from pipeline.machine import installation

    problem: str | None = None
    if config.scheduler.kind == "synchronous":
        problem = "kind synchronous runs without Dask; choose another scheduler.kind"
    elif not importlib.util.find_spec("bokeh"):
        problem = f"Dask draws the page with a library that is missing: {installation.install('bokeh')}"
    elif not path.absolute().parent.is_dir():
        problem = f"the folder of {path} does not exist"
    elif path.is_dir():
        problem = f"{path} is a folder; expected the name of a file"
    elif path.exists() and path.suffix.lower() not in (".html", ".htm"):
        problem = f"{path} exists and is not a page; expected a name such as report.html"
    for root in () if problem else (root for roots in config.roots.values() for root in roots):
        if path.resolve().is_relative_to(Path(root).resolve()):
            problem = f"{path} lies in the input {root}, where nothing is ever written"
    if problem:
        raise ConfigError(f"--performance-report: {problem}")


def _rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from stages.clustering.keepers import FACTS

    return [rule for rule in FACTS if rule.startswith(incomplete) and rule != "folder"]


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(list(names), **more)


COMMAND = Command(
    "run",
    "find",
    does="run what is missing, then say what was found",
    help="Compare every image with every image. Name folders, images or URLs; a YAML config; or a config and what to "
    "compare in place of its inputs.a. Without a config the results are in ./outputs/NAME, named after the first "
    "folder. What is finished is kept: after an interrupt, or when images were added, the same command does only what "
    "is missing.",
    examples={
        "fast-diff run ~/Pictures": "defaults; results in ./outputs/Pictures",
        "fast-diff run ~/Pictures ~/Phone --threshold 100 --keep oldest": "two folders as one set",
        "fast-diff run holiday.yaml ~/Pictures": "a config, and what to compare",
    },
    arguments=(
        Argument(
            "places",
            "[CONFIG] [FOLDER]...",
            "A YAML config; folders, images or URLs to compare.",
            nargs=-1,
            required=True,
            shell_complete=configs,
        ),
        _option("--threshold", type=click.FLOAT, metavar="MSE", help="Largest distance of a match (pairs.threshold)."),
        _option(
            "--keep",
            multiple=True,
            metavar="RULE",
            help="Which image of a cluster to keep, such as oldest; give several for ties (cluster.keep).",
            shell_complete=_rules,
        ),
        _option("--output", type=FolderOrUrl(), metavar="FOLDER", help="Folder or URL of the runs (output)."),
        SET,
        _option("--fail-on", type=OneOf(("match", "identical")), help="Exit 3 if images match, or are identical."),
        _option("--strict", is_flag=True, help="Exit 1 if an image or a folder could not be read."),
        JSON,
        QUIET,
        LOG_FORMAT,
        _option(
            "--performance-report", type=PathName(), metavar="FILE", help="Write Dask's performance report to FILE."
        ),
        _option(
            "--allow-cluster-class",
            is_flag=True,
            help="Let scheduler.kind name a class of your own, package.module:Class, which runs its code.",
        ),
    ),
    function=run,
    exits={
        0: "done, even if some images can't be read",
        1: "a task failed; what is finished is kept",
        2: "bad usage or config, or no image",
        FOUND: "--fail-on found something",
        130: "interrupted; the same command continues",
    },
)
