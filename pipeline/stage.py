"""What a stage is: frozen data that names two plain functions.

A stage cuts its work into tasks (`tasks`) and computes one of them (`compute`). Everything else - which
task is current, where artifacts lie, who runs what and when - is the pipeline's business, and the same for
every stage. A source stage has `source` instead: it looks at the world anew at each run.

    tasks(upstream, params)          -> the tasks, from the tasks of the stages it needs
    compute(inputs, params, job)     -> a table, or a Result where there is more to say
    source(params, settings)         -> (task, table) pairs; source stages only
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.store.backends.locations import Place
from pipeline.store.columns import check_columns

Scalar: TypeAlias = str | int | float | bool | None
Address: TypeAlias = tuple[str, str]
"""Names one task of the run: (stage, key)."""


class Speed:
    """Marks a parameter that changes how fast a result is made, never which: `Annotated[int, SPEED]`."""


SPEED = Speed()


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of a stage's work; it publishes one artifact.

    `key` is unique within the stage and safe in a file name. `inputs` are the tasks it reads, in the order in
    which `compute` meets them. `spec` is what `compute` is told beyond its inputs; it determines the content, so
    it is part of the fingerprint. `notes` help other stages to plan and are not. `filename` replaces
    `<key>-<fingerprint>.parquet` where a stage has a single artifact with a name of its own. `order` is its place in
    line among those of its stage, where that is not the one they are given in; tasks of one `group` stand next to each
    other there and share inputs, so that several may run as one at one place. Neither changes any result.
    """

    key: str
    inputs: tuple[Address, ...] = ()
    spec: Mapping[str, Scalar] = field(default_factory=dict)
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    filename: str | None = None
    order: int = 0
    group: int = 0


class Settings(Protocol):
    """The resolved configuration, read by dotted key: `settings("thumbnail.size")`."""

    def __call__(self, key: str) -> Any: ...


@dataclass(frozen=True)
class Upstream:
    """What `tasks` may look at: the tasks of earlier stages, and settings outside the stage's own section."""

    by_stage: Mapping[str, Sequence[Task]]
    settings: Settings

    def tasks(self, stage: str) -> Sequence[Task]:
        """Tasks of an earlier stage, in its own order."""
        return self.by_stage[stage]


class Artifact(Protocol):
    """A finished artifact: its columns are read from storage when asked for, checksums verified.

    `take` reads the row groups that hold the wanted rows, given in ascending order (`Stage.row_group`).
    `read_rows_unverified` reads single rows of one fixed-size binary column without a checksum: uint8 (rows, width),
    or None where the file's layout prevents this. The caller must verify the values, or else call `take`.
    `content` maps a column to the digest of its values in row order. `summary` is the small JSON record that the
    task published beside the rows (the ledger of a block pair, say).
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
    def read_rows_unverified(self, column: str, rows: Sequence[int]) -> NDArray[np.uint8] | None: ...


@dataclass(frozen=True)
class Inputs:
    """The artifacts that a task reads, by stage, in the order of `Task.inputs`."""

    artifacts: tuple[Artifact, ...]

    def of(self, stage: str) -> list[Artifact]:
        """Artifacts of one stage."""
        return [artifact for artifact in self.artifacts if artifact.stage == stage]

    def table(self, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of all the artifacts of one stage, one after the other."""
        return pa.concat_tables([artifact.table(columns) for artifact in self.of(stage)])


class Core(Protocol):
    """A core that is held until it is closed."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Before:
    """An earlier artifact of a task, whole inputs and all: what it was made from, and with which parameters."""

    artifact: Artifact
    inputs: Inputs
    params: Mapping[str, Any]


class Job(Protocol):
    """What `compute` may ask of the machine room while it works on one task.

    `settings` reads keys outside the stage's own section; `Stage.uses` or `Stage.bounds` must declare them.
    `folder` is the run's folder, for files published beside the artifact (see `Result.files`).
    `distrust` holds rows whose earlier results must not be reused, by the first column of `Stage.reuse`.
    """

    @property
    def task(self) -> Task: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def folder(self) -> Place: ...
    @property
    def distrust(self) -> frozenset[str]: ...

    def earlier(self) -> Iterator[pa.Table]:
        """Whole tables of earlier artifacts of this stage, made with the same parameters, that may hold rows of
        this task. `Stage.reuse` names the columns that must agree for a row to be copied."""
        ...

    def before(self) -> Iterator[Before]:
        """Earlier artifacts of this very task that this one may build on: made by the same code, with parameters that
        differ at most in `Stage.builds_on`, from inputs that are all still there; the latest first."""
        ...

    def spare_core(self) -> Core | None:
        """A core of this machine that no task uses now, to work with beside the task's own one until it is closed; None
        where there is none. Ask again after a while, and hold it for no more than a second or so."""
        ...

    def find(self, stage: str, key: str, column: str, digest: str) -> Artifact:
        """The artifact of another task that holds exactly this column, by its content digest.

        For reading what the inputs point to without listing every artifact as an input. Raises
        `pipeline.messages.errors.ArtifactDamaged` where there is none (the runner then makes it again)."""
        ...

    def publish(self, name: str, data: bytes) -> str:
        """Write one file beside the artifact, atomically; `name` is relative to `folder`. Returns `name`."""
        ...

    def adopt(self, name: str) -> bool:
        """Take a file for published that this task's artifact has published before, under a name that tells all it
        depends on; False where there is none, or it is not as it was."""
        ...


@dataclass(frozen=True)
class Result:
    """What `compute` returns where a table alone does not say it all.

    tables   rows in order; an iterator is written as it goes, so that a large result never stands in memory
    summary  small JSON record that is part of the content; may be filled while `tables` is consumed
    stats    counts for the event log, which may differ from run to run (reused rows, cache hits); may be, too
    files    names that `Job.publish` returned: part of the artifact, which is current only while they are there
    """

    tables: Iterable[pa.Table]
    summary: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def no_tasks(upstream: Upstream, params: Any) -> Iterator[Task]:
    """The `tasks` of a source stage: `source` gives them."""
    return iter(())


def whole_inputs(params: Any, settings: Settings) -> Mapping[str, Sequence[str]]:
    """The default of `Stage.reads`: keyed by every column of every input."""
    return {}


def no_figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The default of `Stage.figures`: nothing to add to run.json."""
    return {}


