"""Plan every task of a run, with its inputs, before the first task starts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.messages.errors import ConfigError
from pipeline.stage import Address, PastRows, Settings, Stage, Task, Upstream


@dataclass(frozen=True, slots=True)
class Node:
    """One task in the plan; among ready tasks, the task of least `rank` runs first."""

    address: Address
    stage: Stage[Any]
    task: Task
    rank: int


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a stage.

    `size` is the total over all tasks, in `unit`; `seconds` is the typical number of core-seconds for one unit."""

    tasks: int
    size: int
    unit: str = "tasks"
    seconds: float = 0.01


@dataclass(frozen=True)
class Plan:
    """The DAG of tasks; `sources` holds the tables of source stages by address."""

    nodes: Mapping[Address, Node]
    dependents: Mapping[Address, Sequence[Address]]
    sources: Mapping[Address, pa.Table]

    def stages(self) -> dict[str, int]:
        """Return the number of tasks by stage, in the order of the stages."""
        return dict(Counter(stage for stage, _ in self.nodes))

    def workloads(self) -> dict[str, Workload]:
        """Return the amount of work by stage, in the order of the stages."""
        sizes: Counter[str] = Counter()
        for (stage, _), node in self.nodes.items():
            sizes[stage] += node.task.size
        outputs = {stage: node.stage.output for (stage, _), node in self.nodes.items()}
        return {
            stage: Workload(count, sizes[stage], outputs[stage].unit, outputs[stage].seconds)
            for stage, count in self.stages().items()
        }

    def upstream(self, settings: Settings) -> Upstream:
        """Return the tasks of every stage, for checks of the whole run."""
        by_stage: dict[str, list[Task]] = {}
        for (stage, _), node in self.nodes.items():
            by_stage.setdefault(stage, []).append(node.task)
        return Upstream(by_stage, settings)


def in_order(stages: Sequence[Stage[Any]]) -> list[Stage[Any]]:
    """Sort stages topologically. Raises ConfigError for a cycle or an unknown stage."""
    waiting = {stage.name: stage for stage in stages}
    ordered: list[Stage[Any]] = []
    done: set[str] = set()
    while waiting:
        ready = [stage for stage in waiting.values() if done.issuperset(stage.needs)]
        if not ready:
            raise ConfigError(f"stages {', '.join(sorted(waiting))}: expected no cycle and no unknown stage in needs")
        ordered.extend(waiting.pop(stage.name) for stage in ready)
        done.update(stage.name for stage in ready)
    return ordered


def ignore_count(stage: str, count: int) -> None:
    """Ignore the number of rows that a source stage has found."""


def no_past(stage: Stage[Any], params: object, settings: Settings) -> PastRows:
    """Return no rows: the default of `past`."""
    return PastRows()


def make_plan(
    stages: Sequence[Stage[Any]],
    params: Mapping[str, object],
    settings: Settings,
    past: Callable[[Stage[Any], object, Settings], PastRows] = no_past,
    found: Callable[[str, int], None] = ignore_count,
) -> Plan:
    """List the data of source stages, and cut the work of other stages into tasks.

    `past` is called with a source stage, its parameters and the settings, and returns the rows of the last run.
    `found` is called with the name of a source stage and a number of rows that the stage has found.

    Raises ConfigError if a source stage finds no data."""
    by_stage: dict[str, list[Task]] = {}
    sources: dict[Address, pa.Table] = {}
    for stage in stages:
        if stage.source:
            given = params[stage.name]
            rows = functools.partial(past, stage, given, settings)
            listed = list(stage.source.list(given, settings, functools.partial(found, stage.name), rows))
            by_stage[stage.name] = [task for task, _ in listed]
            sources.update({(stage.name, task.key): table for task, table in listed})
        else:
            upstream = Upstream({need: by_stage[need] for need in _all_needs(stage, stages)}, settings)
            by_stage[stage.name] = list(stage.tasks(upstream, params[stage.name]))
    tasks = {(stage.name, task.key): (stage, task) for stage in stages for task in by_stage[stage.name]}
    ranks = {address: rank for rank, address in enumerate(_depth_first(tasks))}
    dependents: dict[Address, list[Address]] = {address: [] for address in tasks}
    for address, (_, task) in tasks.items():
        for needed in dict.fromkeys(task.inputs):
            dependents[needed].append(address)
    nodes = {address: Node(address, stage, task, ranks[address]) for address, (stage, task) in tasks.items()}
    return Plan(nodes, dependents, sources)


def _all_needs(stage: Stage[Any], stages: Sequence[Stage[Any]]) -> list[str]:
    """Return the names of the stages that a stage needs, directly or indirectly."""
    by_name = {other.name: other for other in stages}
    needs = list(stage.needs)
    for name in needs:
        needs.extend(need for need in by_name[name].needs if need not in needs)
    return needs


def _depth_first(tasks: Mapping[Address, tuple[Stage[Any], Task]]) -> Iterator[Address]:
    """Yield every task after its inputs, and as soon after the inputs as possible.

    The walk begins at the last stage, and visits the inputs of a task by stage, the latest stage first, then by
    `Task.order`. A task that joins two inputs therefore follows right after the second input, long before inputs that
    only later tasks need."""
    seen: set[Address] = set()
    # Position of each stage in the plan: the inputs of the latest stage are walked first.
    depth = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in tasks))}
    for sink in reversed(list(tasks)):
        stack = [(sink, False)]
        while stack:
            address, entered = stack.pop()
            if entered:
                yield address
            elif address not in seen:
                seen.add(address)
                stack.append((address, True))
                inputs = sorted(
                    tasks[address][1].inputs, key=lambda needed: (-depth[needed[0]], tasks[needed][1].order)
                )
                stack.extend((needed, False) for needed in reversed(inputs) if needed not in seen)
