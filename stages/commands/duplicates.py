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
    help="List the clusters of a finished run, as `fast-diff show --verbose` does. With --by hash, list instead the "
    "images whose hashes agree in some rotation, whatever their distance.",
    examples={
        "fast-diff duplicates outputs/Pictures --by hash": "images whose hashes agree",
        "fast-diff duplicates outputs/Pictures --json": "clusters, for a script",
    },
    arguments=(
        run_argument(),
        click.Option(
            ["--by"],
            type=OneOf(("match", "hash")),
            default="match",
            help="match (default): clusters; hash: images with equal hashes.",
        ),
        JSON,
    ),
    function=duplicates,
)
