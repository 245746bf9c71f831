"""Recompute a finished run with simple, independent code, and compare.

verify.py        the checks, and the content of verify.json
  files.py       the run's artifacts, read by pyarrow alone
  data.py        columns of the artifacts as plain arrays
  tables.py      images and rows of pairs
  truth.py       expected rows of pairs by the rules alone; the outcome of a check
  nearest.py     distances of sampled images from all other images
  recount.py     the ledger by grouping; clusters by a simple union-find
  keepers.py     the keeper of each cluster, by sorted tuples
  distances.py   distances of thumbnails, by NumPy on 64-bit integers
  vectors.py     distances of vectors and hashes, by NumPy in float64"""

from __future__ import annotations

import json

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, QUIET, Natural, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say, say_on_stderr


def recompute(run: str | None, pairs: int, images: int, seed: int, as_json: bool, quiet: bool) -> int:
    """Recompute a run, write verify.json, and print the outcome of each check; return the exit code."""
    import threadpoolctl

    from pipeline.execution.progress import make_reporter
    from pipeline.machine.cores import usable
    from pipeline.plan.tasks import Workload
    from pipeline.store.lock import RunLock
    from pipeline.store.store import Store
    from stages.commands.verify.data import Recorded
    from stages.commands.verify.verify import lines, problem_lines, steps, verify

    folder = results_of(run).folder
    reporter = make_reporter(quiet, "text")
    with RunLock(folder), threadpoolctl.threadpool_limits(usable()):  # for the matrix products of `check_nearest`
        recorded = Recorded(folder, lambda name: reporter.task((name, ""), "run", "", None))
        reporter.begin({name: Workload(count, count) for name, count in steps(recorded).items()})
        try:
            report = verify(recorded, pairs, images, seed)
        finally:
            reporter.end()
        path = folder / "verify.json"
        try:
            Store(folder).publish_file(path.name, json.dumps(report, indent=2).encode())
        except OSError as error:
            raise ConfigError(f"{path} can't be written ({error.strerror}); free space on its disk") from error
    if as_json:
        print(json.dumps(report))
    elif not quiet:
        say(*lines(report), f"verified    {path}")
    say_on_stderr(*problem_lines(report, folder))
    return 0 if report["ok"] else 1


def _count(name: str, default: int, text: str) -> click.Option:
    explained = f"{text} (default: {default:,})."
    return click.Option([f"--{name}"], type=Natural(), default=default, metavar="N", help=explained)


COMMAND = Command(
    "verify",
    "inspect",
    does="recompute a finished run with simple, independent code",
    help="Recompute a finished run with code that shares nothing with the run, and compare: every recorded match, the "
    "count of every block pair, random pairs, some images against all others, every cluster and its keeper. The "
    "outcome is also written to verify.json in the run's folder.",
    examples={
        "fast-diff verify": "the last run here",
        "fast-diff verify outputs/Pictures --pairs 1000000 --seed 7": "a larger and different sample",
    },
    arguments=(
        run_argument(),
        _count("pairs", 100_000, "Random pairs to measure, most of which do not match"),
        _count("images", 200, "Random images to compare with all others"),
        _count("seed", 0, "Seed of the random sample"),
        JSON,
        QUIET,
    ),
    function=recompute,
    exits={0: "the run is correct", 1: "a value is wrong, or an artifact can't be read", 2: "bad usage, or no run"},
)
