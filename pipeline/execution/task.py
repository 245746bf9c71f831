"""Run a call on a worker and return the outcome.

Calls and outcomes take a few kilobytes at most; tables and files go through storage."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.execution.count import Advance, TaskCount, through_scheduler, uncounted, unseen
from pipeline.execution.job import StoredJob
from pipeline.machine.cores import take_core
from pipeline.machine.process import prepare
from pipeline.messages.errors import ArtifactDamaged, FastDiffError, TaskError
from pipeline.plan.call import BasePaths, Call, Receipt
from pipeline.stage import Address, Inputs, Result
from pipeline.store.artifact import Record, StoredArtifact, artifact_name
from pipeline.store.backends.locations import Place, mask_all, use
from pipeline.store.backends.retries import FINAL
from pipeline.store.backends.storage import read_bytes
from pipeline.store.footer_index import Footer, footer_of
from pipeline.store.store import Store

MANY = 1_000
"""Greatest number of inputs that a call carries; more inputs are written to a file, and the call names the file."""
MANIFESTS = ".manifests"


def without_inputs(call: Call) -> Call:
    """Write the inputs of a large call and of its bases to a file.

    Returns the call without inputs and bases."""
    if len(call.inputs) <= MANY:
        return call
    text = json.dumps([call.inputs, [[base.path, base.inputs, base.params] for base in call.bases]]).encode()
    name = f"{MANIFESTS}/{call.context.stage.name}-{hashlib.sha256(text).hexdigest()}.json"
    Store(call.context.folder).publish_file(name, text)
    return call._replace(task=replace(call.task, inputs=()), inputs=(), bases=(), manifest=name)


def drop_manifests(folder: Place) -> None:
    """Delete the files that `without_inputs` has written, at the end of the run."""
    files = Store(folder).files
    with contextlib.suppress(OSError):
        files.delete([f"{MANIFESTS}/{name}" for name in files.below(MANIFESTS)])


def with_inputs(call: Call) -> Call:
    """Return the call with the inputs that `without_inputs` wrote to a file.

    Raises TaskError if the file is damaged."""
    if call.manifest is None:
        return call
    text = read_bytes(call.context.folder / call.manifest)
    if hashlib.sha256(text).hexdigest() not in call.manifest:
        raise TaskError(f"{call.context.folder / call.manifest} is damaged; run the same command again")
    entries, bases = json.loads(text)
    inputs = [(stage, key, name) for stage, key, name in entries]
    task = replace(call.task, inputs=tuple((stage, key) for stage, key, _ in inputs))
    return call._replace(task=task, inputs=inputs, bases=[BasePaths(*base) for base in bases], manifest=None)


class Outcome(NamedTuple):
    """Outcome of a task.

    receipt    receipt of the artifact; None if the task failed
    ran        whether the task was computed now; False for a cache hit
    begun      False if the time of the bundle was up before the task
    footer     entry for the index of footers
    message    the error in one line
    detail     the traceback
    damaged    an input that must be made again
    transient  whether the error is transient, such as a full disk
    suspect    whether the workers of this task died; another task of these workers may be the cause
    size       bytes of the new artifact
    worker     address of the worker"""

    address: Address
    receipt: Receipt | None = None
    ran: bool = True
    begun: bool = True
    footer: Footer | None = None
    message: str = ""
    detail: str = ""
    damaged: Address | None = None
    transient: bool = False
    suspect: bool = False
    size: int | None = None
    seconds: float = 0.0
    stats: Mapping[str, Any] = {}
    worker: str = ""


def run_bundle(calls: Sequence[Call], seconds: float, topic: str = "") -> list[Outcome]:
    """Run calls one after the other; after `seconds`, return the rest as not begun.

    The progress of a task goes to `topic` in the scheduler's event log. When a bundle is repeated after the loss of a
    worker, published artifacts are cache hits."""
    end = time.monotonic() + seconds
    outcomes: list[Outcome] = []
    advance = through_scheduler(topic) if topic else unseen
    for call in calls:
        late = outcomes and time.monotonic() > end
        outcomes.append(Outcome(call.address, begun=False) if late else run_task(call, advance))
    return outcomes


def run_task(call: Call, advance: Advance = unseen) -> Outcome:
    """Compute one task and publish the artifact; return every error as an outcome.

    While the task runs, `advance` is called with the task's address and the amount of finished work."""
    prepare()
    use(call.context.storage)
    core = take_core(call.tasks_per_machine)  # without an idle core the task still runs
    with contextlib.closing(core) if core else contextlib.nullcontext():
        return _attempt(call, _compute, TaskCount(call.address, advance))


