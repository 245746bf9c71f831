"""The command line; the one place where the pipeline meets the stages."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import acts, runs
from pipeline.cli.arguments import Command, Parser
from pipeline.cli.end import print_end
from pipeline.cli.runs import named
from pipeline.machine import installation
from pipeline.machine.interrupts import INTERRUPTED, forget
from pipeline.messages.errors import ConfigError, FastDiffError
from pipeline.messages.say import complain, say
from pipeline.plan.discovery import discover
from pipeline.store.backends.locations import mask

if TYPE_CHECKING:
    from typing import Any

    from pipeline.config.settings import Config
    from pipeline.execution.record import RunRecord
    from pipeline.stage import Stage
    from pipeline.store.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `fast-diff`; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends nothing
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # what is started from here takes no module of the current folder
    logging.getLogger("fast_diff").addHandler(logging.NullHandler())
    try:
        installation.check()
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except FastDiffError as error:
        complain(*error.lines)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        if sys.stderr:
            sys.stderr.close()
        return 0
    except OSError as error:
        where = mask(str(error.filename2 or error.filename or "storage"))  # of a rename, what it was to become
        what = mask(" ".join(str(error.strerror or error).split()))
        complain(f"{where}: {what}; mend it and run the same command again")
        return 1
    except KeyboardInterrupt:
        forget()
        complain("interrupted; run the same command again to go on")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "fast-diff",
        description="Find duplicate and near-duplicate images by comparing every image with every image, exactly.",
        epilog="exit codes: 0 done; 1 a task failed; 2 bad usage or config, or no image; 3 --fail-on found something; "
        "130 interrupted",
    )
    parser.add_argument("--version", action="version", version=metadata.version(installation.DISTRIBUTION))
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Command)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=command)
        return added

    def add_with_config(
        name: str, command: Callable[[argparse.Namespace], int], text: str, count: str | None = None
    ) -> argparse.ArgumentParser:
        added = add(name, command, text)
        added.add_argument("config", nargs=count, metavar="CONFIG", help="a YAML file")
        added.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="override one key: pairs.threshold=100"
        )
        return added

    run = add_with_config("run", _run, "run what is missing, then say what was found")
    status = add_with_config("status", _status, "say what is done and what would run")
    add_with_config("estimate", _estimate, "say how long a run would take, and what it would store, before it runs")
    explain = add_with_config("explain", _explain, "say why each task would run")
    add_with_config("prune", _prune, "delete what earlier configurations left behind")
    config = add_with_config("config", _config, "print the config as resolved, each key with its meaning", "?")
    add_with_config("graph", _graph, "print the plan as a graph in the DOT language")
    demo = add("demo", _demo, "make a small folder of images with known duplicates and find them")
    demo.add_argument("folder", nargs="?", default="outputs/demo-images", metavar="FOLDER", help="where to make it")
    formats = add("formats", _formats, "list the formats of images that this installation reads, and what it lacks")
    runs.add_commands(add)
    acts.add_commands(add)
    for added in (run, demo):
        added.add_argument("--quiet", action="store_true", help="no progress, no summary")
        added.add_argument("--log-format", choices=("text", "json"), default="text", help="json: for machines")
    run.add_argument("--performance-report", type=named, metavar="FILE", help="write Dask's own page on the run there")
    run.add_argument(
        "--allow-cluster-class",
        action="store_true",
        help="let scheduler.kind name a class of your own, package.module:Class, which runs its code",
    )
    from stages.commands.choices import FAIL_ON
    from stages.commands.examples import examples

    names = list(examples())
    help_ = f"print a commented config to begin with instead: {', '.join(names)}"
    config.add_argument("--example", choices=names, metavar="NAME", help=help_)
    run.add_argument("--fail-on", choices=FAIL_ON, help="exit 3 if images match, or identical ones are found")
    run.add_argument("--strict", action="store_true", help="exit 1 if an image or a folder could not be read")
    for added in (status, explain, formats):
        added.add_argument("--json", action="store_true", help="for machines")
    return parser


def _load(options: argparse.Namespace) -> tuple[Config, list[Stage[Any]]]:
    from pipeline.config.settings import load

    stages = discover()
    return load(options.config, stages, options.set), stages


def _run(options: argparse.Namespace) -> int:
    from pipeline.cluster.deployment import KINDS

    config, stages = _load(options)
    if config.scheduler.kind not in KINDS and not options.allow_cluster_class:
        raise ConfigError(
            f"scheduler.kind: {config.scheduler.kind} is a class of your own, whose code would run; "
            "allow it with --allow-cluster-class"
        )
    if options.performance_report:
        _check_performance_report(config, options.performance_report)
    record = _work(config, stages, options)
    found = record.record
    unread = found.get("images", {}).get("failed") or found.get("unmeasured") or found.get("warnings")
    if record.exit_code or not options.fail_on:
        return 1 if options.strict and unread and not record.exit_code else record.exit_code
    return _gate(config, options.fail_on) or (1 if options.strict and unread else 0)


def _gate(config: Config, on: str) -> int:
    """The exit code of a run that is to fail on what it found."""
    from pipeline import load_run
    from stages.commands.gate import FOUND, fails

    if said := fails(load_run(config.folder), on):
        complain(f"--fail-on {on}: {said}; see fast-diff show {config.folder}")
        return FOUND
    return 0


def _check_performance_report(config: Config, path: Path) -> None:
    """Raises ConfigError where it can't be written."""
    if config.scheduler.kind == "synchronous":
        raise ConfigError("--performance-report: kind synchronous runs without Dask; choose another scheduler.kind")
    if not importlib.util.find_spec("bokeh"):
        how = installation.install("bokeh")
        raise ConfigError(f"--performance-report: Dask draws it with a library that is missing: {how}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--performance-report: the folder of {path} does not exist")
    if path.is_dir():
        raise ConfigError(f"--performance-report: {path} is a folder; expected the name of a file")
    if path.exists() and path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--performance-report: {path} is there, and is no page; expected a name such as report.html")
    for root in itertools.chain(*config.roots.values()):
        if path.resolve().is_relative_to(Path(root).resolve()):
            raise ConfigError(f"--performance-report: {path} lies in the input {root}, where nothing is ever written")


