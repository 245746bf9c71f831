"""Make the real stages with fake data: real tasks, schemas and settings, and kernels that return at once.

Planner, runner, scheduler and store then work as in a run over 10^8 images, and nothing else takes time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.config.settings import Config, from_mapping
from pipeline.plan.discovery import discover
from pipeline.stage import Inputs, Job, Result, Settings, Stage, Task
from stages import scan

Listed: TypeAlias = tuple[Task, pa.Table]
SUMMARIES: Mapping[str, Mapping[str, Any]] = {
    "thumbnail": {"images": 1, "readable": 1, "failed": 0, "errors": {}},
    "pairs": {"pairs_total": 1, "decided": 1, "skipped_by_rule": 0, "identical": 0, "matches": 0},
    "cluster": {"count": 0, "images": 0, "removable_bytes": 0, "flat": 0, "unmeasured": 0, "passing": 0},
}


@dataclasses.dataclass(frozen=True)
class ManyPartitions:
    """A scan of a number of partitions, one image each, in a number of blocks; pickle can send it to workers."""

    partitions: int
    blocks: int

    def __call__(self, params: Any, settings: Settings, *given: Any) -> Iterator[tuple[Task, pa.Table]]:
        for number in range(self.partitions):
            closes = (number + 1) * self.blocks // self.partitions > number * self.blocks // self.partitions
            key = f"a-{number:016x}"
            row = {
                "path": f"/none/{number:09}.jpg",
                "set": "a",
                "root": "/none",
                "bytes": 1,
                "mtime_ns": 1,
                "stamp": "1",
            }
            table = pa.Table.from_pylist([row | {"stamp": "1", "partition": key}], scan.SCHEMA)
            yield Task(key, notes={"set": "a", "closes_block": closes}), table


@dataclasses.dataclass(frozen=True)
class AtOnce:
    """A kernel that sleeps for some seconds and finds nothing."""

    stage: str
    schema: pa.Schema
    seconds: float = 0.0

    def __call__(self, inputs: Inputs, params: Any, job: Job) -> Result:
        time.sleep(self.seconds)
        return Result((self.schema.empty_table(),), summary=dict(SUMMARIES.get(self.stage, {})))


def config_of(output: Path, scheduler: Mapping[str, Any]) -> Config:
    """Return a config of the real stages with default values."""
    settings = {"run": "many", "output": str(output), "inputs": {"a": [str(Path(__file__).parent)]}}
    return from_mapping(settings | {"scheduler": dict(scheduler)}, discover())


def many(partitions: int, blocks: int, config: Config, seconds: float = 0.0) -> list[Stage[Any]]:
    """Return the stages with a fake scan, and with pairs tasks that take `seconds` each."""
    stages = []
    for stage in discover():
        schema = stage.schema_for(config.params[stage.name], config.settings)
        kernel = AtOnce(stage.name, schema, seconds if stage.name == "pairs" else 0.0)
        changed: dict[str, Any] = {"compute": kernel, "reuse": dataclasses.replace(stage.reuse, recheck=None)}
        if stage.source:
            changed = {"source": dataclasses.replace(stage.source, list=ManyPartitions(partitions, blocks), racy=None)}
        stages.append(dataclasses.replace(stage, **changed))
    return stages


def blocks_for(pairs: int) -> int:
    """Return the least number of blocks with at least `pairs` block pairs, diagonal block pairs included."""
    return next(n for n in range(1, pairs + 1) if n * (n + 1) // 2 >= pairs)
