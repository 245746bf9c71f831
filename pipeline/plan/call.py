"""A task that is ready to run, as it is sent to a worker, and what the driver keeps of it once it has ended."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.stage import Address, Stage, Task
from pipeline.store.artifact import Record
from pipeline.store.backends.locations import Options, Place


@dataclass(frozen=True)
class Context:
    """What all the tasks of one stage share in one run. On its way to a worker it is packed once, and there unpacked
    once: calls by the thousand carry the same bytes. `storage`: see `locations.use`; never shown."""

    stage: Stage[Any]
    params: Any
    folder: Place
    config: Mapping[str, Any]
    recipe: Mapping[str, Any]
    storage: Options = field(default_factory=dict, repr=False)

    @functools.cached_property
    def packed(self) -> bytes:
        """The fields, as bytes for another process; a stage may hold functions without a name."""
        import cloudpickle

        return bytes(cloudpickle.dumps([getattr(self, field.name) for field in fields(self)]))

    def __reduce__(self) -> tuple[Callable[[bytes], Context], tuple[bytes]]:
        return _unpacked, (self.packed,)


@functools.lru_cache(maxsize=64)
def _unpacked(packed: bytes) -> Context:
    return Context(*pickle.loads(packed))


@dataclass(frozen=True)
class Earlier:
    """An earlier artifact of a task that may be built on, and its inputs, in the order of `Task.inputs`; paths relative
    to the run's folder."""

    path: str
    inputs: Sequence[str]
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One task, ready to run. `inputs` and `earlier` are paths relative to the run's folder; `cores`: how many tasks
    run at a time on the machine where this one does; `content`: of the table that a source stage has found;
    `manifest`: a file that holds the inputs, where there are too many to send."""

    context: Context
    task: Task
    fingerprint: str
    input_digests: Mapping[str, str]
    inputs: Sequence[tuple[str, str, str]] = ()
    earlier: Sequence[str] = ()
    before: Sequence[Earlier] = ()
    distrust: frozenset[str] = frozenset()
    forced: bool = False
    cores: int = 1
    content: Mapping[str, str] | None = None
    manifest: str | None = None

    @property
    def address(self) -> Address:
        return self.context.stage.name, self.task.key


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the driver keeps of a finished task."""

    name: str
    content: Mapping[str, str]
    rows: int
    summary: Mapping[str, Any] = field(default_factory=dict)


def receipt_of(record: Record, name: str) -> Receipt:
    """The receipt of an artifact that is there."""
    return Receipt(name, record.content, record.rows, record.summary)
