"""Publish, read, retire and take back the artifacts of a run.

    <output>/<run>/<stage>/<key>-<fingerprint>.parquet       this run's artifacts
    <output>/<run>/<stage>/.retired/                          earlier artifacts, which a later run may take back

The footer of an artifact holds the fingerprint of all that determined the artifact, and the digests of its content. No
other list of finished tasks exists, so no list can disagree with the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.fingerprint import ColumnDigest, digest
from pipeline.store.artifact import METADATA, METADATA_DIGEST, OWN_NAME, Record, artifact_name, artifact_names, kinds
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.files import LocalFiles
from pipeline.store.backends.locations import Place
from pipeline.store.backends.object_files import ObjectFiles
from pipeline.store.layout import layout, row_groups

Files: TypeAlias = LocalFiles | ObjectFiles

RECORD = "run.json"
RETIRED = ".retired"
SUMMARY = "#summary"
"""Key of the summary's digest in `Record.content`, beside the column digests."""


@dataclass(frozen=True)
class Store:
    """One run's folder.

    With `listed` an object store is listed once, and changes by other processes show only after `refresh`. Set `listed`
    only while holding the run's lock, or to read."""

    folder: Place
    listed: bool = False

    @cached_property
    def files(self) -> Files:
        """Return the files in the folder."""
        return LocalFiles(self.folder) if isinstance(self.folder, Path) else ObjectFiles(self.folder, self.listed)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Return the bytes of the artifacts published through this object, by name."""
        return {}

    @cached_property
    def _unsynced(self) -> set[str]:
        """Return names of files published by this object that may not be on disk yet."""
        return set()

    def path(self, stage: str, name: str) -> Place:
        """Return the place of an artifact of this run."""
        return self.folder / stage / name

    def names(self, stage: str) -> list[str]:
        """Return the names of the artifacts in a stage's folder, sorted."""
        return artifact_names(self.files.names(stage))

    def record(self, stage: str, name: str, key: str | None = None) -> Record:
        """Return the record in an artifact's footer. Raises ArtifactDamaged."""
        return self.files.record(f"{stage}/{name}", stage, key or name)

    def refresh(self) -> None:
        """Forget cached listings, to see files of other processes."""
        self.files.refresh()

    def publish(
        self,
        name: str,
        record: Record,
        schema: pa.Schema,
        tables: Iterable[pa.Table],
        span_column: str | None = None,
        row_group: int = 1 << 17,
        known: Mapping[str, str] | None = None,
    ) -> Record:
        """Write an artifact atomically; return the record with digests. Raises OSError.

        `known` holds column digests that were computed before. `record.summary` is read after the last table. An
        artifact of another configuration with the same name is retired first, not overwritten."""
        path = self.path(record.stage, name)
        digests = {column.name: ColumnDigest(column.type) for column in schema if known is None}
        rows, span = 0, None
        pieces = row_groups(tables, schema, row_group)
        first = next(pieces, schema.empty_table())
        with atomic_write(path) as file:
            with pq.ParquetWriter(file, schema, **layout(first, row_group)) as writer:
                for table in itertools.chain([first], pieces):
                    for column, column_digest in digests.items():
                        column_digest.update(table.column(column))
                    if span_column and table.num_rows:
                        ends = pc.min_max(table.column(span_column)).as_py()
                        span = (min(span[0], ends["min"]), max(span[1], ends["max"])) if span else tuple(ends.values())
                    rows += table.num_rows
                    writer.write_table(table, row_group_size=row_group)
                content = {**(known or {})} | {column: d.hexdigest() for column, d in digests.items()}
                content[SUMMARY] = digest(record.summary)[:32]
                fields = record._asdict() | {
                    "schema": kinds(schema, schema.names),
                    "content": content,
                    "rows": rows,
                    "span": span,
                }
                text = json.dumps(fields, sort_keys=True).encode()
                writer.add_key_value_metadata(
                    {METADATA: text, METADATA_DIGEST: hashlib.sha256(text).hexdigest().encode()}
                )
            self.sizes[name] = file.tell()
            if name != artifact_name(record.key, record.fingerprint):
                self._retire_other(name, record)
            self.files.sync_files(self._unsynced & record.files.keys())  # before the artifact that names the files
            self._unsynced.clear()
        return Record(**fields)

    def _retire_other(self, name: str, record: Record) -> None:
        with contextlib.suppress(ArtifactDamaged):
            there = self.record(record.stage, name, record.key)
            if there.fingerprint != record.fingerprint:
                self._retire(name, there)

    def _retire(self, name: str, there: Record) -> None:
        retired = artifact_name(there.key, there.fingerprint)
        self.files.move(f"{there.stage}/{name}", f"{there.stage}/{RETIRED}/{retired}")

    def retire_named(self, stage: str, name: str, key: str) -> None:
        """Retire an artifact before its files are rewritten.

        Otherwise an old artifact would name new files. A damaged artifact is deleted."""
        if self.files.size(f"{stage}/{name}") is None:
            return
        try:
            self._retire(name, self.record(stage, name, key))
        except ArtifactDamaged:
            self.files.delete([f"{stage}/{name}"])
        self.files.sync([stage])

    def retire_all_but(self, stage: str, names: frozenset[str]) -> int:
        """Retire the artifacts of a stage that are not in `names`; return their number.

        Files of other names belong to the user and stay."""
        others = [name for name in self.names(stage) if name not in names and OWN_NAME.fullmatch(name)]
        for name in others:
            target = name
            with contextlib.suppress(ArtifactDamaged):
                record = self.record(stage, name)
                target = artifact_name(record.key, record.fingerprint)
            self.files.move(f"{stage}/{name}", f"{stage}/{RETIRED}/{target}")
        return len(others)

    def retire_files_but(self, names: Collection[str], owned: Callable[[str], bool]) -> None:
        """Retire published files, except `names`, in the top folders that hold `names`.

        Files that are not `owned` belong to the user and stay."""
        for top in {name.split("/")[0] for name in names}:
            for inside in sorted(self.files.names_below(top)):
                name = f"{top}/{inside}"
                if name not in names and owned(name) and self.files.size(name) is not None:
                    self.files.move(name, f"{top}/{RETIRED}/{inside}")

    def prune(self) -> tuple[int, int]:
        """Delete retired files; return their number and total size in bytes."""
        retired = {name: size for name, size in self.files.below("").items() if name.split("/")[1:2] == [RETIRED]}
        self.files.delete(sorted(retired))
        return len(retired), sum(retired.values())

    def take_back(self, stage: str, retired: str, name: str) -> None:
        """Move a retired artifact back into the stage's folder."""
        self.files.move(f"{stage}/{RETIRED}/{retired}", f"{stage}/{name}")

    def publish_file(self, name: str, data: bytes, durable: bool = False, synced: bool = True) -> None:
        """Write one file beside the artifacts: see `atomic_write`.

        `name` is relative to the run's folder.

        A file that is not `synced` is synced before this object publishes an artifact that names the file."""
        with atomic_write(self.folder / name, durable, synced) as file:
            file.write(data)
        if not synced:
            self._unsynced.add(name)
        self.files.written(name, len(data))

    def files_there(self, record: Record, contents: bool = False) -> bool:
        """Return whether a record's files have the right size.

        With `contents` the bytes are compared, too."""
        if any(self.files.size(name) != size for name, (size, _) in record.files.items()):
            return False
        return not contents or all(
            hashlib.sha256(self.files.read(name)).hexdigest() == sha256 for name, (_, sha256) in record.files.items()
        )
