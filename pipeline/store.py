"""Where artifacts lie, and how they are written, read, retired and taken back.

    <output>/<run>/<stage>/<key>-<fingerprint>.parquet       this run's artifacts
    <output>/<run>/<stage>/.retired/                          earlier ones that a later run may want again

The artifact is the record: its footer holds the fingerprint of all that determined it and the digests of what it
holds. There is no other list of what is done, so none can disagree with the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.atomic import atomic_write
from pipeline.errors import ArtifactDamaged
from pipeline.fingerprint import SHORT, ColumnDigest, digest

RETIRED = ".retired"
SUMMARY = "#summary"
"""Under this name a record's `content` holds the digest of its summary, beside those of the columns."""
DICTIONARY = 16 << 20
"""Bytes of the names of a column that are written once a row group: those of a whole block, so that a pair of images
takes a few bytes however long their paths are."""
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
    retry: int = 0
    files: Mapping[str, list[Any]] = field(default_factory=dict)
    span: tuple[str, str] | None = None


def artifact_name(key: str, fingerprint: str, filename: str | None = None) -> str:
    """The artifact's file name within its stage's folder."""
    return filename or f"{key}-{fingerprint[:SHORT]}.parquet"


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact on disk; see `pipeline.stage.Artifact`. Raises ArtifactDamaged wherever it can't be read."""

    stage: str
    key: str
    path: Path

    @property
    def record(self) -> Record:
        """The footer."""
        return read_record(self.path, self.stage, self.key)

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
            self._verify(table.schema, columns, table.num_rows)
        return table

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read columns piece by piece."""
        with self._open() as file:
            rows = 0
            for batch in file.iter_batches(columns=columns, use_threads=False):
                rows += batch.num_rows
                yield batch
            self._verify(file.schema_arrow, columns, rows)

    def take(self, columns: Sequence[str], rows: Sequence[int]) -> pa.Table:
        """Some rows, ascending; only the row groups that hold them are read."""
        with self._open() as file:
            ends = np.cumsum([file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)])
            group = np.searchsorted(ends, rows, side="right")
            used = np.unique(group)
            sizes = np.diff(ends, prepend=0)
            table = file.read_row_groups(used.tolist(), columns, use_threads=False).replace_schema_metadata(None)
            self._verify(table.schema, columns, int(ends[-1]) if len(ends) else 0)
            before = np.cumsum(sizes[used]) - sizes[used]
            place = np.searchsorted(used, group)
            return table.take(pa.array(np.asarray(rows) - (ends - sizes)[group] + before[place]))

    def _verify(self, schema: pa.Schema, columns: Sequence[str] | None, rows: int) -> None:
        """Pages carry checksums; names, types and counts stand outside them, so they are held against the record."""
        record = self.record
        expected = {name: kind for name, kind in record.schema.items() if columns is None or name in columns}
        if rows != record.rows or expected != _kinds(schema, expected):
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} does not hold what its footer says")

    @contextlib.contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                yield file
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ArtifactDamaged(self.stage, self.key, f"{self.path} can't be read") from error


def read_record(path: Path, stage: str, key: str) -> Record:
    """The footer of an artifact. Raises ArtifactDamaged where it is missing, cut short or altered."""
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata.metadata or {}
            there = file.schema_arrow
        text = metadata[METADATA]
        if hashlib.sha256(text).hexdigest().encode() != metadata[METADATA_DIGEST]:
            raise ValueError("altered")
        fields = json.loads(text)
        if fields["span"] is not None:
            fields["span"] = tuple(fields["span"])
        if fields["schema"] != _kinds(there, there.names):
            raise ValueError("altered")
        return Record(**fields)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise ArtifactDamaged(stage, key, f"{path} is missing or damaged") from error


@dataclass(frozen=True)
class Store:
    """One run's folder."""

    folder: Path

    def path(self, stage: str, name: str) -> Path:
        """Where an artifact of this run lies."""
        return self.folder / stage / name

    def names(self, stage: str) -> list[str]:
        """Names of the artifacts in the stage's folder, sorted."""
        return _parquet_names(self.folder / stage)

    def retired(self, stage: str) -> list[str]:
        """Names of the stage's retired artifacts, sorted."""
        return _parquet_names(self.folder / stage / RETIRED)

    def publish(
        self,
        name: str,
        record: Record,
        schema: pa.Schema,
        tables: Iterable[pa.Table],
        span_column: str | None = None,
        row_group: int = 1 << 17,
    ) -> Record:
        """Write an artifact, atomically; returns its record with digests filled in. Raises OSError.

        `record.summary` is read after the last table, so that it may be filled on the way. An artifact under a
        name of its own that another configuration made is retired first, not overwritten."""
        path = self.path(record.stage, name)
        digests = {column.name: ColumnDigest(column.type) for column in schema}
        rows, span = 0, None
        with atomic_write(path) as file:
            with pq.ParquetWriter(
                file,
                schema,
                compression={column.name: _compression(column.type) for column in schema},
                use_dictionary=[column.name for column in schema if pa.types.is_string(column.type)],
                dictionary_pagesize_limit=DICTIONARY,
                write_page_checksum=True,
                store_schema=True,
            ) as writer:
                for table in _row_groups(tables, schema, row_group):
                    for column in schema.names:
                        digests[column].update(table.column(column))
                    if span_column:
                        ends = pc.min_max(table.column(span_column)).as_py()
                        span = (min(span[0], ends["min"]), max(span[1], ends["max"])) if span else tuple(ends.values())
                    rows += table.num_rows
                    writer.write_table(table, row_group_size=row_group)
                content = {column: d.hexdigest() for column, d in digests.items()}
                content[SUMMARY] = digest(record.summary)[:32]
                fields = asdict(record) | {
                    "schema": _kinds(schema, schema.names),
                    "content": content,
                    "rows": rows,
                    "span": span,
                }
                text = json.dumps(fields, sort_keys=True).encode()
                writer.add_key_value_metadata(
                    {METADATA: text, METADATA_DIGEST: hashlib.sha256(text).hexdigest().encode()}
                )
            self._retire_other(path, record)
        return Record(**fields)

    def _retire_other(self, path: Path, record: Record) -> None:
        with contextlib.suppress(ArtifactDamaged):
            there = read_record(path, record.stage, record.key)
            if there.fingerprint != record.fingerprint:
                name = artifact_name(there.key, there.fingerprint)
                self._move(path, path.parent / RETIRED / name)

    def retire_all_but(self, stage: str, names: frozenset[str]) -> int:
        """Move every artifact of a stage that this run does not own out of the readers' way."""
        others = [name for name in self.names(stage) if name not in names]
        for name in others:
            target = name
            with contextlib.suppress(ArtifactDamaged):
                record = read_record(self.path(stage, name), stage, name)
                target = artifact_name(record.key, record.fingerprint)
            self._move(self.path(stage, name), self.folder / stage / RETIRED / target)
        return len(others)

    def retire_files_but(self, names: Collection[str]) -> None:
        """The same for files published beside artifacts, in the folders that hold some of `names`."""
        for top in {name.split("/")[0] for name in names}:
            folder = self.folder / top
            for path in sorted(folder.rglob("*")):
                inside = path.relative_to(folder)
                if path.is_file() and inside.parts[0] != RETIRED and f"{top}/{inside}" not in names:
                    self._move(path, folder / RETIRED / inside)

    def prune(self) -> tuple[int, int]:
        """Delete what was retired; returns the number of files and of bytes."""
        count = size = 0
        for folder in sorted(self.folder.glob(f"*/{RETIRED}")):
            for path in sorted(folder.rglob("*"), reverse=True):
                if path.is_file():
                    count, size = count + 1, size + path.stat().st_size
                    path.unlink()
                else:
                    path.rmdir()
        return count, size

    def take_back(self, stage: str, retired: str, name: str) -> None:
        """Make a retired artifact one of this run's again."""
        self._move(self.folder / stage / RETIRED / retired, self.path(stage, name))

    def _move(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)

    def publish_file(self, name: str, data: bytes) -> None:
        """Write one file beside the artifacts, atomically; `name` is relative to the run's folder."""
        with atomic_write(self.folder / name) as file:
            file.write(data)

    def files_there(self, record: Record, contents: bool = False) -> bool:
        """Whether the files published beside an artifact are there with the right size (`contents`: and bytes)."""
        for name, (size, sha256) in record.files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                return False
            if contents and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                return False
        return True


def _kinds(schema: pa.Schema, names: Collection[str]) -> dict[str, str]:
    """Types by column; Parquet has a name of its own for what is in a list."""
    return {column.name: str(column.type).replace("<element: ", "<item: ") for column in schema if column.name in names}


def _parquet_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".parquet" and path.name[0] != ".")


def _compression(kind: pa.DataType) -> str:
    """Pictures hardly shrink, and are read at random: what unpacks fastest serves them best."""
    return "lz4" if pa.types.is_fixed_size_binary(kind) else "zstd"


def _row_groups(tables: Iterable[pa.Table], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """The same rows in pieces of one size, whatever pieces they came in: equal content gives equal files."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table.cast(schema))
        rows += table.num_rows
        if rows >= size:
            whole = pa.concat_tables(waiting)
            full = rows - rows % size
            for start in range(0, full, size):
                yield whole.slice(start, size).combine_chunks()
            waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()