def run_source(call: Call, found: pa.Table) -> Outcome:
    """Publish the table that a source stage listed."""
    return _attempt(call, lambda job: Result((found,)))


def _attempt(call: Call, compute: Callable[[StoredJob], Result], count: Callable[[int], None] = uncounted) -> Outcome:
    started = time.perf_counter()
    try:
        record, name, ran, stats, size = _publish(call, compute, count)
        path = call.context.folder / record.stage / name
        return Outcome(
            call.address,
            Receipt(name, record.content, record.rows, record.summary),
            ran,
            footer=None if call.task.filename else footer_of(record, path),
            seconds=time.perf_counter() - started,
            stats=stats,
            worker=_worker(),
            size=size,
        )
    except ArtifactDamaged as error:
        outcome = Outcome(call.address, message=str(error), damaged=(error.stage, error.key))
    except FastDiffError as error:
        outcome = Outcome(call.address, message=str(error))
    except OSError as error:
        message = storage_message(error, call)
        transient = not isinstance(error, FINAL)
        outcome = Outcome(call.address, message=message, detail=traceback.format_exc(), transient=transient)
    except (Exception, SystemExit) as error:  # an error of one task must not end the run
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        outcome = Outcome(call.address, message=message, detail=traceback.format_exc())
    return outcome._replace(message=mask_all(outcome.message), detail=mask_all(outcome.detail))


def _worker() -> str:
    """Return the address of this Dask worker; an empty text in other processes."""
    worker = sys.modules.get("distributed.worker")
    if worker is None:
        return ""
    with contextlib.suppress(ValueError):
        return str(worker.get_worker().address)
    return ""


def _compute(job: StoredJob) -> Result:
    call = job.call
    inputs = Inputs(tuple(StoredArtifact(stage, key, job.store.path(stage, name)) for stage, key, name in call.inputs))
    compute = call.context.stage.compute
    assert compute is not None, f"{call.context.stage.name} has neither compute nor source"
    returned = compute(inputs, call.context.params, job)
    return Result((returned,)) if isinstance(returned, pa.Table) else returned


def _publish(
    call: Call, compute: Callable[[StoredJob], Result], count: Callable[[int], None]
) -> tuple[Record, str, bool, Mapping[str, Any], int | None]:
    """Compute and publish an artifact, unless the artifact is current.

    Returns the artifact's record and name, whether the artifact is new, stats, and the size if new."""
    call = with_inputs(call)
    stage, job = call.context.stage, StoredJob(call, Store(call.context.folder), count)
    name = artifact_name(call.task.key, call.fingerprint, call.task.filename)
    if not call.forced and (record := current(job.store, stage.name, call.task.key, name, call.fingerprint)):
        return record, name, False, {}, None
    result = compute(job)
    with contextlib.closing(result.tables) if isinstance(result.tables, Generator) else contextlib.nullcontext():
        record = _written(call, name, result, job)
    return record, name, True, result.stats, job.store.sizes.get(name)


def _written(call: Call, name: str, result: Result, job: StoredJob) -> Record:
    stage = call.context.stage
    record = Record(
        stage.name,
        call.task.key,
        call.fingerprint,
        call.context.recipe,
        call.input_digests,
        summary=result.summary,
        files={file: job.published[file] for file in sorted(result.files)},
    )
    span = stage.reuse.columns[0] if stage.reuse.columns else None
    return job.store.publish(
        name, record, call.context.schema, result.tables, span, stage.output.row_group, call.content
    )


def current(store: Store, stage: str, key: str, name: str, fingerprint: str) -> Record | None:
    """Return an artifact's record if the artifact is current and its files exist."""
    try:
        record = store.record(stage, name, key)
    except ArtifactDamaged:
        return None
    return record if record.fingerprint == fingerprint and store.files_there(record) else None


def storage_message(error: OSError, call: Call) -> str:
    """Return one line on an error of storage: the problem, the place and what to do."""
    where = error.filename2 or error.filename or call.context.folder  # filename2: the target of a rename
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"disk full while writing to {call.context.folder}; free some space, then run the same command again: "
            "finished work is kept"
        )
    return f"{error.strerror or error} ({where}); fix the cause, then run the same command again: finished work is kept"
