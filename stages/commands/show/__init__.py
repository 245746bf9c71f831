"""Summarize or list the clusters of a run, or list all matches of one image.

lines.py   clusters and matches as text
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.command import Command
from pipeline.cli.completion import runs
from pipeline.cli.parameters import JSON, VERBOSE, Argument
from pipeline.cli.targets import names_a_run, results_of
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import page


def show(words: Sequence[str], verbose: bool, as_json: bool) -> int:
    """Print clusters or matches, and return the exit code."""
    from stages.commands.show.lines import as_records, cluster_lines, match_lines, matches_of, summary_lines

    run, paths = split(words)
    results = results_of(run)
    path = paths[0] if paths else None
    found = matches_of(results, path) if path else results.clusters()
    if as_json:
        print(as_records(found, results.sets()).to_json(orient="records"))
        return 0
    if path:
        page(match_lines(results, path, found))
    else:
        page(cluster_lines(found, results.sets()) if verbose else summary_lines(results, found))
    return 0


def split(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the run, if the first word names a run, and the paths.

    Raises ConfigError."""
    leads = bool(words) and (len(words) > 1 or names_a_run(words[0]) or not Path(words[0]).is_file())
    if len(words) > 2:
        raise ConfigError(f"expected RUN and 1 PATH at most, got {len(words)} words: {', '.join(words)}")
    return (words[0], words[1:]) if leads else (None, words)


COMMAND = Command(
    "show",
    "review",
    does="summarize or list the clusters of a run, or list all matches of one image",
    help="Say how many images of each folder would be removed. With --verbose: list the clusters, the keeper first. "
    "With PATH: all matches of that image, nearest first, dismissed pairs included; the end of a path is enough if no "
    "other image has that end. Without RUN: the last run in ./outputs.",
    examples={
        "fast-diff show outputs/Pictures": "a summary by folder",
        "fast-diff show outputs/Pictures --verbose": "all clusters",
        "fast-diff show outputs/Pictures ~/Pictures/cat.jpg": "what matches one image",
    },
    arguments=(
        Argument(
            "words",
            "[RUN] [PATH]",
            "A run's folder, or its config; and one image of that run.",
            nargs=-1,
            shell_complete=runs,
        ),
        VERBOSE,
        JSON,
    ),
    function=show,
)
