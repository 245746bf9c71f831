"""Compute stages without a pipeline: artifacts, job and settings in memory.

A stage fails here if the stage reads a column or a setting that is not in its fingerprints, since such a stage would
take a stale artifact for a current artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.fingerprint import content
from pipeline.stage import Artifact, Base, Inputs, Result, Stage, Task


@dataclass(frozen=True)
class MemoryArtifact:
    """An artifact that is a table in memory."""

    stage: str
    key: str
    rows_: pa.Table
    summary: Mapping[str, Any] = field(default_factory=dict)
    declared: Sequence[str] | None = field(default=None, compare=False)
    """Columns that the reading stage declares; None: all."""

    @property
    def rows(self) -> int:
        return self.rows_.num_rows

    @property
    def content(self) -> Mapping[str, str]:
        return content(self.rows_ if self.declared is None else self.rows_.select(list(self.declared)))

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        if self.declared is not None:
            undeclared = set(self.rows_.column_names if columns is None else columns) - set(self.declared)
            assert not undeclared, f"CacheKey.reads does not declare {sorted(undeclared)} of {self.stage}"
        return self.rows_ if columns is None else self.rows_.select(list(columns))

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> pa.Table:
        return self.table(columns).take(pa.array(rows))

    def fixed_rows(self, column: str) -> None:
        return None

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self.table(columns).to_batches(max_chunksize=1000)


@dataclass
class MemoryJob:
    """A job whose files go to `folder`, and that finds the artifacts in `others`."""

    task: Task
    settings_: Mapping[str, Any]
    folder: Path
    others: Sequence[Artifact] = ()
    reusable_: Sequence[pa.Table] = ()
    distrust: frozenset[str] = frozenset()
    bases_: Sequence[Base] = ()
    uses: Sequence[str] | None = None
    """Settings that the stage declares, including `CacheKey.limits`; None: all."""

    def bases(self) -> Iterator[Base]:
        return iter(self.bases_)

    def advance(self, amount: int) -> None:
        pass

    def spare_core(self) -> None:
        return None

    def settings(self, key: str) -> Any:
        assert self.uses is None or key in self.uses, f"CacheKey declares neither as used nor as a limit {key}"
        return self.settings_[key]

    def reusable_tables(self) -> Iterator[pa.Table]:
        return iter(self.reusable_)

    def find(self, stage: str, key: str, column: str, digest: str) -> Artifact:
        for artifact in self.others:
            if (artifact.stage, artifact.key) == (stage, key) and artifact.content.get(column) == digest:
                return artifact
        raise ArtifactDamaged(stage, key, "not there")

    def publish(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def adopt(self, name: str, is_right: Callable[[bytes], bool] | None = None) -> bool:
        path = self.folder / name
        return path.is_file() and (is_right is None or is_right(path.read_bytes()))


def compute(
    stage: Stage[Any],
    inputs: Sequence[Artifact],
    params: Any,
    settings: Mapping[str, Any],
    folder: Path,
    task: Task | None = None,
    **job: Any,
) -> tuple[MemoryArtifact, Result]:
    """Compute one task of a stage; return the artifact and the task's Result."""
    task = task or Task("test", tuple((artifact.stage, artifact.key) for artifact in inputs))
    own = {f"{stage.name}.{name}": value for name, value in vars(params).items()}
    every = MemoryJob(task, {**own, **settings}, folder, **job)
    memory_job = replace(every, uses=(*stage.used(every.settings), *stage.cache_key.limits))
    reads = stage.cache_key.reads(params, every.settings)
    assert stage.compute is not None
    known = tuple(
        replace(artifact, declared=reads.get(artifact.stage)) if isinstance(artifact, MemoryArtifact) else artifact
        for artifact in inputs
    )
    result = stage.compute(Inputs(known), params, memory_job)
    if isinstance(result, pa.Table):
        result = Result((result,))
    schema = stage.schema_for(params, every.settings)
    tables = list(result.tables)
    table = pa.concat_tables(tables).cast(schema) if tables else schema.empty_table()
    return MemoryArtifact(stage.name, task.key, table.combine_chunks(), result.summary), result
