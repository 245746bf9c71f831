"""Define calls and receipts.

A call is a ready task, as sent to a worker. A receipt is the driver's record of a finished task."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.stage import Address, Stage, Task
from pipeline.store.backends.locations import Place, StorageOptions


@dataclass(frozen=True)
class Context:
    """The data that all tasks of one stage share in one run.

    Thousands of calls carry the same context, which is pickled once on the driver and unpickled once per worker.
    `storage` holds the options of `locations.use`, secrets included, and must not be shown."""

    stage: Stage[Any]
    params: Any
    folder: Place
    config: Mapping[str, Any]
    recipe: Mapping[str, Any]
    storage: StorageOptions = field(default_factory=dict, repr=False)

    @functools.cached_property
    def packed(self) -> bytes:
        """Return the fields, pickled by cloudpickle, since a stage may hold lambdas."""
        import cloudpickle

        return bytes(cloudpickle.dumps([getattr(self, field.name) for field in fields(self)]))

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """Return the schema of the stage's artifacts, checked once."""
        return self.stage.schema_for(self.params, self.config.__getitem__)

    def __reduce__(self) -> tuple[Callable[[bytes], Context], tuple[bytes]]:
        return _unpacked, (self.packed,)


@functools.lru_cache(maxsize=64)
def _unpacked(packed: bytes) -> Context:
    return Context(*pickle.loads(packed))


@dataclass(frozen=True)
class BasePaths:
    """Paths of an earlier artifact that a task may build on, and of its inputs.

    `inputs` has the order of the task's inputs. Paths are relative to the run's folder."""

    path: str
    inputs: Sequence[str]
    params: Mapping[str, Any]


class Call(NamedTuple):
    """One task, ready to run. Paths are relative to the run's folder.

    inputs             (stage, key, name) of each input artifact
    reusable           earlier artifacts that may hold rows of this task
    bases              earlier artifacts that this task may build on
    distrust           rows whose earlier results must not be reused
    forced             run the task although the artifact is current
    tasks_per_machine  number of tasks that run at a time on the worker's machine
    content            column digests of a source stage's table
    manifest           file that holds `inputs` if these are too many to send"""

    context: Context
    task: Task
    fingerprint: str
    input_digests: Mapping[str, str]
    inputs: Sequence[tuple[str, str, str]] = ()
    reusable: Sequence[str] = ()
    bases: Sequence[BasePaths] = ()
    distrust: frozenset[str] = frozenset()
    forced: bool = False
    tasks_per_machine: int = 1
    content: Mapping[str, str] | None = None
    manifest: str | None = None

    @property
    def address(self) -> Address:
        return self.context.stage.name, self.task.key


class Receipt(NamedTuple):
    """The driver's record of a finished task."""

    name: str
    content: Mapping[str, str]
    rows: int
    summary: Mapping[str, Any] = {}
