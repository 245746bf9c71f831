import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.artifact import METADATA, Record, StoredArtifact, artifact_name, read_record
from pipeline.errors import ArtifactDamaged
from pipeline.fingerprint import digest
from pipeline.ranges import open_parquet
from pipeline.store import Store

SCHEMA = pa.schema([("path", pa.string()), ("value", pa.float64())])
TABLE = pa.table({"path": [f"{n:04}" for n in range(500)], "value": [n / 7 for n in range(500)]}, SCHEMA)


def record(fingerprint: str = "f" * 64, key: str = "k") -> Record:
    return Record("stage", key, fingerprint, {"params": {}}, {}, summary={"pairs": 3})


def publish(store: Store, name: str = "k-ffff.parquet", **kwargs: str) -> Path:
    store.publish(name, record(**kwargs), SCHEMA, [TABLE], "path")
    return store.path("stage", name)


def test_what_is_published_can_be_read(tmp_path: Path) -> None:
    path = publish(Store(tmp_path))
    artifact = StoredArtifact("stage", "k", path)
    assert artifact.table().equals(TABLE)
    assert artifact.table(["value"]).column_names == ["value"]
    assert (artifact.rows, artifact.summary, artifact.record.span) == (500, {"pairs": 3}, ("0000", "0499"))
    assert set(artifact.content) == {"path", "value", "#summary"}
    assert artifact.content["#summary"] == digest({"pairs": 3})[:32]
    assert [name.name for name in tmp_path.rglob("*") if name.is_file()] == [path.name]


def test_the_digest_of_a_summary_tells_summaries_apart(tmp_path: Path) -> None:
    """What reads an artifact runs again where its summary alone has changed."""
    store, tags = Store(tmp_path), set()
    for pairs in (3, 4):
        told = Record("stage", "k", "f" * 64, {}, {}, summary={"pairs": pairs})
        tags.add(store.publish("k-ffff.parquet", told, SCHEMA, [TABLE]).content["#summary"])
    assert len(tags) == 2


def test_a_span_is_that_of_all_row_groups(tmp_path: Path) -> None:
    """Whichever of them hold the least and the greatest value."""
    for number, paths in enumerate(
        (["m", "a", "n", "z", "l", "k"], ["z", "y", "m", "n", "b", "a"], ["a", "b", "m", "n", "y", "z"])
    ):
        table = pa.table({"path": paths, "value": [0.0] * 6}, SCHEMA)
        made = Store(tmp_path).publish(f"{number}.parquet", record(), SCHEMA, [table], "path", row_group=2)
        assert made.span == ("a", "z")


def test_equal_content_gives_equal_bytes_however_it_arrives(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish("a.parquet", record(), SCHEMA, [TABLE], None)
    store.publish("b.parquet", record(), SCHEMA, [TABLE.slice(0, 3), TABLE.slice(3, 0), TABLE.slice(3)], None)
    assert store.path("stage", "a.parquet").read_bytes() == store.path("stage", "b.parquet").read_bytes()


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


def test_what_is_no_file_is_no_artifact(tmp_path: Path) -> None:
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


def test_the_footer_says_what_made_it(tmp_path: Path) -> None:
    text = pq.read_metadata(publish(Store(tmp_path))).metadata[METADATA]
    assert json.loads(text)["fingerprint"] == "f" * 64


def test_an_artifact_with_a_name_of_its_own_retires_what_another_config_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "clusters.parquet", fingerprint="1" * 64, key="clusters")
    publish(store, "clusters.parquet", fingerprint="2" * 64, key="clusters")
    retired = artifact_name("clusters", "1" * 64)
    assert store.retired("stage") == [retired]
    store.take_back("stage", retired, "clusters.parquet")
    assert read_record(store.path("stage", "clusters.parquet"), "stage", "clusters").fingerprint == "1" * 64


def test_retire_leaves_exactly_what_the_run_owns(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("a-1111111111111111.parquet", "b-2222222222222222.parquet"):
        publish(store, name)
    assert store.retire_all_but("stage", frozenset({"a-1111111111111111.parquet"})) == 1
    assert store.names("stage") == ["a-1111111111111111.parquet"]
    assert pq.read_table(tmp_path / "stage").num_rows == 500
    count, size = store.prune()
    assert (count, size > 0, store.retired("stage")) == (1, True, [])
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
    sha256 = "c82e0a5f6e3a4a5d3d7a4ea2b2c7a1e2b1a3e1b9f8f0f5a5b0c8d5b7f1a2e3d4"
    with_file = Record("s", "k", "f", {}, {}, files={"report/page.html": [4, sha256]})
    assert store.files_there(with_file)
    assert not store.files_there(with_file, contents=True)
    store.publish_file("report/mine.png", b"of the user")
    store.retire_files_but({"report/page.html"}, lambda name: not name.endswith("mine.png"))
    retired = [path.name for path in (tmp_path / "report").rglob("*") if ".retired" in path.parts and path.is_file()]
    assert retired == ["old.png"]
    assert (tmp_path / "report" / "mine.png").read_bytes() == b"of the user"
    (tmp_path / "report" / "page.html").write_bytes(b"page!")
    assert not store.files_there(with_file)


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


def test_single_rows_are_read_from_where_they_lie(tmp_path: Path) -> None:
    values = noise(50)
    artifact = published_pictures(Store(tmp_path), values)
    for rows in ([0], [49], [3, 15, 16, 40], list(range(50))):
        found = artifact.glance("picture", rows)
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
        assert artifact.glance("picture", [row]) is None
    assert holes.glance("picture", [3, 39]) is not None  # row groups without one
    assert holes.take(["picture"], [20, 21])["picture"].to_pylist() == [None, noise(22)[21]]


def test_a_row_of_a_file_that_is_gone_is_damage(tmp_path: Path) -> None:
    artifact = published_pictures(Store(tmp_path), noise(5))
    assert isinstance(artifact.path, Path)
    artifact.path.unlink()
    with pytest.raises(ArtifactDamaged):
        artifact.glance("picture", [0])
