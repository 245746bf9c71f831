"""Count the tasks of a run that are up to date, by stage and by set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.execution.forecast import Explanation
from pipeline.messages.words import counted

SOURCE = "scan"


def rows(found: Explanation) -> dict[str, dict[str, Any]]:
    """Return counts of tasks by stage: all, up to date (`current`), to run.

    With two sets, a stage in which each task belongs to one set also has the counts by set, under `sets`."""
    current = Counter(stage for stage, _ in found.current)
    by_stage = {stage: _row(tasks, current[stage]) for stage, tasks in found.plan.stages().items()}
    total, done = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (stage, key), node in found.plan.nodes.items():
        if name := node.task.notes.get("set"):
            total[stage, str(name)] += 1
            done[stage, str(name)] += (stage, key) in found.current
    if len(images(found)) > 1:
        for (stage, name), tasks in total.items():
            by_stage[stage].setdefault("sets", {})[name] = _row(tasks, done[stage, name])
    return by_stage


def _row(tasks: int, current: int) -> dict[str, Any]:
    return {"tasks": tasks, "current": current, "to_run": tasks - current}


def images(found: Explanation) -> dict[str, int]:
    """Return how many images each set has."""
    counts: Counter[str] = Counter()
    for (stage, _), node in found.plan.nodes.items():
        if stage == SOURCE:
            counts[str(node.task.notes["set"])] += node.task.size
    return dict(sorted(counts.items()))


def lines(found: Explanation, by_stage: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the counts of `rows` as text, a line per stage."""
    if len(counts := images(found)) > 1:
        sizes = ", ".join(f"{name} {counted(count, 'image')}" for name, count in counts.items())
        yield f"sets       {sizes}; only images of a are compared with images of b"
    for stage, row in by_stage.items():
        todo = f"{row['to_run']:,} to run" if row["to_run"] else "nothing to run"
        sets = ", ".join(
            f"{name} {each['current']:,} of {each['tasks']:,}" for name, each in row.get("sets", {}).items()
        )
        yield f"{stage:<10} {row['current']:,} of {row['tasks']:,} up to date, {todo}" + (f"  ({sets})" if sets else "")
