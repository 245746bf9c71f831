"""The contract of a stage: frozen data that names plain functions.

A stage cuts its work into tasks and computes one task at a time. The pipeline decides which tasks are current, where
artifacts are stored, and where and when a task runs. These rules are the same for every stage.

    tasks(upstream, params)          -> the tasks, made from the tasks of the stages in `needs`
    compute(inputs, params, job)     -> a table, or a `Result`

A source stage has a `Source` instead of both functions: `Source.list` lists the data in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic

import pyarrow as pa

from pipeline.contract.options import CacheKey, Output, P, PastRows, Preflight, Reuse, Section, Source, section
from pipeline.contract.work import (
    Address,
    Artifact,
    Base,
    Inputs,
    Job,
    Result,
    Scalar,
    Settings,
    SingleRows,
    Task,
    Upstream,
)
from pipeline.store.columns import check_columns

__all__ = [
    "ADDED",
    "SPEED",
    "Added",
    "Address",
    "Artifact",
    "Base",
    "CacheKey",
    "Inputs",
    "Job",
    "Output",
    "PastRows",
    "Preflight",
    "Result",
    "Reuse",
    "Scalar",
    "Section",
    "Settings",
    "SingleRows",
    "Source",
    "Speed",
    "Stage",
    "Task",
    "Upstream",
    "section",
]


class Speed:
    """Mark a parameter that changes speed but not results: `Annotated[int, SPEED]`."""


SPEED = Speed()


class Added:
    """Mark a parameter that a later version added: `Annotated[bool, ADDED]`.

    The default must not change results. At its default, the parameter is not part of the fingerprint, so artifacts of
    earlier versions stay current."""


ADDED = Added()


@dataclass(frozen=True)
class Stage(Generic[P]):
    """One stage of the DAG: its parameters, its schema and its functions.

    A file `stages/NAME.py` ends in `STAGE: Stage[Params] = Stage("NAME", ...)`.

    name     also the folder of the artifacts, and the config section of the parameters
    version  raise this number with every change of the code that changes results
    needs    stages whose tasks `tasks` reads, or whose artifacts `compute` reads
    params   dataclass of the config section, made by `section`; fields marked `SPEED`, and fields marked `ADDED` at
             their default, are not part of the fingerprint
    schema   Arrow schema of the artifacts, or a function (params, settings) -> schema; see `pipeline.store.columns`
    tasks    cuts the work
    compute  computes one task from its arguments and nothing else
    The other fields are optional declarations: see `pipeline.contract.options`.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    params: type[P]
    schema: pa.Schema | Callable[[P, Settings], pa.Schema]
    tasks: Callable[[Upstream, P], Iterable[Task]] = lambda upstream, params: ()  # default for source stages
    compute: Callable[[Inputs, P, Job], pa.Table | Result] | None = None
    cache_key: CacheKey[P] = field(default_factory=CacheKey)
    source: Source[P] | None = None
    reuse: Reuse[P] = field(default_factory=Reuse)
    output: Output = field(default_factory=Output)
    preflight: Preflight[P] = field(default_factory=Preflight)

    def __post_init__(self) -> None:
        if isinstance(self.schema, pa.Schema):
            check_columns(self.name, self.schema)

    def used(self, settings: Settings) -> Sequence[str]:
        """Return the config keys of other sections that determine the result."""
        uses = self.cache_key.uses(settings) if callable(self.cache_key.uses) else self.cache_key.uses
        return (*uses, *self.cache_key.added)

    def schema_for(self, params: P, settings: Settings) -> pa.Schema:
        """Return the artifacts' schema under these parameters.

        Raises ConfigError for columns that can't be stored."""
        if isinstance(self.schema, pa.Schema):
            return self.schema
        schema = self.schema(params, settings)
        check_columns(self.name, schema)
        return schema
