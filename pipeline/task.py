"""What happens where a task runs: the call that the driver sends, and the outcome that comes back.

Both are a few kilobytes at most; tables and images go through storage."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import ArtifactDamaged, FastDiffError
from pipeline.stage import Address, Artifact, Before, Inputs, Result, Stage, Task
from pipeline.store import Record, Store, StoredArtifact, artifact_name, read_record


@dataclass(frozen=True)
class Context:
    """What all the tasks of one stage share in one run."""

    stage: Stage
    params: Any
    folder: Path
    config: Mapping[str, Any]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """An earlier artifact of a task that may be built on, and its inputs, in the order of `Task.inputs`; paths relative
    to the run's folder."""

    path: str
    inputs: Sequence[str]
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One task, ready to run. `inputs` and `earlier` are paths relative to the run's folder."""

    context: Context
    task: Task
    fingerprint: str
    input_digests: Mapping[str, str]
    inputs: Sequence[tuple[str, str, str]] = ()
    earlier: Sequence[str] = ()
    before: Sequence[Earlier] = ()
    distrust: frozenset[str] = frozenset()
    forced: bool = False

    @property
    def address(self) -> Address:
        return self.context.stage.name, self.task.key


@dataclass(frozen=True)
class Receipt:
    """What the driver keeps of a finished task."""

    name: str
    content: Mapping[str, str]
    rows: int
    retry: int


@dataclass(frozen=True)
class Outcome:
    """How a task ended: a receipt, or a message in one line. `damaged` names an input that must be made again."""

    address: Address
    receipt: Receipt | None = None
    ran: bool = True
    message: str = ""
    detail: str = ""
    damaged: Address | None = None
    seconds: float = 0.0
    stats: Mapping[str, Any] = field(default_factory=dict)


def receipt_of(record: Record, name: str) -> Receipt:
    """The receipt of an artifact that is there."""
    return Receipt(name, record.content, record.rows, record.retry)


@functools.cache
def one_thread_a_task() -> object:
    """Hold BLAS and OpenMP to one thread in this process, whatever the environment says: tasks are the
    parallelism. Kept for the life of the process, since limits that end would end under other tasks."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1)


def run_task(call: Call) -> Outcome:
    """Compute one task and publish its artifact; every error comes back as an outcome."""
    one_thread_a_task()
    return _attempt(call, functools.partial(_compute, call))


def run_source(call: Call, found: pa.Table) -> Outcome:
    """Publish what a source stage found."""
    return _attempt(call, lambda job: Result((found,)))


def _attempt(call: Call, compute: Callable[[StoredJob], Result]) -> Outcome:
    started = time.perf_counter()
    try:
        receipt, ran, stats = _publish(call, compute)
        return Outcome(call.address, receipt, ran, seconds=time.perf_counter() - started, stats=stats)
    except ArtifactDamaged as error:
        outcome = Outcome(call.address, message=str(error), damaged=(error.stage, error.key))
    except FastDiffError as error:
        outcome = Outcome(call.address, message=str(error))
    except OSError as error:
        outcome = Outcome(call.address, message=_storage_message(error, call), detail=traceback.format_exc())
    except Exception as error:  # a task's errors stay with that task
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        outcome = Outcome(call.address, message=message, detail=traceback.format_exc())
    return outcome


def _compute(call: Call, job: StoredJob) -> Result:
    inputs = Inputs(tuple(StoredArtifact(stage, key, job.store.path(stage, name)) for stage, key, name in call.inputs))
    compute = call.context.stage.compute
    assert compute is not None, f"{call.context.stage.name} has neither compute nor source"
    returned = compute(inputs, call.context.params, job)
    return Result((returned,)) if isinstance(returned, pa.Table) else returned


def _publish(call: Call, compute: Callable[[StoredJob], Result]) -> tuple[Receipt, bool, Mapping[str, Any]]:
    stage, job = call.context.stage, StoredJob(call, Store(call.context.folder))
    name = artifact_name(call.task.key, call.fingerprint, call.task.filename)
    if not call.forced and (record := current(job.store, stage.name, call.task.key, name, call.fingerprint)):
        return receipt_of(record, name), False, {}
    result = compute(job)
    record = Record(
        stage.name,
        call.task.key,
        call.fingerprint,
        call.context.recipe,
        call.input_digests,
        summary=result.summary,
        retry=result.retry,
        files={file: job.published[file] for file in sorted(result.files)},
    )
    schema = stage.schema_for(call.context.params, job.settings)
    record = job.store.publish(
        name, record, schema, result.tables, stage.reuse[0] if stage.reuse else None, stage.row_group
    )
    return receipt_of(record, name), True, result.stats


def current(store: Store, stage: str, key: str, name: str, fingerprint: str) -> Record | None:
    """The record of an artifact, if it is there, readable and made from exactly this."""
    try:
        record = read_record(store.path(stage, name), stage, key)
    except ArtifactDamaged:
        return None
    return record if record.fingerprint == fingerprint and store.files_there(record) else None


def _storage_message(error: OSError, call: Call) -> str:
    where = error.filename or call.context.folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"disk full while writing to {call.context.folder}; free some space and run the same command again"
    return f"{error.strerror or error} ({where}); mend it and run the same command again"


@dataclass
class StoredJob:
    """See `pipeline.stage.Job`."""

    call: Call
    store: Store
    published: dict[str, list[Any]] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return self.call.task

    @property
    def folder(self) -> Path:
        return self.store.folder

    @property
    def distrust(self) -> frozenset[str]:
        return self.call.distrust

    def settings(self, key: str) -> Any:
        return self.call.context.config[key]

    def earlier(self) -> Iterator[pa.Table]:
        for name in self.call.earlier:
            try:
                yield StoredArtifact(self.call.context.stage.name, self.task.key, self.folder / name).table()
            except ArtifactDamaged:
                continue  # a donor that can't be read gives no rows: they are computed

    def before(self) -> Iterator[Before]:
        for earlier in self.call.before:
            inputs = zip(self.task.inputs, earlier.inputs, strict=True)
            yield Before(
                StoredArtifact(self.call.context.stage.name, self.task.key, self.folder / earlier.path),
                Inputs(tuple(StoredArtifact(stage, key, self.folder / path) for (stage, key), path in inputs)),
                earlier.params,
            )

    def find(self, stage: str, key: str, column: str, digest: str) -> Artifact:
        if stage not in self._names:
            self._names[stage] = self.store.names(stage)
        for name in self._names[stage]:
            if name.startswith(f"{key}-"):
                artifact = StoredArtifact(stage, key, self.store.path(stage, name))
                with contextlib.suppress(ArtifactDamaged):  # an older one; the right one is whole
                    if artifact.content.get(column) == digest:
                        return artifact
        raise ArtifactDamaged(stage, key, f"no artifact in {self.store.folder / stage} holds what is asked for")

    def publish(self, name: str, data: bytes) -> str:
        self.store.publish_file(name, data)
        self.published[name] = [len(data), hashlib.sha256(data).hexdigest()]
        return name
