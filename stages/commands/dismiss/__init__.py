"""Mark images as not duplicates: no later run puts two of them into one cluster.

pairs.py   pairs of images by their content, in a CSV file
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.cli.command import Command
from pipeline.cli.completion import runs
from pipeline.cli.parameters import JSON, Argument, Natural, PathName
from pipeline.cli.targets import names_a_run, results_of
from pipeline.messages.say import answer
from pipeline.messages.words import counted


def dismiss(words: Sequence[str], cluster: int | None, file: Path, as_json: bool) -> int:
    """Add pairs to the file, and return the exit code."""
    from stages.commands.dismiss.pairs import dismiss

    leads = bool(words) and (names_a_run(words[0]) or not Path(words[0]).is_file())
    run, paths = (words[0], words[1:]) if leads else (None, words)
    pairs, new = dismiss(results_of(run), file, paths, cluster)
    lines = [
        f"dismissed   {counted(pairs, 'pair')}, {new:,} of them new, in {file}",
        f"next        fast-diff run CONFIG --set 'cluster.dismissed=[{file}]'",
    ]
    return answer(as_json, {"pairs": pairs, "new": new, "file": str(file)}, lines)


COMMAND = Command(
    "dismiss",
    "clean up",
    does="mark images as not duplicates, for cluster.dismissed",
    help="Add all pairs of some images, or of a cluster, to a CSV file of pairs that are not duplicates. A run whose "
    "config names the file in cluster.dismissed puts no such pair into one cluster. Pairs are identified by content, "
    "so files may be renamed or moved.",
    examples={
        "fast-diff dismiss outputs/Pictures a.jpg b.jpg --file dismissed.csv": "two images",
        "fast-diff dismiss outputs/Pictures --cluster 3 --file dismissed.csv": "a whole cluster",
    },
    arguments=(
        Argument(
            "words",
            "[RUN] [PATH]...",
            "A run's folder, or its config; and two or more images, no two of which are duplicates.",
            nargs=-1,
            shell_complete=runs,
        ),
        click.Option(["--cluster"], type=Natural(), metavar="N", help="In place of paths: the images of a cluster."),
        click.Option(["--file"], type=PathName(), required=True, metavar="FILE", help="CSV file to add the pairs to."),
        JSON,
    ),
    function=dismiss,
)
