"""Write a plan file: which images of each cluster to keep, and which to remove.

plan_file.py    the format of the plan file; read and check a plan file
proposal.py     the images to remove, by the run's keepers and by rules
companions.py   the companions of the images to remove
options.py      options of other commands that choose the images to remove
removals.py     the images to remove as a table, images inside containers included
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.cli.command import Command
from pipeline.cli.completion import runs
from pipeline.cli.parameters import JSON, VERBOSE, Argument, OneOf
from pipeline.cli.targets import results_of
from pipeline.messages.errors import ConfigError, one_line
from pipeline.messages.say import answer_paged
from pipeline.messages.words import counted

LEFT = "fast-diff filter writes copies of the containers without these images"


def plan(
    words: Sequence[str],
    prefer: Sequence[str],
    avoid: Sequence[str],
    only: str | None,
    max_distance: float | None,
    folders: Sequence[str],
    verbose: bool,
    as_json: bool,
) -> int:
    """Write the plan, and return the exit code."""
    from pipeline.store.atomic import atomic_write
    from stages.commands.plan.proposal import PlanRules, proposal
    from stages.commands.results.by_folder import as_records, by_folder, folder_lines, images_per_folder
    from stages.comparing.text import human_bytes

    if len(words) > 2 or not words[-1]:
        raise ConfigError("plan: expected RUN and FILE, such as fast-diff plan outputs/Pictures plan.json")
    file = Path(words[-1])
    if file.is_dir():
        raise ConfigError(f"plan: expected a new file, got the folder {file}; write fast-diff plan {file} plan.json")
    results = results_of(words[0] if len(words) == 2 else None)
    plan, left = proposal(results, PlanRules(prefer, avoid, only, max_distance, folders))
    if file.exists():
        raise ConfigError(f"{file} exists; choose another name, or delete that file")
    with atomic_write(file) as written:
        written.write(json.dumps(plan, indent=1).encode())
    removed = [each for group in plan["clusters"] for each in group["remove"]]
    files = [(each["path"], each["bytes"]) for each in removed]
    count, clusters = len(files), len(plan["clusters"])
    beside = len({(_folder(each), also["name"]) for each in removed for also in each.get("companions", ())})
    and_more = f"; their {counted(beside, 'companion')}, too" if beside else ""
    by = by_folder(files, images_per_folder(results))
    lines = [
        f"plan        {file}: {counted(count, 'file')} of {counted(clusters, 'cluster')} would be removed{and_more}",
        *(f"  {one_line(path)}, {human_bytes(size)}" for path, size in (files if verbose else ())),
        *folder_lines(by, "would be removed"),
        *([f"left alone  {counted(left, 'image')} inside containers: {LEFT}"] if left else []),
        f"next        fast-diff apply {file} --action report",
    ]
    counts = {"remove": count, "companions": beside, "clusters": clusters, "inside": left}
    return answer_paged(as_json, {"plan": str(file), **counts, "folders": as_records(by)}, lines)


def _folder(file: Mapping[str, Any]) -> str:
    return str(file["path"].rpartition("/")[0])


class _Distance(click.ParamType[float]):
    """A distance: a number, at least 0."""

    name = "distance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            self.fail(f"expected a number from 0, got {value!r}", param, ctx)
        return number


def _several(name: str, metavar: str, text: str, argument: str = "") -> click.Option:
    return click.Option([f"--{name}", *([argument] if argument else [])], multiple=True, metavar=metavar, help=text)


COMMAND = Command(
    "plan",
    "clean up",
    does="write which images of each cluster to keep, and which to remove",
    help="Write the proposal of a finished run to a JSON file: keep the keeper and the references of each cluster, and "
    "remove the other images. --prefer and --avoid choose other keepers; --only, --max-distance and --folder limit "
    "which images are removed. No image is touched. If you edit a plan, check that each image to remove duplicates a "
    "kept image.",
    examples={
        "fast-diff plan outputs/Pictures plan.json": "of a run",
        "fast-diff plan outputs/Pictures plan.json --avoid 'Backup*' --only identical": "identical images only",
        "fast-diff plan plan.json": "the last run here",
    },
    arguments=(
        Argument(
            "words",
            "[RUN] FILE",
            "A run's folder, or its config; and the file to write, such as plan.json.",
            nargs=-1,
            required=True,
            shell_complete=runs,
        ),
        _several("prefer", "FOLDER", "Keep the image below this folder; may be given several times, the best first."),
        _several("avoid", "PATTERN", "Keep an image with a name or folder like this only as the last choice."),
        click.Option(
            ["--only"],
            type=OneOf(("identical", "near", "turned", "mirrored")),
            help="Remove only images of this kind, compared with the keeper.",
        ),
        click.Option(
            ["--max-distance"],
            type=_Distance(),
            metavar="X",
            help="Remove only images up to this MSE from the keeper.",
        ),
        _several("folder", "FOLDER", "Remove only images below this folder; may be given several times.", "folders"),
        VERBOSE,
        JSON,
    ),
    function=plan,
)
