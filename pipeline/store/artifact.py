"""An artifact: one Parquet file, and the record in its footer that says what it is and what determined it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.fingerprint import SHORT
from pipeline.store.backends.locations import Place
from pipeline.store.backends.ranges import ParquetObject, piecewise
from pipeline.store.regular import check_regular

METADATA = b"fast-diff"
METADATA_DIGEST = b"fast-diff-digest"


@dataclass(frozen=True)
class Record:
    """What an artifact's footer says of it.

    `recipe` and `inputs` are the parts of the fingerprint, kept readable for `explain`. `files` are published beside
    the artifact: name -> [bytes, SHA-256]. `span`: the least and greatest value of the stage's first reuse column.
    """

    stage: str
    key: str
    fingerprint: str
    recipe: Mapping[str, Any]
    inputs: Mapping[str, str]
    schema: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    files: Mapping[str, list[Any]] = field(default_factory=dict)
    span: tuple[str, str] | None = None


FIELDS = frozenset(Record.__dataclass_fields__)


OWN_NAME = re.compile(rf".+-[0-9a-f]{{{SHORT}}}\.parquet")
"""How artifacts are called, but for those with a name of their own."""


def artifact_names(names: Iterable[str]) -> list[str]:
    """Which of the names in a stage's folder are those of artifacts, sorted: people leave files of their own there.

    Where none is called after key and fingerprint, the stage gives names of its own, and all Parquet counts."""
    found = sorted(name for name in names if name.endswith(".parquet") and name[0] != ".")
    return [name for name in found if OWN_NAME.fullmatch(name)] or found


def artifact_name(key: str, fingerprint: str, filename: str | None = None) -> str:
    """The artifact's file name within its stage's folder."""
    return filename or f"{key}-{fingerprint[:SHORT]}.parquet"


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact on disk; see `pipeline.stage.Artifact`. Raises ArtifactDamaged wherever it can't be read."""

    stage: str
    key: str
    path: Place

    @property
    def record(self) -> Record:
        """The footer."""
        return read_record(self.path, self.stage, self.key) if self._local else self._object_record

    @property
    def _local(self) -> bool:
        return isinstance(self.path, Path)

    @cached_property
    def _object(self) -> ParquetObject:
        """On an object store, the footer is asked for once."""
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
        """Read columns whole; page checksums are verified."""
        with self._open() as file:
            table = file.read(columns, use_threads=False).replace_schema_metadata(None)
            self._verify(file, table.schema, columns, table.num_rows)
        return table

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read columns piece by piece."""
        with self._open() as file:
            rows = 0
            for batch in piecewise(file, columns, ranged=not self._local):
                rows += batch.num_rows
                yield batch
            self._verify(file, file.schema_arrow, columns, rows)

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> pa.Table:
        """Some rows, ascending; only the row groups that hold them are read."""
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

    def read_rows_unverified(self, column: str, rows: Sequence[int]) -> NDArray[np.uint8] | None:
        """Values of a fixed-size binary column, uint8 (rows, width), unverified, read from where they lie in the file;
        None where it is packed, has holes, or is no local file.

        A row group is written as one page, so its values are the last bytes of its column."""
        if not isinstance(self.path, Path):
            return None
        with self._open() as file, io.FileIO(self.path) as raw:
            leaf = [file.schema.column(n).path for n in range(len(file.schema))].index(column)
            width = file.schema.column(leaf).length
            found = np.empty((len(rows), width), np.uint8)
            groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
            ends = np.cumsum([group.num_rows for group in groups])
            for number, row in enumerate(rows):
                which = int(np.searchsorted(ends, row, side="right"))
                chunk = groups[which].column(leaf)
                packed = chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page
                if packed or chunk.total_compressed_size < chunk.num_values * width:  # some rows have no value
                    return None
                end = chunk.data_page_offset + chunk.total_compressed_size
                raw.seek(end - (int(ends[which]) - row) * width)
                if raw.readinto(found[number]) != width:
                    return None
        return found

    def _verify(self, file: pq.ParquetFile, schema: pa.Schema, columns: Sequence[str] | None, rows: int) -> None:
        """Pages carry checksums; names, types and counts stand outside them, so they are held against the record."""
        try:
            record = record_of(file.metadata, file.schema_arrow)
        except UNREADABLE as error:
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} is missing or damaged") from error
        expected = {name: kind for name, kind in record.schema.items() if columns is None or name in columns}
        if rows != record.rows or expected != kinds(schema, expected):
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} does not hold what its footer says")

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
"""What a file that is cut short or altered may end in."""


def read_record(path: Place, stage: str, key: str) -> Record:
    """The footer of an artifact. Raises ArtifactDamaged where it is missing, cut short or altered."""
    if not isinstance(path, Path):
        return StoredArtifact(stage, key, path).record
    try:
        check_regular(path)  # most of those asked for are not there, and Parquet takes its time to find that out
        with pq.ParquetFile(path) as file:
            return record_of(file.metadata, file.schema_arrow)
    except UNREADABLE as error:
        raise ArtifactDamaged(stage, key, f"{path} is missing or damaged") from error


def record_of(footer: pq.FileMetaData, there: pa.Schema) -> Record:
    """The record in a footer. Raises KeyError, ValueError or TypeError where it is none, or altered."""
    metadata = footer.metadata or {}
    text = metadata[METADATA]
    if hashlib.sha256(text).hexdigest().encode() != metadata[METADATA_DIGEST]:
        raise ValueError("altered")
    fields = json.loads(text)
    if fields["span"] is not None:
        fields["span"] = tuple(fields["span"])
    if fields["schema"] != kinds(there, there.names):
        raise ValueError("altered")
    return Record(**{name: value for name, value in fields.items() if name in FIELDS})


def kinds(schema: pa.Schema, names: Collection[str]) -> dict[str, str]:
    """Types by column; Parquet has a name of its own for what is in a list."""
    return {column.name: str(column.type).replace("<element: ", "<item: ") for column in schema if column.name in names}
