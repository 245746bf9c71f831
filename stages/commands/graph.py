"""Print the plan of a run as a graph."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.command import Command
from pipeline.cli.parameters import SET, TARGET
from pipeline.cli.targets import target_config


def graph(target: str | None, sets: Sequence[str]) -> int:
    """Print the graph, and return the exit code."""
    from pipeline.execution.forecast import explain
    from pipeline.plan.graph import dot

    found = explain(*target_config(target, sets))
    print(dot(found.plan, found.reasons))
    return 0


COMMAND = Command(
    "graph",
    "inspect",
    does="print the plan as a graph in the DOT language",
    help="Print the tasks of a run and the inputs of each task, in the DOT language of Graphviz. Tasks that would "
    "run are marked.",
    examples={
        "fast-diff graph holiday.yaml | dot -Tsvg > graph.svg": "draw the plan of a config",
        "fast-diff graph": "the last run here",
    },
    arguments=(TARGET, SET),
    function=graph,
)
