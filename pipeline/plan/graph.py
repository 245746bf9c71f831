"""Draw a plan in the DOT language of Graphviz: one box per task, an arrow from each input."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.execution.forecast import Explanation


def dot(found: Explanation) -> str:
    """Return DOT text: current tasks are green, tooltips of stale tasks give reasons."""
    return "\n".join(_lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    yield "digraph plan {"
    yield '  rankdir=LR; node [shape=box, style=filled, fillcolor="white", fontname="sans-serif"];'
    current = set(found.current)
    for (stage, key), node in found.plan.nodes.items():
        name, address = f"{stage}/{key}", (stage, key)
        color = "#d8f0d8" if address in current else "#ffffff"
        tooltip = found.reasons.get(address, "current").replace('"', "'")
        yield f'  "{name}" [label="{stage}\\n{key}", fillcolor="{color}", tooltip="{tooltip}"];'
        for needed in node.task.inputs:
            yield f'  "{"/".join(needed)}" -> "{name}";'
    yield "}"
