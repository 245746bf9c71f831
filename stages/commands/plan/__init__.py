"""Write a plan file: which images of each cluster stay, and which go.

plan_file.py   the format of the plan file; read and check a plan file
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.command import Command
from pipeline.cli.completion import runs
from pipeline.cli.parameters import JSON, Argument
from pipeline.cli.targets import results_of
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import answer
from pipeline.messages.words import counted


def plan(words: Sequence[str], as_json: bool) -> int:
    """Write the plan, and return the exit code."""
    from pipeline.store.atomic import atomic_write
    from stages.commands.plan.plan_file import plan_of

    if len(words) > 2 or not words[-1]:
        raise ConfigError("plan: expected RUN and FILE, such as fast-diff plan outputs/Pictures plan.json")
    file = Path(words[-1])
    plan = plan_of(results_of(words[0] if len(words) == 2 else None))
    if file.exists():
        raise ConfigError(f"{file} exists; choose another name, or delete that file")
    with atomic_write(file) as written:
        written.write(json.dumps(plan, indent=1).encode())
    count, clusters = sum(len(group["remove"]) for group in plan["clusters"]), len(plan["clusters"])
    said = [
        f"plan        {file}: {counted(count, 'file')} of {counted(clusters, 'cluster')} would go",
        f"next        fast-diff apply {file} --action report",
    ]
    return answer(as_json, {"plan": str(file), "remove": count, "clusters": clusters}, said)


COMMAND = Command(
    "plan",
    "clean up",
    does="write which images of each cluster stay, and which go",
    help="Write the proposal of a finished run to a JSON file: the keeper and the references of each cluster stay, and "
    "the others go. No image is touched. If you edit a plan, check that what goes duplicates what stays.",
    examples={
        "fast-diff plan outputs/Pictures plan.json": "of a run",
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
        JSON,
    ),
    function=plan,
)
