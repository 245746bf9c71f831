"""Read artifacts: rows from several row groups, and files that do not match their footers."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.store.artifact import (
    METADATA,
    METADATA_DIGEST,
    Record,
    StoredArtifact,
    artifact_name,
    artifact_names,
    read_record,
)
from pipeline.store.store import Store

SCHEMA = pa.schema([("path", pa.string()), ("value", pa.int64()), ("pair", pa.list_(pa.int32(), 2))])
TABLE = pa.table(
    {"path": [f"{n:02}" for n in range(50)], "value": [*range(50)], "pair": [[n, -n] for n in range(50)]}, SCHEMA
)


@pytest.fixture
def artifact(tmp_path: Path) -> StoredArtifact:
    """Return fifty rows in groups of sixteen."""
    record = Record("stage", "k", "f" * 64, {}, {}, summary={"n": 1})
    Store(tmp_path).publish("k.parquet", record, SCHEMA, [TABLE], "path", row_group=16)
    return StoredArtifact("stage", "k", tmp_path / "stage" / "k.parquet")


@pytest.mark.parametrize(
    "rows", [[], [0], [15, 16], [17], [3, 20, 49], [33, 34, 48], [0, 1, 40], [16, 31, 32], [5, 5, 18, 18], [*range(50)]]
)
def test_rows_are_taken_from_the_row_groups_that_hold_them(artifact: StoredArtifact, rows: Sequence[int]) -> None:
    assert (
        artifact.take(["value", "path"], rows).to_pydict()
        == TABLE.select(["value", "path"]).take(pa.array(rows, pa.int64())).to_pydict()
    )


def test_a_picture_that_is_packed_is_not_read_from_where_it_would_lie(tmp_path: Path) -> None:
    """The first pictures decide that a column is compressed; pictures of later row groups may not shrink."""
    kind = pa.binary(3_072)
    noise = np.random.default_rng(0).integers(0, 256, (16, 3_072), dtype=np.uint8)
    values = [*(bytes([n]) * 3_072 for n in range(16)), *(row.tobytes() for row in noise)]
    schema = pa.schema([("picture", kind)])
    record = Record("stage", "k", "f" * 64, {}, {})
    Store(tmp_path).publish("k.parquet", record, schema, [pa.table({"picture": values}, schema)], None, 16)
    artifact = StoredArtifact("stage", "k", tmp_path / "stage" / "k.parquet")
    assert pq.read_metadata(artifact.path).row_group(1).column(0).total_compressed_size > 16 * 3_072
    reader = artifact.fixed_rows("picture")
    assert reader is not None
    assert reader.read([3]) is reader.read([20]) is None


def test_no_rows_of_an_empty_artifact(tmp_path: Path) -> None:
    Store(tmp_path).publish("k.parquet", Record("stage", "k", "f" * 64, {}, {}), SCHEMA, [])
    assert StoredArtifact("stage", "k", tmp_path / "stage" / "k.parquet").take(["value"], []).num_rows == 0


def test_only_the_row_groups_that_hold_them_are_read(artifact: StoredArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[int]] = []
    whole = pq.ParquetFile.read_row_groups

    def watched(self: pq.ParquetFile, groups: list[int], *arguments: Any, **keywords: Any) -> pa.Table:
        read.append(groups)
        return whole(self, groups, *arguments, **keywords)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", watched)
    artifact.take(["value"], [1, 2, 40])
    assert read == [[0, 2]]


def test_tables_and_batches_carry_the_columns_that_are_asked_for_and_nothing_else(artifact: StoredArtifact) -> None:
    assert artifact.table(["value"]).schema == pa.schema([("value", pa.int64())])
    assert (artifact.table().column_names, artifact.table().schema.metadata) == (SCHEMA.names, None)
    assert artifact.take(["value"], [3]).schema.metadata is None
    assert pa.Table.from_batches(artifact.batches(["value"])).to_pydict() == TABLE.select(["value"]).to_pydict()


def rewrite(path: Path, table: pa.Table, row_group: int = 16, **changes: Any) -> None:
    """Write another table under the same record, or with changed fields of the record."""
    text = pq.read_metadata(path).metadata[METADATA]
    fields = json.dumps(json.loads(text) | changes).encode() if changes else text
    metadata = {METADATA: fields, METADATA_DIGEST: hashlib.sha256(fields).hexdigest().encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=row_group, write_page_checksum=True)


def reads(artifact: StoredArtifact) -> list[Any]:
    """Read an artifact in every way."""
    columns = ["path", "value"]
    return [artifact.table(columns), list(artifact.batches(columns)), artifact.take(columns, [0, 20])]


@pytest.mark.parametrize("way", ["table", "batches", "take"])
@pytest.mark.parametrize("rows", [slice(0, 49), slice(0, 32), slice(1, 50)])
def test_a_file_with_fewer_rows_than_its_footer_says_is_damaged(
    artifact: StoredArtifact, rows: slice, way: str
) -> None:
    assert isinstance(artifact.path, Path)
    rewrite(artifact.path, TABLE[rows])
    with pytest.raises(ArtifactDamaged, match="does not match its footer"):
        {
            "table": lambda: artifact.table(["value"]),
            "batches": lambda: list(artifact.batches(["value"])),
            "take": lambda: artifact.take(["value"], [0, 20]),
        }[way]()


def test_a_file_with_other_columns_than_its_footer_says_is_damaged(artifact: StoredArtifact) -> None:
    assert isinstance(artifact.path, Path)
    for other in (
        TABLE.drop_columns(["pair"]),
        TABLE.rename_columns(["path", "values", "pair"]),
        TABLE.set_column(1, "value", TABLE["value"].cast(pa.float64())),
    ):
        rewrite(artifact.path, other)
        with pytest.raises(ArtifactDamaged, match="missing or damaged"):
            _ = artifact.record
        with pytest.raises(ArtifactDamaged):
            artifact.table(["path"])


def test_fields_that_a_later_version_adds_are_passed_over(artifact: StoredArtifact) -> None:
    assert isinstance(artifact.path, Path)
    before = artifact.record
    rewrite(artifact.path, TABLE, unheard_of=1)
    assert artifact.record == before
    assert (before.rows, before.span, before.summary) == (50, ("00", "49"), {"n": 1})
    assert len(reads(artifact)) == 3


def test_a_footer_that_is_none_or_was_altered_is_damaged(artifact: StoredArtifact, tmp_path: Path) -> None:
    assert isinstance(artifact.path, Path)
    text = pq.read_metadata(artifact.path).metadata[METADATA]
    good = hashlib.sha256(text).hexdigest().encode()
    for metadata in ({}, {METADATA: text}, {METADATA: text.replace(b"50", b"51"), METADATA_DIGEST: good}):
        pq.write_table(TABLE.replace_schema_metadata(metadata), artifact.path)
        with pytest.raises(ArtifactDamaged):
            read_record(artifact.path, "stage", "k")
    with pytest.raises(ArtifactDamaged) as told:
        read_record(tmp_path / "nowhere.parquet", "stage", "k")
    assert (told.value.stage, told.value.key) == ("stage", "k")


def test_names_of_artifacts() -> None:
    assert artifact_name("k", "0123456789abcdef" * 4) == "k-0123456789abcdef.parquet"
    assert artifact_name("k", "0" * 64, "clusters.parquet") == "clusters.parquet"
    ours = ["a-0123456789abcdef.parquet", "b-0123456789abcdef.parquet"]
    assert artifact_names([*ours[::-1], "mine.parquet", ".c-0123456789abcdef.parquet", "d.txt"]) == ours
    assert artifact_names(["mine.parquet", ".hidden.parquet", "a.csv"]) == ["mine.parquet"]
