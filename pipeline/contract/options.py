"""Optional declarations of a stage, in groups.

Each group is one field of `Stage`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, dataclass_transform

import pyarrow as pa

from pipeline.contract.work import Artifact, Scalar, Settings, Task, Upstream

P = TypeVar("P")
"""The dataclass of a stage's parameters."""
T = TypeVar("T")
KeyPath: TypeAlias = tuple[str | int, ...]
"""Path of a key in the config, such as `("inputs", "a", 0)`."""


@dataclass_transform(frozen_default=True)
def section(keys: type[T]) -> type[T]:
    """Make a frozen dataclass of config keys; pydantic refuses unknown keys.

    The result is a dataclass of the standard library: pydantic builds its validator only if the config sets a key of
    the section."""
    keys.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]  # pydantic reads it
    return dataclass(frozen=True)(keys)


@dataclass(frozen=True)
class CacheKey(Generic[P]):
    """Dependencies of artifacts besides the stage's own section and code.

    reads      (params, settings) -> the columns that determine the result, by input stage; for an input stage that
               is not named, all columns determine the result
    uses       dotted config keys of other sections that determine the result, or a function from settings to such keys
    added      dotted config keys of other sections that determine the result, with a neutral value: at this value a key
               is not part of the fingerprint, so artifacts from before the key existed stay current
    limits     dotted config keys of other sections that limit a task's time or memory, not results
    libraries  distributions whose version changes the result
    optional   distributions that may be missing and change some rows only; `compute` reuses the other rows
    """

    reads: Callable[[P, Settings], Mapping[str, Sequence[str]]] = lambda params, settings: {}
    uses: tuple[str, ...] | Callable[[Settings], Sequence[str]] = ()
    added: Mapping[str, Scalar] = field(default_factory=dict, hash=False)
    limits: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A config section of a source stage: what the run reads, how work is cut.

    kind     dataclass of the keys, made by `section`
    prepare  rewrite the data of the section in place, before validation
    check    values -> problems that the types can't find, as pairs (key below the section, problem)
    roots    keys that hold folders, files or URLs: the run reads these places and never writes into them
    """

    kind: type
    prepare: Callable[[dict[str, Any]], None] = lambda data: None
    check: Callable[[Any], Iterable[tuple[KeyPath, str]]] = lambda values: ()
    roots: tuple[str, ...] = ()


class PastRows(NamedTuple):
    """Rows of a source stage in the last run.

    Both fields are empty unless the last run listed all rows with the same parameters.

    tables  tables of the rows, read one by one; reading raises ArtifactDamaged
    racy    first-column values of rows whose data may have changed unnoticed"""

    tables: Iterable[pa.Table] = ()
    racy: Collection[str] = ()


@dataclass(frozen=True)
class Source(Generic[P]):
    """Functions by which a source stage finds the data of a run.

    list      (params, settings, report, past) -> (task, table) pairs; called in every run. `report(n)` says that n more
              rows are found, for the progress display; `past()` returns the rows of the last run
    racy      table -> first-column values of rows whose data may still change unnoticed; the next run rechecks the rows
    sections  config sections of the source, by name
    """

    list: Callable[[P, Settings, Callable[[int], None], Callable[[], PastRows]], Iterable[tuple[Task, pa.Table]]]
    racy: Callable[[pa.Table], Sequence[str]] | None = None
    sections: Mapping[str, Section] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Reuse(Generic[P]):
    """Rules for the reuse of a stage's earlier artifacts.

    columns    columns that must be equal for a row of an earlier artifact to be copied (`Job.reusable_tables`)
    recheck    (artifact, racy rows) -> the rows that are stale
    builds_on  parameters in which a task and its `Job.bases` may differ; None: `Job.bases` yields nothing
    retry      (summary, params) -> whether to run a current task again, because some rows hold a transient error or
               an error that these parameters may avoid
    """

    columns: tuple[str, ...] = ()
    recheck: Callable[[Artifact, Collection[str]], Collection[str]] | None = None
    builds_on: tuple[str, ...] | None = None
    retry: Callable[[Mapping[str, Any], P], bool] = lambda summary, params: False


@dataclass(frozen=True)
class Output:
    """Files, row groups, figures and progress display of a stage.

    files      globs of the names that `Job.publish` may write; a run retires such files when no artifact names them
    row_group  rows of a Parquet row group, the smallest unit that `Artifact.take` reads
    figures    summaries of the stage's artifacts -> sections of run.json
    unit       what `Task.size` counts, such as "words", for the progress display
    seconds    typical core-seconds for one unit, for the progress display until the stage's first task has ended
    """

    files: tuple[str, ...] = ()
    row_group: int = 1 << 17
    figures: Callable[[Iterable[Mapping[str, Any]]], Mapping[str, Any]] = lambda summaries: {}
    unit: str = "tasks"
    seconds: float = 0.01

    def owns(self, name: str) -> bool:
        """Return whether the stage may publish a file of this name."""
        return any(fnmatchcase(name, glob) and name.count("/") == glob.count("/") for glob in self.files)


@dataclass(frozen=True)
class Preflight(Generic[P]):
    """Checks and preparations before the first task runs.

    check    (params, settings) -> problems that the types can't find, one line each
    memory   (upstream, params) -> memory in bytes of the largest task, process included; workers with less are refused
    remedy   how a user makes the largest task smaller, such as "lower words.size"
    own_code (params, settings) -> whether tasks call the user's own code, which may not be thread-safe
    warm_up  (upstream, exists) -> None: called before the first task of a run in one process, to start slow work early;
             `exists(name)`: whether the run's folder has this file
    """

    check: Callable[[P, Settings], Iterable[str]] = lambda params, settings: ()
    memory: Callable[[Upstream, P], int] = lambda upstream, params: 0
    remedy: str = ""
    own_code: Callable[[P, Settings], bool] = lambda params, settings: False
    warm_up: Callable[[Upstream, Callable[[str], bool]], None] = lambda upstream, exists: None
