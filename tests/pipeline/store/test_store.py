import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan.fingerprint import ColumnDigest, digest
from pipeline.store.artifact import METADATA, Record, StoredArtifact, artifact_name, read_record
from pipeline.store.backends.ranges import open_parquet
from pipeline.store.store import RETIRED, Store

SCHEMA = pa.schema([("path", pa.string()), ("value", pa.float64())])
TABLE = pa.table({"path": [f"{n:04}" for n in range(500)], "value": [n / 7 for n in range(500)]}, SCHEMA)


def record(fingerprint: str = "f" * 64, key: str = "k") -> Record:
    return Record("stage", key, fingerprint, {"params": {}}, {}, summary={"pairs": 3})


def publish(store: Store, name: str = "k-ffff.parquet", **kwargs: str) -> Path:
    store.publish(name, record(**kwargs), SCHEMA, [TABLE], "path")
    return store.path("stage", name)


def test_published_artifacts_can_be_read(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    artifact = StoredArtifact("stage", "k", path)
    assert artifact.table().equals(TABLE)
    assert artifact.table(["value"]).column_names == ["value"]
    assert (artifact.rows, artifact.summary, artifact.record.span) == (500, {"pairs": 3}, ("0000", "0499"))
    assert set(artifact.content) == {"path", "value", "#summary"}
    assert artifact.content["#summary"] == digest({"pairs": 3})[:32]
    assert [name.name for name in tmp_path.rglob("*") if name.is_file()] == [path.name]


def test_the_digest_of_a_summary_tells_summaries_apart(tmp_path: Path) -> None:
    """Tasks that read an artifact run again if only the artifact's summary has changed."""
    store, tags = Store(tmp_path), set()
    for pairs in (3, 4):
        told = Record("stage", "k", "f" * 64, {}, {}, summary={"pairs": pairs})
        tags.add(store.publish("k-ffff.parquet", told, SCHEMA, [TABLE]).content["#summary"])
    assert len(tags) == 2


def test_a_span_is_that_of_all_row_groups(tmp_path: Path) -> None:
    """The least and the greatest value may be in any row group."""
    for number, paths in enumerate(
        (["m", "a", "n", "z", "l", "k"], ["z", "y", "m", "n", "b", "a"], ["a", "b", "m", "n", "y", "z"])
    ):
        table = pa.table({"path": paths, "value": [0.0] * 6}, SCHEMA)
        made = Store(tmp_path).publish(f"{number}.parquet", record(), SCHEMA, [table], "path", row_group=2)
        assert made.span == ("a", "z")


def test_equal_content_gives_equal_bytes_for_any_pieces(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish("a.parquet", record(), SCHEMA, [TABLE], None)
    store.publish("b.parquet", record(), SCHEMA, [TABLE.slice(0, 3), TABLE.slice(3, 0), TABLE.slice(3)], None)
    assert store.path("stage", "a.parquet").read_bytes() == store.path("stage", "b.parquet").read_bytes()


def test_row_groups_are_equal_for_any_pieces_of_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish("a.parquet", record(), SCHEMA, [TABLE], None, row_group=200)
    store.publish("b.parquet", record(), SCHEMA, [TABLE.slice(0, 250), TABLE.slice(250)], None, row_group=200)
    assert store.path("stage", "a.parquet").read_bytes() == store.path("stage", "b.parquet").read_bytes()
    groups = pq.read_metadata(store.path("stage", "a.parquet"))
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [200, 200, 100]


def test_a_row_group_has_131072_rows(tmp_path: Path) -> None:
    schema = pa.schema([("value", pa.int8())])
    table = pa.table([np.zeros(131_073, np.int8)], schema=schema)
    Store(tmp_path).publish("a.parquet", record(), schema, [table])
    groups = pq.read_metadata(tmp_path / "stage/a.parquet")
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [131_072, 1]


def test_the_order_of_a_recipe_changes_no_byte(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, recipe in (("a.parquet", {"x": 1, "y": 2}), ("b.parquet", {"y": 2, "x": 1})):
        store.publish(name, Record("stage", "k", "f" * 64, recipe, {}), SCHEMA, [TABLE])
    assert store.path("stage", "a.parquet").read_bytes() == store.path("stage", "b.parquet").read_bytes()


def test_digests_are_those_of_the_columns_of_all_tables(tmp_path: Path) -> None:
    made = Store(tmp_path).publish("a.parquet", record(), SCHEMA, [TABLE, TABLE], row_group=300)
    for name in SCHEMA.names:
        column = ColumnDigest(SCHEMA.field(name).type)
        column.update(pa.concat_tables([TABLE, TABLE])[name])
        assert made.content[name] == column.hexdigest()


def test_tables_of_other_types_are_cast(tmp_path: Path) -> None:
    other = pa.table({"path": ["a"], "value": pa.array([3], pa.int32())})
    Store(tmp_path).publish("a.parquet", record(), SCHEMA, [other])
    found = StoredArtifact("stage", "k", tmp_path / "stage/a.parquet").table()
    assert found.equals(pa.table({"path": ["a"], "value": [3.0]}, SCHEMA))


def test_digests_that_are_known_are_not_computed_again(tmp_path: Path) -> None:
    made = Store(tmp_path).publish("a.parquet", record(), SCHEMA, [TABLE], known={"path": "1", "value": "2"})
    assert (made.content["path"], made.content["value"]) == ("1", "2")


def test_names_alone_are_in_a_dictionary_and_pictures_have_no_statistics(tmp_path: Path) -> None:
    schema = pa.schema([("path", pa.string()), ("value", pa.float64()), ("picture", PICTURE)])
    table = pa.table([["a", "b"], [1.0, 2.0], noise(2)], schema=schema)
    Store(tmp_path).publish("a.parquet", record(), schema, [table])
    group = pq.read_metadata(tmp_path / "stage/a.parquet").row_group(0)
    columns = [group.column(number) for number in range(3)]
    assert [column.has_dictionary_page for column in columns] == [True, False, False]
    assert [column.statistics is None for column in columns] == [False, False, True]


def test_files_are_on_disk_before_the_artifact_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[Path, bool]] = []
    artifact = tmp_path / "report/k-ffff.parquet"
    monkeypatch.setattr(
        "pipeline.store.backends.files.sync_folder", lambda path: synced.append((path, artifact.exists()))
    )
    monkeypatch.setattr(
        "pipeline.store.backends.files.sync_file", lambda path: synced.append((path, artifact.exists()))
    )
    files = {"report/page.html": [4, ""], "report/pictures/a.png": [4, ""]}
    store = Store(tmp_path)
    for name in files:
        store.publish_file(name, b"data", synced=False)
    store.publish(artifact.name, Record("report", "k", "f" * 64, {}, {}, files=files), SCHEMA, [TABLE])
    folders = [(tmp_path / "report", False), (tmp_path / "report/pictures", False)]
    assert sorted(synced[:2]) == [(tmp_path / name, False) for name in files]
    assert sorted(synced[2:]) == folders


def test_a_file_is_durable_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("pipeline.store.atomic.sync_folder", synced.append)
    Store(tmp_path).publish_file("run.json", b"{}")
    assert not synced
    Store(tmp_path).publish_file("run.json", b"{}", durable=True)
    assert synced == [tmp_path]


def test_an_artifact_is_retired_by_name_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("pipeline.store.backends.files.sync_folder", synced.append)
    store = Store(tmp_path)
    store.retire_named("stage", "k.parquet", "k")
    assert not synced
    path = publish(store, "k.parquet")
    store.retire_named("stage", "k.parquet", "k")
    assert store.names(f"stage/{RETIRED}") == [artifact_name("k", "f" * 64)]
    assert not path.exists()
    assert synced == [tmp_path / "stage"]
    path.write_bytes(b"damaged")
    store.retire_named("stage", "k.parquet", "k")
    assert not path.exists()
    assert store.names(f"stage/{RETIRED}") == [artifact_name("k", "f" * 64)]


def test_an_empty_result_is_an_artifact(tmp_path: Path) -> None:
    Store(tmp_path).publish("k-ffff.parquet", record(), SCHEMA, [], "path")
    artifact = StoredArtifact("stage", "k", tmp_path / "stage" / "k-ffff.parquet")
    assert artifact.table().schema == SCHEMA
    assert (artifact.rows, artifact.record.span) == (0, None)
    assert pq.ParquetFile(artifact.path).num_row_groups == 1  # pyarrow before 20 can't read a file of none


def test_cut_short_is_absent(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    whole = path.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ArtifactDamaged):
            read_record(path, "stage", "k")


def test_no_flipped_bit_gives_a_wrong_result(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    whole = path.read_bytes()
    expected = read_record(path, "stage", "k")
    caught = 0
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        artifact = StoredArtifact("stage", "k", path)
        try:
            assert artifact.record == expected
            assert artifact.table().equals(TABLE)
        except ArtifactDamaged:
            caught += 1
    assert caught > len(whole) / 5 * 0.9


def test_an_entry_that_is_not_a_file_is_no_artifact(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    artifact = StoredArtifact("stage", "k", path)
    for make in (os.mkfifo, Path.mkdir):
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        for read in (
            lambda: artifact.record,
            artifact.table,
            lambda: list(artifact.batches()),
            lambda: open_parquet(path),
        ):
            with pytest.raises((ArtifactDamaged, OSError)):
                read()


def test_a_column_whose_name_is_no_text_is_damage(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    path.write_bytes(path.read_bytes().replace(b"value", b"val\xffe"))
    for read in (StoredArtifact("stage", "k", path).table, lambda: read_record(path, "stage", "k")):
        with pytest.raises(ArtifactDamaged):
            read()


def test_a_missing_artifact_is_called_by_its_key_or_its_name(tmp_path: Path) -> None:
    for key, called in ((None, "k.parquet"), ("k", "k")):
        with pytest.raises(ArtifactDamaged) as told:
            Store(tmp_path).record("stage", "k.parquet", key)
        assert (told.value.stage, told.value.key) == ("stage", called)


def test_the_footer_records_the_artifacts_origin(tmp_path: Path) -> None:
    text = pq.read_metadata(publish(Store(tmp_path))).metadata[METADATA]
    assert json.loads(text)["fingerprint"] == "f" * 64


def test_an_artifact_with_a_fixed_name_retires_that_of_another_config(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "clusters.parquet", fingerprint="1" * 64, key="clusters")
    publish(store, "clusters.parquet", fingerprint="2" * 64, key="clusters")
    retired = artifact_name("clusters", "1" * 64)
    assert store.names(f"stage/{RETIRED}") == [retired]
    store.take_back("stage", retired, "clusters.parquet")
    assert read_record(store.path("stage", "clusters.parquet"), "stage", "clusters").fingerprint == "1" * 64


def test_retire_keeps_exactly_the_artifacts_of_the_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("a-1111111111111111.parquet", "b-2222222222222222.parquet"):
        publish(store, name)
    assert store.retire_all_but("stage", frozenset({"a-1111111111111111.parquet"})) == 1
    assert store.names("stage") == ["a-1111111111111111.parquet"]
    assert pq.read_table(tmp_path / "stage").num_rows == 500
    count, size = store.prune()
    assert (count, size > 0, store.names(f"stage/{RETIRED}")) == (1, True, [])
    assert store.names("stage") == ["a-1111111111111111.parquet"]


def test_parquet_that_is_called_otherwise_is_not_ours(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = publish(store, "mine.parquet")
    publish(store, f"k-{16 * 'f'}.parquet")
    assert store.retire_all_but("stage", frozenset()) == 1
    assert mine.exists()
    assert store.names("stage") == ["mine.parquet"]
    assert store.retire_all_but("stage", frozenset()) == 0  # with no artifact beside it, too
    assert mine.exists()


def test_files_beside_an_artifact_are_part_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish_file("report/page.html", b"page")
    store.publish_file("report/old.png", b"old")
    whole = Record("s", "k", "f", {}, {}, files={"report/page.html": [4, hashlib.sha256(b"page").hexdigest()]})
    other = Record("s", "k", "f", {}, {}, files={"report/page.html": [4, hashlib.sha256(b"text").hexdigest()]})
    assert [store.files_there(each) for each in (whole, other)] == [True, True]
    assert [store.files_there(each, contents=True) for each in (whole, other)] == [True, False]
    store.publish_file("report/mine.png", b"of the user")
    store.retire_files_but({"report/page.html"}, lambda name: not name.endswith("mine.png"))
    retired = [path.name for path in (tmp_path / "report").rglob("*") if ".retired" in path.parts and path.is_file()]
    assert retired == ["old.png"]
    assert (tmp_path / "report" / "mine.png").read_bytes() == b"of the user"
    (tmp_path / "report" / "page.html").write_bytes(b"page!")
    assert store.files_there(whole) is False


PICTURE = pa.binary(64 * 48)


def published_pictures(store: Store, values: list[bytes | None], row_group: int = 16) -> StoredArtifact:
    """Pictures behind a column of lists, whose leaf has a number and a name of its own."""
    schema = pa.schema([("sums", pa.list_(pa.int32(), 2)), ("picture", PICTURE)])
    table = pa.table([[[n, n] for n in range(len(values))], values], schema=schema)
    store.publish("pictures.parquet", record(), schema, [table], None, row_group)
    return StoredArtifact("stage", "k", store.path("stage", "pictures.parquet"))


def noise(count: int) -> list[bytes | None]:
    data = np.random.default_rng(0).integers(0, 256, (count, PICTURE.byte_width), dtype=np.uint8)
    return [row.tobytes() for row in data]


@pytest.mark.parametrize("row_group", [16, 64])
def test_single_rows_are_read_from_where_they_lie(tmp_path: Path, row_group: int) -> None:
    values = noise(50)
    artifact = published_pictures(Store(tmp_path), values, row_group)
    for rows in ([0], [49], [3, 15, 16, 40], list(range(50))):
        reader = artifact.fixed_rows("picture")
        assert reader is not None
        assert len(reader) == 50
        found = reader.read(rows)
        assert found is not None
        assert [row.tobytes() for row in found] == [values[row] for row in rows]
    size = artifact.path.stat().st_size
    assert size < 1.1 * 50 * PICTURE.byte_width


def test_rows_that_are_packed_or_have_holes_are_not(tmp_path: Path) -> None:
    flat: list[bytes | None] = [bytes([n]) * PICTURE.byte_width for n in range(50)]
    packed = published_pictures(Store(tmp_path / "packed"), flat)
    assert packed.path.stat().st_size < 50 * PICTURE.byte_width / 5
    holes = published_pictures(Store(tmp_path / "holes"), [*noise(41)[:20], None, *noise(41)[21:]])
    for artifact, row in ((packed, 3), (holes, 19)):
        reader = artifact.fixed_rows("picture")
        assert reader is not None
        assert reader.read([row]) is None
        assert reader.read([2, row]) is None
    assert reader.read([3, 39]) is not None  # row groups without one
    assert holes.take(["picture"], [20, 21])["picture"].to_pylist() == [None, noise(22)[21]]


@pytest.mark.parametrize("before", [0, 40])
def test_the_first_32_pictures_decide_about_compression(tmp_path: Path, before: int) -> None:
    """One flat picture among the 32 does not count, and pictures before the written rows do not count."""
    flat: list[bytes | None] = [bytes(PICTURE.byte_width)]
    schema = pa.schema([("picture", PICTURE)])
    table = pa.table([flat * before + flat + noise(40)], schema=schema).slice(before)
    Store(tmp_path).publish("a.parquet", record(), schema, [table], None, 64)
    assert pq.read_metadata(tmp_path / "stage/a.parquet").row_group(0).column(0).compression == "UNCOMPRESSED"


def test_no_pictures_are_an_artifact(tmp_path: Path) -> None:
    assert published_pictures(Store(tmp_path), []).rows == 0


def test_a_row_of_a_missing_file_is_damage(tmp_path: Path) -> None:
    artifact = published_pictures(Store(tmp_path), noise(5))
    assert isinstance(artifact.path, Path)
    reader = artifact.fixed_rows("picture")
    assert reader is not None
    with artifact.path.open("r+b") as file:
        file.truncate(100)
    assert reader.read([4]) is None
    artifact.path.unlink()
    assert reader.read([0]) is None
    os.mkfifo(artifact.path)
    assert reader.read([0]) is None
    with pytest.raises(ArtifactDamaged):
        artifact.fixed_rows("picture")
