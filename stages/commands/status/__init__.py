"""Count the tasks of a run that are up to date, and the tasks that would run.

tasks.py   counts of tasks, by stage and by set
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, SET, TARGET
from pipeline.cli.targets import target_config
from pipeline.messages.say import answer


def status(target: str | None, sets: Sequence[str], as_json: bool) -> int:
    """Print counts of tasks, and return the exit code."""
    from pipeline.execution.forecast import explain
    from pipeline.store.store import Store
    from stages.commands.results import levels
    from stages.commands.status import tasks

    config, stages = target_config(target, sets)
    found = explain(config, stages)
    rows = tasks.rows(found)
    lines = list(tasks.lines(found, rows))
    if levels.STAGE in rows:
        compared = [name for (stage, _), name in found.current.items() if stage == levels.STAGE]
        work = levels.summed(Store(config.folder, listed=True), compared, levels.recorded(config.folder))
        lines += levels.lines(work, config.settings("pairs.device"))
        rows[levels.STAGE]["levels"] = work.as_dict()
    return answer(as_json, rows, lines)


COMMAND = Command(
    "status",
    "inspect",
    does="say what is done and what would run",
    help="Say for each stage how many tasks are up to date and how many would run, and how many pairs each filter "
    "left. Nothing is computed or changed.",
    examples={"fast-diff status": "the last run here", "fast-diff status outputs/Pictures --json": "for a script"},
    arguments=(TARGET, SET, JSON),
    function=status,
)
