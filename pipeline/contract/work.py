"""Arguments and results of a stage's functions: task, artifact, job, result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.machine.cores import Core

Scalar: TypeAlias = str | int | float | bool | None
Address: TypeAlias = tuple[str, str]
"""Name of one task of the run: (stage, key)."""
Settings: TypeAlias = Callable[[str], Any]
"""The resolved config, read by dotted key, such as `settings("letters.times")`."""


@dataclass(frozen=True)
class Task:
    """One piece of a stage's work; each task publishes one artifact.

    key       unique within the stage, and safe in a file name
    inputs    the tasks whose artifacts `compute` reads, in this order
    spec      further arguments of `compute`; part of the fingerprint
    notes     hints for the `tasks` functions of other stages; not part of the fingerprint
    filename  name in place of `<key>-<fingerprint>.parquet`, for a stage with a single artifact
    order     position in the stage's queue; by default, tasks queue in the order in which `tasks` yields them
    group     tasks of one group are neighbours in `order` and share inputs; one worker may run several of these tasks
    size      amount of work in the stage's `Output.unit`, for the progress display; not part of the fingerprint
    """

    key: str
    inputs: tuple[Address, ...] = ()
    spec: Mapping[str, Scalar] = field(default_factory=dict)
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    filename: str | None = None
    order: int = 0
    group: int = 0
    size: int = 1


@dataclass(frozen=True)
class Upstream:
    """Input of `tasks`: the tasks of earlier stages, and settings of other sections."""

    by_stage: Mapping[str, Sequence[Task]]
    settings: Settings

    def tasks(self, stage: str) -> Sequence[Task]:
        """Return the tasks of an earlier stage, in the order of that stage."""
        return self.by_stage[stage]


class SingleRows(Protocol):
    """Reader of single rows of one fixed-size binary column of an artifact.

    `len` is the number of rows of the artifact. `read` returns uint8 (rows, width) without verifying a checksum, or
    None if rows can't be read one by one or the file is gone. The caller must verify the values, or else call
    `Artifact.take`. The reader stays valid after the artifact is closed.
    """

    def __len__(self) -> int: ...
    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8] | None: ...


class Artifact(Protocol):
    """A finished artifact.

    Columns are read from storage on request, and their checksums are verified. `content` maps each column to the
    digest of its values in row order. `summary` is the small JSON record that the task published beside the rows.
    `take` reads only the row groups that hold `rows`, which must be ascending. `fixed_rows` returns a reader of
    single rows of a fixed-size binary column; None for an artifact on an object store.
    """

    @property
    def stage(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def content(self) -> Mapping[str, str]: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...
    def table(self, columns: Sequence[str] | None = None) -> pa.Table: ...
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]: ...
    def take(self, columns: Sequence[str], rows: Sequence[int]) -> pa.Table: ...
    def fixed_rows(self, column: str) -> SingleRows | None: ...


@dataclass(frozen=True)
class Inputs:
    """The artifacts that a task reads, in the order of `Task.inputs`."""

    artifacts: tuple[Artifact, ...]

    def of(self, stage: str) -> list[Artifact]:
        """Return the artifacts of one stage."""
        return [artifact for artifact in self.artifacts if artifact.stage == stage]

    def table(self, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of all artifacts of one stage, concatenated."""
        return pa.concat_tables([artifact.table(columns) for artifact in self.of(stage)])


@dataclass(frozen=True)
class Base:
    """An earlier artifact that a task builds on, with its inputs and parameters."""

    artifact: Artifact
    inputs: Inputs
    params: Mapping[str, Any]


class Job(Protocol):
    """Context of one call of `compute`.

    Every method needs the run's storage, which stages do not know. `settings` reads the keys of other sections that the
    stage's `CacheKey` declares. `distrust` names rows whose earlier results must not be reused, by their values in the
    first column of `Reuse.columns`."""

    @property
    def task(self) -> Task: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def distrust(self) -> frozenset[str]: ...

    def reusable_tables(self) -> Iterator[pa.Table]:
        """Yield tables of earlier artifacts that may hold rows of this task.

        Only artifacts made with the same parameters are read."""

    def bases(self) -> Iterator[Base]:
        """Yield the artifacts that `Reuse.builds_on` allows, the latest first.

        Artifacts whose inputs no longer exist are left out."""

    def spare_core(self) -> Core | None:
        """Return a lease on an idle core of this machine, or None.

        Close the lease after about a second and ask again: another task may need the core."""

    def find(self, stage: str, key: str, column: str, digest: str) -> Artifact:
        """Return an artifact outside the task's inputs whose `column` has this digest.

        Raises `pipeline.messages.errors.ArtifactDamaged` if no artifact has this digest; the runner then makes the
        artifact again."""

    def advance(self, amount: int) -> None:
        """Report that a part of `Task.size` is done, for the progress display."""

    def publish(self, name: str, data: bytes) -> str:
        """Write one file beside the artifact, atomically; return `name`.

        `name` is relative to the run's folder."""

    def adopt(self, name: str, is_right: Callable[[bytes], bool] | None = None) -> bool:
        """Keep a file of the task's previous artifact; return whether the file is kept.

        A file is kept only if its size is unchanged. Without `is_right`, the file's name must identify everything that
        the file depends on. With `is_right`, a file is kept only if its content is also unchanged and
        `is_right(content)` is true. `publish` replaces an adopted file."""


@dataclass(frozen=True)
class Result:
    """Result of `compute` with more than a table.

    tables   rows in order; an iterator is written as rows arrive, so that a large result is never in memory as a whole
    summary  small JSON record, part of the content; may be filled while `tables` is consumed
    stats    counts for the event log that may differ from run to run; may be filled while `tables` is consumed
    files    names that `Job.publish` returned; the artifact is current only while these files exist
    """

    tables: Iterable[pa.Table]
    summary: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
