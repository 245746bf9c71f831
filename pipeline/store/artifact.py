"""Read artifacts: Parquet files whose footer records content and fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.fingerprint import SHORT
from pipeline.store.backends.locations import Place
from pipeline.store.backends.ranges import ParquetObject, piecewise
from pipeline.store.fixed_rows import FixedRows, locate
from pipeline.store.regular import check_regular

METADATA = b"fast-diff"
METADATA_DIGEST = b"fast-diff-digest"


class Record(NamedTuple):
    """Record in an artifact's footer.

    `recipe` and `inputs` are the parts of the fingerprint, kept readable for `explain`. `files` maps the name of each
    file that is published beside the artifact to [size in bytes, SHA-256]. `span` is the least and the greatest value
    of the first column of `Reuse.columns`.
    """

    stage: str
    key: str
    fingerprint: str
    recipe: Mapping[str, Any]
    inputs: Mapping[str, str]
    schema: Mapping[str, str] = {}
    content: Mapping[str, str] = {}
    summary: Mapping[str, Any] = {}
    rows: int = 0
    files: Mapping[str, list[Any]] = {}
    span: tuple[str, str] | None = None


OWN_NAME = re.compile(rf".+-[0-9a-f]{{{SHORT}}}\.parquet")
"""Names of artifacts without `Task.filename`."""


def artifact_names(names: Iterable[str]) -> list[str]:
    """Return the sorted names of artifacts among the names in a stage's folder.

    Users may have added other files. If no name ends in a fingerprint, the stage sets `Task.filename`, and all Parquet
    files count as artifacts."""
    found = sorted(name for name in names if name.endswith(".parquet") and name[0] != ".")
    return [name for name in found if OWN_NAME.fullmatch(name)] or found


def artifact_name(key: str, fingerprint: str, filename: str | None = None) -> str:
    """Return the artifact's file name in the stage's folder."""
    return filename or f"{key}-{fingerprint[:SHORT]}.parquet"


@dataclass(frozen=True)
class StoredArtifact:
    """Implementation of `pipeline.stage.Artifact` on storage.

    Every method that reads the file raises ArtifactDamaged for a damaged file."""

    stage: str
    key: str
    path: Place

    @cached_property
    def record(self) -> Record:
        """Return the record in the footer, which is read once."""
        return read_record(self.path, self.stage, self.key) if self._local else self._object_record

    @property
    def _local(self) -> bool:
        return isinstance(self.path, Path)

    @cached_property
    def _object(self) -> ParquetObject:
        """Return the object, whose footer is fetched once."""
        return ParquetObject(self.path)

    @cached_property
    def _object_record(self) -> Record:
        try:
            metadata = self._object.metadata
            return record_of(metadata, metadata.schema.to_arrow_schema())
        except UNREADABLE as error:
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} is missing or damaged") from error

    @property
    def rows(self) -> int:
        return self.record.rows

    @property
    def content(self) -> Mapping[str, str]:
        return self.record.content

    @property
    def summary(self) -> Mapping[str, Any]:
        return self.record.summary

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read whole columns and verify page checksums."""
        with self._open() as file:
            table = file.read(columns, use_threads=False).replace_schema_metadata(None)
            self._verify(file, table.schema, columns, table.num_rows)
        return table

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield batches of columns and verify page checksums."""
        with self._open() as file:
            rows = 0
            for batch in piecewise(file, columns, ranged=not self._local):
                rows += batch.num_rows
                yield batch
            self._verify(file, file.schema_arrow, columns, rows)

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> pa.Table:
        """Read rows from the row groups that hold these rows; `rows` must be ascending."""
        with self._open() as file:
            sizes = np.array([file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)], np.int64)
            ends = np.cumsum(sizes)
            group = np.searchsorted(ends, rows, side="right")
            used = np.unique(group)
            table = file.read_row_groups(used.tolist(), columns, use_threads=False).replace_schema_metadata(None)
            self._verify(file, table.schema, columns, int(sizes.sum()))
            before = np.cumsum(sizes[used]) - sizes[used]
            place = np.searchsorted(used, group)
            return table.take(pa.array(np.asarray(rows, np.int64) - (ends - sizes)[group] + before[place]))

    def fixed_rows(self, column: str) -> FixedRows | None:
        if not isinstance(self.path, Path):
            return None
        with self._open() as file:
            return locate(file, self.path, column)

    def _verify(self, file: pq.ParquetFile, schema: pa.Schema, columns: Sequence[str] | None, rows: int) -> None:
        """Compare names, types and row count, which have no checksum, with the record."""
        try:
            record = record_of(file.metadata, file.schema_arrow)
        except UNREADABLE as error:
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} is missing or damaged") from error
        expected = {name: kind for name, kind in record.schema.items() if columns is None or name in columns}
        if rows != record.rows or expected != kinds(schema, expected):
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} does not match its footer")

    @contextlib.contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        try:
            with self._file() as file:
                yield file
        except UNREADABLE as error:
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} is missing or damaged") from error

    def _file(self) -> pq.ParquetFile:
        if not isinstance(self.path, Path):
            return self._object.open()
        check_regular(self.path)
        return pq.ParquetFile(self.path, page_checksum_verification=True)


UNREADABLE = (OSError, pa.ArrowException, KeyError, ValueError, TypeError)
"""Errors of reading a truncated or altered file."""


def read_record(path: Place, stage: str, key: str) -> Record:
    """Return an artifact's record.

    Raises ArtifactDamaged, also if the file is missing."""
    if not isinstance(path, Path):
        return StoredArtifact(stage, key, path).record
    try:
        check_regular(path)  # faster than Parquet for a missing file
        with pq.ParquetFile(path) as file:
            return record_of(file.metadata, file.schema_arrow)
    except UNREADABLE as error:
        raise ArtifactDamaged(stage, key, f"{path} is missing or damaged") from error


def record_of(footer: pq.FileMetaData, schema: pa.Schema) -> Record:
    """Return the record in a footer.

    schema  the schema of the file's columns

    Raises KeyError, ValueError or TypeError for a damaged record."""
    metadata = footer.metadata or {}
    text = metadata[METADATA]
    if hashlib.sha256(text).hexdigest().encode() != metadata[METADATA_DIGEST]:
        raise ValueError("altered")
    fields = json.loads(text)
    if fields["span"] is not None:
        fields["span"] = tuple(fields["span"])
    if fields["schema"] != kinds(schema, schema.names):
        raise ValueError("altered")
    return Record(**{name: value for name, value in fields.items() if name in Record._fields})


def kinds(schema: pa.Schema, names: Collection[str]) -> dict[str, str]:
    """Return types by column; Parquet renames the item of a list type."""
    return {column.name: str(column.type).replace("<element: ", "<item: ") for column in schema if column.name in names}
