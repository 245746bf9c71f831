"""Find earlier artifacts of tasks, and possible inputs of an earlier artifact."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Address, Settings, Stage
from pipeline.store.artifact import Record
from pipeline.store.footers import Footers
from pipeline.store.store import RETIRED

Reads: TypeAlias = Mapping[str, Sequence[str]]
"""The columns that a task reads, by input stage; see `CacheKey.reads`."""
VERSIONS = 4
"""Number of earlier artifacts of a task that are considered, the latest first."""


class PastArtifact(NamedTuple):
    """An artifact of a task, current or retired.

    mtime_ns  modification time of the file
    path      relative to the run's folder"""

    mtime_ns: int
    path: str
    record: Record


class PastArtifacts:
    """The artifacts in the run's folder, retired ones included.

    The names are read once per stage."""

    def __init__(self, footers: Footers) -> None:
        self._footers = footers
        self._by_key: dict[str, dict[str, list[tuple[str, str]]]] = {}

    def by_key(self, stage: str) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return (folder, name) of a stage's artifacts by task key, retired ones first."""
        if stage not in self._by_key:
            by_key = self._by_key[stage] = dict[str, list[tuple[str, str]]]()
            for folder, name in self._names(stage):
                by_key.setdefault(name.rpartition("-")[0], []).append((folder, name))
        return self._by_key[stage]

    def versions(self, address: Address, filename: str | None) -> list[PastArtifact]:
        """Return the artifacts of one task, the latest first.

        filename  fixed name of the task's artifact, if any"""
        stage, key = address
        found = []
        for folder, name in [*self.by_key(stage).get(key, []), *([(stage, filename)] if filename else [])]:
            with contextlib.suppress(ArtifactDamaged):
                if seen := self._footers.names(folder).get(name):
                    record = self._footers.record(folder, name, key)
                    found.append(PastArtifact(seen.mtime_ns, f"{folder}/{name}", record))
        return sorted(found, key=lambda each: each[:2], reverse=True)[:VERSIONS]

    def records(self, stage: str) -> Iterator[tuple[str, Record]]:
        """Yield path and record of all artifacts of a stage, retired ones first."""
        for folder, name in self._names(stage):
            with contextlib.suppress(ArtifactDamaged):  # a damaged artifact has no rows to copy
                yield f"{folder}/{name}", self._footers.record(folder, name)

    def _names(self, stage: str) -> Iterator[tuple[str, str]]:
        for folder in (f"{stage}/{RETIRED}", stage):
            yield from ((folder, name) for name in sorted(self._footers.names(folder)))


def combinations(versions: Sequence[Sequence[PastArtifact]], made: int) -> Iterator[Sequence[PastArtifact]]:
    """Yield choices of one version per input.

    The first choice takes, for each input, the latest version that is not newer than `made`."""
    older = [next((each for each in some if each.mtime_ns <= made), None) for some in versions]
    if all(older):
        yield [each for each in older if each]
    yield from itertools.islice(itertools.product(*versions), VERSIONS**2)


def reads_of(stage: Stage[Any], record: Record, settings: Settings) -> Reads:
    """Return the columns that an artifact's task read.

    The columns may depend on the parameters of the task."""
    known = {field.name for field in fields(stage.params)}
    params = {name: value for name, value in record.recipe["params"].items() if name in known}
    return stage.cache_key.reads(stage.params(**params), settings)
