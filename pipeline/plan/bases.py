"""Find the inputs of earlier artifacts that tasks build on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias

from pipeline.stage import Settings, Stage
from pipeline.store.artifact import Record

Reads: TypeAlias = Mapping[str, Sequence[str]]
"""The columns that a task reads, by input stage; see `CacheKey.reads`."""
VERSIONS = 4
"""Number of earlier artifacts of a task that are considered, the latest first."""


class PastArtifact(NamedTuple):
    """One of the artifacts of a task.

    mtime_ns  time of the file
    path      relative to the run's folder"""

    mtime_ns: int
    path: str
    record: Record


def combinations(versions: Sequence[Sequence[PastArtifact]], made: int) -> Iterator[Sequence[PastArtifact]]:
    """Yield choices of one version per input; first, of each input, the latest version up to the time `made`."""
    older = [next((each for each in some if each.mtime_ns <= made), None) for some in versions]
    if all(older):
        yield [each for each in older if each]
    yield from itertools.islice(itertools.product(*versions), VERSIONS**2)


def reads_of(stage: Stage[Any], record: Record, settings: Settings) -> Reads:
    """Return the columns that an artifact's task read, which may follow from the task's parameters."""
    known = {field.name for field in fields(stage.params)}
    params = {name: value for name, value in record.recipe["params"].items() if name in known}
    return stage.cache_key.reads(stage.params(**params), settings)
