"""Read the files of a run: run.json, and artifacts as Arrow tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter

from pipeline.messages.errors import ArtifactDamaged, ConfigError
from pipeline.store.artifact import StoredArtifact
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import read_bytes
from pipeline.store.store import Store
from stages import pairs as pairs_stage
from stages.cluster import FILENAME
from stages.commands.results.earlier import completed, completed_section

T = TypeVar("T")
SECTIONS = {"inputs", "thumbnail", "pairs", "cluster"}
"""Sections of the config that commands read."""


@dataclass(frozen=True)
class RunFiles:
    """The files in a run's folder. What an earlier version did not write yet is filled in: see `earlier.py`."""

    folder: Place

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Content of run.json: counts, times, and the config as resolved. Raises ConfigError."""
        path = self.folder / "run.json"
        try:
            summary = dict(json.loads(read_bytes(path)))
            config = summary["config"] = dict(summary["config"])
            there = SECTIONS - ({"cluster"} - summary["stages"].keys())  # a run of `check` has no clusters
            config |= {name: completed_section(name, config[name]) for name in there}
            TypeAdapter(pairs_stage.Params).validate_json(json.dumps(config["pairs"]))
            return summary
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigError(f"{path} is damaged; run `fast-diff run` again, which rewrites the file") from error

    def artifacts(self, stage: str) -> list[StoredArtifact]:
        """Return a stage's artifacts, sorted by name. Raises ConfigError where there is none."""
        names = [name for name in Store(self.folder).names(stage) if stage != "cluster" or name == FILENAME]
        if not names:
            raise ConfigError(f"{self.folder} has no {stage} yet; run `fast-diff run` to its end first")
        keys = (name.rpartition("-")[0] or name.removesuffix(".parquet") for name in names)
        return [StoredArtifact(stage, key, self.folder / stage / name) for key, name in zip(keys, names, strict=True)]

    def tables(
        self, stage: str, columns: Sequence[str] | None = None, keys: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield a table per artifact of a stage; None: all columns, all keys. Raises ConfigError."""
        for artifact in self.artifacts(stage):
            if keys is None or artifact.key in keys:
                table = completed(stage, read_whole(artifact, lambda artifact: artifact.table(columns)), columns)
                if columns and (lost := set(columns) - set(table.column_names)):
                    raise ConfigError(
                        f"{artifact.path} has no column {min(lost)}: an earlier version of fast-diff wrote it. Run the "
                        "same command again first"
                    )
                yield table


def read_whole(artifact: StoredArtifact, read: Callable[[StoredArtifact], T]) -> T:
    """Return the result of `read`. Raises ConfigError where the artifact can't be read."""
    try:
        return read(artifact)
    except ArtifactDamaged as error:
        raise _damaged(artifact) from error


def _damaged(artifact: StoredArtifact) -> ConfigError:
    return ConfigError(f"{artifact.path} is damaged; delete it, and the next run makes it again")
