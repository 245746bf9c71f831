"""Compare what two runs with different metrics found among the same images.

join.py   matches of both runs side by side, and counts as text
"""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.command import Command
from pipeline.cli.completion import runs
from pipeline.cli.parameters import JSON, Argument, PathName
from pipeline.cli.targets import results_of
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import answer


def compare_metrics(run_a: str, run_b: str, out: Path | None, as_json: bool) -> int:
    """Print counts, write the joined matches where wanted, and return the exit code."""
    from stages.commands.compare_metrics.join import as_dict, joined, lines, write

    if out and out.exists():
        raise ConfigError(f"{out} exists; choose another name, or delete that file")
    found = joined(results_of(run_a), results_of(run_b))
    if out:
        write(found, out)
    return answer(as_json, as_dict(found), lines(found, out))


def _run(letter: str) -> click.Parameter:
    return Argument(f"run_{letter}", f"RUN_{letter.upper()}", "A run's folder, or its config.", shell_complete=runs)


COMMAND = Command(
    "compare-metrics",
    "inspect",
    does="join the matches of two runs with different metrics",
    help="Count the matches that two runs over the same images both found, and the matches of only one run. The "
    "runs may differ in metric, threshold or any other setting. Images that only one run could compare are left out. "
    "With --out: write all matches with the distances of both runs as Parquet.",
    examples={
        "fast-diff compare-metrics outputs/Pictures outputs/pdq": "counts",
        "fast-diff compare-metrics outputs/Pictures outputs/pdq --out both.parquet": "counts; all matches in a file",
    },
    arguments=(
        _run("a"),
        _run("b"),
        click.Option(
            ["--out"],
            type=PathName(),
            metavar="FILE",
            help="Parquet file to write: path_a, path_b, distance_a and distance_b (null where a run has no match), "
            "found_by (both, a or b).",
        ),
        JSON,
    ),
    function=compare_metrics,
)
