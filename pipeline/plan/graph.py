"""Draw a plan in the DOT language of Graphviz.

Each task is a box, with an arrow from each input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.plan.tasks import Plan
from pipeline.stage import Address


def dot(plan: Plan, reasons: Mapping[Address, str]) -> str:
    """Return DOT text: current tasks are green, others have a reason as a tooltip."""
    return "\n".join(_lines(plan, reasons))


def _lines(plan: Plan, reasons: Mapping[Address, str]) -> Iterator[str]:
    yield "digraph plan {"
    yield '  rankdir=LR; node [shape=box, style=filled, fillcolor="white", fontname="sans-serif"];'
    for (stage, key), node in plan.nodes.items():
        name, address = f"{stage}/{key}", (stage, key)
        color = "#ffffff" if address in reasons else "#d8f0d8"
        tooltip = reasons.get(address, "current").replace('"', "'")
        yield f'  "{name}" [label="{stage}\\n{key}", fillcolor="{color}", tooltip="{tooltip}"];'
        for needed in node.task.inputs:
            yield f'  "{"/".join(needed)}" -> "{name}";'
    yield "}"