def nothing_to_retry(summary: Mapping[str, Any], params: Any) -> bool:
    """The default of `Stage.retry`: an artifact that is there is final."""
    return False


def next_to_nothing(upstream: Upstream, params: Any) -> int:
    """The default of `Stage.memory`."""
    return 0


def no_complaints(params: Any, settings: Settings) -> Iterable[str]:
    """The default of `Stage.check`: what the section's own types let pass is fine."""
    return ()


@dataclass(frozen=True)
class Stage:
    """A kind of work. A file `stages/NAME.py` ends in `STAGE = Stage("NAME", ...)`.

    name       also the folder of its artifacts and the section of its parameters in the config
    version    raise it with any change of the code that changes results
    needs      stages whose tasks `tasks` looks at or `compute` reads
    params     pydantic dataclass of the section; fields marked `SPEED` stay out of the fingerprint
    schema     of the artifact: an Arrow schema, or a function (params, settings) -> schema; `columns.py` says which
               types a column may have
    tasks      cuts the work
    compute    does one piece; must not depend on anything but its arguments
    reads      (params, settings) -> columns of each input that determine the result; a stage left out counts
               with all its columns
    uses       dotted config keys outside the own section that determine the result, or a function of the settings that
               gives them
    bounds     dotted config keys outside the own section that limit a task's time or memory, and change no result
    libraries  distributions whose version changes the result
    optional_libraries  the same, where they may be missing and change some rows only: `compute` copies those rows of
               earlier artifacts that its own versions would have made
    files      globs of the names that `Job.publish` is given: what no run needs any more of these is put aside, and of
               others, which somebody has put there, nothing is touched
    row_group  rows that are stored together: the least that `Artifact.take` reads
    reuse      columns that must agree for a row of an earlier artifact to stand for a row of this one
    builds_on  parameters in which an earlier artifact of a task may differ so that a new one can build on it, through
               `Job.before`; None: it makes everything anew
    source     a source stage: looks at the world at each run
    racy   of a source stage: rows of a table that may still change unnoticed, by the first column; the next run
               has them checked
    figures    summaries of the stage's artifacts -> sections of run.json
    recheck    (artifact, racy rows) -> those that the artifact no longer tells truly
    retry      (summary, params) -> whether the task is to be tried again by this run: some rows hold an error that may
               pass, or that these parameters may spare them
    memory     (upstream, params) -> bytes that the largest task takes, its process included, as far as can be told;
               workers that have less are turned away
    work       (summary) -> how much a task got through, and of what, to show how fast a run goes: 1000, "images"
    check      (params, settings) -> complaints, a line each, of what the types can't see: settings of other
               sections, or the world; asked before anything runs
    """

    name: str
    version: int
    needs: tuple[str, ...]
    params: type
    schema: pa.Schema | Callable[[Any, Settings], pa.Schema]
    tasks: Callable[[Upstream, Any], Iterable[Task]] = no_tasks
    compute: Callable[[Inputs, Any, Job], pa.Table | Result] | None = None
    reads: Callable[[Any, Settings], Mapping[str, Sequence[str]]] = whole_inputs
    uses: tuple[str, ...] | Callable[[Settings], Sequence[str]] = ()
    bounds: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    optional_libraries: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    row_group: int = 1 << 17
    reuse: tuple[str, ...] = ()
    builds_on: tuple[str, ...] | None = None
    source: Callable[[Any, Settings], Iterable[tuple[Task, pa.Table]]] | None = None
    racy: Callable[[pa.Table], Sequence[str]] | None = None
    figures: Callable[[Iterable[Mapping[str, Any]]], Mapping[str, Any]] = no_figures
    recheck: Callable[[Artifact, Collection[str]], Collection[str]] | None = None
    retry: Callable[[Mapping[str, Any], Any], bool] = nothing_to_retry
    memory: Callable[[Upstream, Any], int] = next_to_nothing
    work: Callable[[Mapping[str, Any]], tuple[int, str]] | None = None
    check: Callable[[Any, Settings], Iterable[str]] = no_complaints

    def __post_init__(self) -> None:
        if isinstance(self.schema, pa.Schema):
            check_columns(self.name, self.schema)

    def owns(self, name: str) -> bool:
        """Whether a file beside the artifacts is one that this stage makes."""
        return any(fnmatchcase(name, glob) and name.count("/") == glob.count("/") for glob in self.files)

    def used(self, settings: Settings) -> Sequence[str]:
        """Config keys outside the own section that determine the result under these settings."""
        return self.uses(settings) if callable(self.uses) else self.uses

    def schema_for(self, params: Any, settings: Settings) -> pa.Schema:
        """Return the artifact's schema under these parameters. Raises ConfigError for columns that can't be stored."""
        if isinstance(self.schema, pa.Schema):
            return self.schema
        schema = self.schema(params, settings)
        check_columns(self.name, schema)
        return schema
