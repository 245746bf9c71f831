"""Give a task on a worker its settings, earlier artifacts and files."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.execution.count import uncounted
from pipeline.machine.cores import Core, take_core
from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Artifact, Base, Inputs, Task
from pipeline.store.artifact import StoredArtifact, artifact_names
from pipeline.store.backends.locations import Place
from pipeline.store.store import RETIRED, Store

if TYPE_CHECKING:
    from pipeline.plan.call import Call


@functools.lru_cache(maxsize=4)
def _listing(store: Store, stage: str) -> dict[str, list[str]]:
    """Return the names in a stage's folder, by task key; the result is cached."""
    by_key: dict[str, list[str]] = {}
    for name in store.names(stage):
        by_key.setdefault(name.rpartition("-")[0], []).append(name)
    return by_key


@dataclass
class StoredJob:
    """Implementation of `pipeline.stage.Job` over the run's storage."""

    call: Call
    store: Store
    count: Callable[[int], None] = uncounted
    published: dict[str, list[Any]] = field(default_factory=dict)
    retired: bool = False
    """Whether the task's previous artifact has been retired."""
    _retiring: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def task(self) -> Task:
        return self.call.task

    @property
    def folder(self) -> Place:
        return self.store.folder

    @property
    def distrust(self) -> frozenset[str]:
        return self.call.distrust

    def settings(self, key: str) -> Any:
        return self.call.context.config[key]

    def reusable_tables(self) -> Iterator[pa.Table]:
        for name in self.call.reusable:
            with contextlib.suppress(ArtifactDamaged):  # rows of a damaged artifact are computed again
                yield StoredArtifact(self.call.context.stage.name, self.task.key, self.folder / name).table()

    def bases(self) -> Iterator[Base]:
        for base in self.call.bases:
            inputs = zip(self.task.inputs, base.inputs, strict=True)
            yield Base(
                StoredArtifact(self.call.context.stage.name, self.task.key, self.folder / base.path),
                Inputs(tuple(StoredArtifact(stage, key, self.folder / path) for (stage, key), path in inputs)),
                base.params,
            )

    def spare_core(self) -> Core | None:
        return take_core(self.call.tasks_per_machine)

    def find(self, stage: str, key: str, column: str, digest: str) -> Artifact:
        for again in (False, True):
            if again:
                _listing.cache_clear()  # the cached listing may lack a new artifact
            for name in _listing(self.store, stage).get(key, ()):
                artifact = StoredArtifact(stage, key, self.store.path(stage, name))
                with contextlib.suppress(ArtifactDamaged):  # an older artifact may be damaged
                    if artifact.content.get(column) == digest:
                        return artifact
        raise ArtifactDamaged(
            stage, key, f"no artifact in {self.store.folder / stage} has the content that the task needs"
        )

    def advance(self, amount: int) -> None:
        self.count(amount)

    def publish(self, name: str, data: bytes) -> str:
        assert self.call.context.stage.output.owns(name), f"{name}: expected a name that Output.files declares"
        self._retire_previous()
        self.store.publish_file(name, data, synced=False)
        self._record(name, data)
        return name

    def adopt(self, name: str, is_right: Callable[[bytes], bool] | None = None) -> bool:
        known = self._previous.get(name)
        if known is None or self.store.files.size(name) != known[0]:
            return False
        if is_right is not None:
            data = self.store.files.read(name)
            if hashlib.sha256(data).hexdigest() != known[1] or not is_right(data):
                return False
        self.published[name] = known
        return True

    def _retire_previous(self) -> None:
        """Retire the task's previous artifact before publishing the first new file.

        The previous artifact may name a file that is about to change. The artifact's list of files is read first, since
        `adopt` needs the list later."""
        with self._retiring:  # several threads publish
            if self.task.filename and not self.retired:
                self._previous.get("")
                self.store.retire_named(self.call.context.stage.name, self.task.filename, self.task.key)
                self.retired = True

    @functools.cached_property
    def _previous(self) -> Mapping[str, Any]:
        """Return size and SHA-256 of each file of the task's previous artifact.

        If an interrupted attempt has retired that artifact, the list comes from the folder of retired artifacts."""
        stage, key, name = self.call.context.stage.name, self.task.key, self.task.filename
        if name is None:
            return {}
        with contextlib.suppress(ArtifactDamaged, OSError):
            return self.store.files.record(f"{stage}/{name}", stage, key).files
        with contextlib.suppress(ArtifactDamaged, OSError):
            retired = self.store.files.entries(f"{stage}/{RETIRED}")
            last = max(artifact_names(retired), key=lambda name: retired[name].mtime_ns, default=None)
            return self.store.files.record(f"{stage}/{RETIRED}/{last}", stage, key).files if last else {}
        return {}

    def _record(self, name: str, data: bytes) -> None:
        """Record size and SHA-256 of a file that this attempt has written."""
        self.published[name] = [len(data), hashlib.sha256(data).hexdigest()]