def _work(config: Config, stages: Sequence[Stage[Any]], options: argparse.Namespace) -> RunRecord:
    """Run, and print the summary in the form asked for."""
    from pipeline.execution.progress import make_reporter
    from pipeline.run import run
    from stages.commands.dates import draw_dates
    from stages.commands.summary import summary_lines
    from stages.commands.work import draw_work

    def after_success(store: Store, ran: Collection[str]) -> Collection[str]:
        return (*draw_work(config, store, ran), *draw_dates(config, store))

    page = getattr(options, "performance_report", None)  # `demo` has none
    record = run(config, stages, make_reporter(options.quiet, options.log_format), after_success, page)
    if options.log_format == "json":
        print(json.dumps({"event": "summary", **record.record}))
    elif not options.quiet:
        say(*summary_lines(record.record, config.folder))
    if options.log_format != "json":
        print_end(record)
    return record


def _status(options: argparse.Namespace) -> int:
    from pipeline.run import explain
    from pipeline.store.store import Store
    from stages.commands import levels, status

    config, stages = _load(options)
    found = explain(config, stages)
    compared = [name for (stage, _), name in found.current.items() if stage == levels.STAGE]
    store = Store(config.folder, listed=True)
    work = levels.summed(store, compared, levels.recorded(config.folder))
    rows = status.rows(found)
    if options.json:
        rows[levels.STAGE]["levels"] = work.as_dict()
        print(json.dumps(rows))
        return 0
    say(*status.lines(found, rows), *levels.lines(work, config.settings("pairs.device")))
    return 0


def _estimate(options: argparse.Namespace) -> int:
    from pipeline.run import explain
    from stages.commands.estimate import cores_of, lines

    config, stages = _load(options)
    found = explain(config, stages)
    say(*lines(config, found.plan, found.current, cores_of(config)))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from pipeline.run import explain

    found = explain(*_load(options))
    if options.json:
        print(json.dumps({"/".join(address): reason for address, reason in found.reasons.items()}))
        return 0
    for (stage, key), reason in found.reasons.items():
        say(f"{stage}/{key}: {reason}")
    if not found.reasons:
        say("nothing would run: every artifact is current")
    return 0


def _prune(options: argparse.Namespace) -> int:
    from pipeline.run import prune
    from stages.comparing.text import human_bytes

    config, _ = _load(options)
    count, size = prune(config)
    say(f"deleted {count:,} retired files, {human_bytes(size)}")
    return 0


def _config(options: argparse.Namespace) -> int:
    from pipeline.config.describe import describe
    from stages.commands.examples import example

    if (options.config is None) == (options.example is None) or (options.example and options.set):
        raise ConfigError("config: expected CONFIG or --example NAME, and one of them alone")
    if options.example:
        print(example(options.example), end="")
    else:
        print(describe(*_load(options)), end="")
    return 0


def _graph(options: argparse.Namespace) -> int:
    from pipeline.plan.graph import dot
    from pipeline.run import explain

    print(dot(explain(*_load(options))))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from rich.console import Console

    from pipeline import load_run
    from pipeline.config.settings import from_mapping
    from stages.commands.demo import make_images, show

    stages, folder = discover(), Path(options.folder)
    make_images(folder)
    config = from_mapping({"run": "demo", "inputs": {"a": [str(folder)]}}, stages)
    record = _work(config, stages, options)
    if not record.exit_code and not options.quiet and options.log_format == "text":
        show(load_run(config.folder), Console())
        say("now on your folder:  fast-diff config --example local > pictures.yaml")
        say("                     fast-diff run pictures.yaml --set 'inputs.a=[~/Pictures]'")
    return record.exit_code


def _formats(options: argparse.Namespace) -> int:
    from stages.commands import formats

    if options.json:
        print(json.dumps(formats.rows()))
    else:
        say(*formats.lines())
    return 0


if __name__ == "__main__":
    sys.exit(main())
