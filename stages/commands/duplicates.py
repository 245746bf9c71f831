"""List the images that are duplicates, by clusters or by hash alone."""

from __future__ import annotations

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, OneOf, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.say import page


def duplicates(run: str | None, by: str, as_json: bool) -> int:
    """Print duplicates, and return the exit code."""
    from stages.commands.show.lines import as_records, cluster_lines, hash_lines

    results = results_of(run)
    found = results.hash_clusters() if by == "hash" else results.clusters()
    if as_json:
        print(as_records(found, results.sets()).to_json(orient="records"))
        return 0
    lines = hash_lines if by == "hash" else cluster_lines
    page(lines(found, results.sets()))
    return 0


COMMAND = Command(
    "duplicates",
    "review",
    does="list duplicates by hash alone, or by clusters",
    help="List the images of a finished run whose hashes agree, in one turn or another, whatever their distance: "
    "--by hash. By default (--by match) the list is that of `fast-diff show --verbose`.",
    examples={
        "fast-diff duplicates outputs/Pictures --by hash": "images whose hashes agree",
        "fast-diff duplicates outputs/Pictures --json": "clusters, for a script",
    },
    arguments=(
        run_argument(),
        click.Option(["--by"], type=OneOf(("match", "hash")), default="match", help="Match (the default), or hash."),
        JSON,
    ),
    function=duplicates,
)
