"""Parquet and Arrow files without some rows: row groups, settings, metadata, damage."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.decoding.opened_file import OpenedFile
from stages.filtering.arrow import count_arrow, rewrite_arrow
from stages.filtering.outcome import Refused, Removal, Rewritten
from stages.filtering.parquet import count_parquet, rewrite_parquet, writer_options

ROWS = 40
KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(rows: int = ROWS) -> pa.Table:
    """Return rows of many types; images are 3,000 random bytes, some are missing."""
    generator = random.Random(7)
    images: list[Any] = [{"bytes": generator.randbytes(3_000), "path": f"{number}, ü\n.jpg"} for number in range(rows)]
    images[2], images[5]["path"], images[6]["bytes"] = None, None, None
    columns = {
        "image": pa.array(images, KIND),
        "label": pa.array([number % 3 for number in range(rows)], pa.uint16()),
        "words": pa.array([None if number % 4 == 0 else ["a", None][: number % 3] for number in range(rows)]),
        "kind": pa.array([("cat", "dog")[number % 2] for number in range(rows)]).dictionary_encode(),
        "when": pa.array(np.arange(rows) * 1_000_003, pa.timestamp("us", "Europe/Berlin")),
        "pairs": pa.array([[("k", number)] for number in range(rows)], pa.map_(pa.string(), pa.int64())),
    }
    fields = [pa.field(name, values.type, metadata={"about": name}) for name, values in columns.items()]
    return pa.Table.from_arrays(
        list(columns.values()), schema=pa.schema(fields, {"huggingface": '{"info": 1}', "x": "y"})
    )


def rewritten(path: Path, *rows: int, names: list[str] | None = None) -> tuple[Rewritten, bytes]:
    function = rewrite_parquet if path.suffix == ".parquet" else rewrite_arrow
    opened, out = OpenedFile(bytes(path)), io.BytesIO()
    found = names or [f"#{row:02}" + (f":{row}, ü\n.jpg" if row != 5 else "") for row in rows]
    try:
        done = function(opened, Removal(frozenset(name.encode() for name in found), lambda name: True), out)
    finally:
        opened.close()
    return done, out.getvalue()


def without(rows: pa.Table, *gone: int) -> pa.Table:
    return rows.take([number for number in range(len(rows)) if number not in gone])


SETTINGS = [
    {"compression": "zstd", "version": "2.6"},
    {"compression": {"image.bytes": "none", "label": "gzip", "kind": "brotli", "when": "lz4"}, "version": "1.0"},
    {"compression": "snappy", "use_dictionary": ["kind"], "write_statistics": ["label"], "write_page_index": True},
    {"compression": "none", "use_dictionary": False, "write_statistics": False, "write_page_checksum": True},
    {"use_dictionary": ["kind"], "column_encoding": {"label": "DELTA_BINARY_PACKED", "image.path": "DELTA_BYTE_ARRAY"}},
    {"use_dictionary": False, "column_encoding": {"when": "BYTE_STREAM_SPLIT"}},
    {"use_deprecated_int96_timestamps": True, "sorting_columns": [pq.SortingColumn(1)], "store_schema": False},
]


def test_metadata_of_the_footer_alone_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pq.ParquetWriter(path, table().schema) as writer:
        writer.write_table(table())
        writer.add_key_value_metadata({"late": "ü", "x": "y"})
    _, data = rewritten(path, 0)
    before, after = (pq.ParquetFile(each) for each in (path, pa.BufferReader(data)))
    assert before.metadata.metadata[b"late"] == "ü".encode()
    assert {**after.metadata.metadata, b"ARROW:schema": b""} == {**before.metadata.metadata, b"ARROW:schema": b""}
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_rows_and_settings_stay(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(table(), path, row_group_size=8, **settings)
    gone = (0, 5, *range(16, 24), 39)
    done, data = rewritten(path, *gone)
    assert done == Rewritten(ROWS, ROWS - len(gone), len(gone))
    before, after = pq.ParquetFile(path), pq.ParquetFile(pa.BufferReader(data))
    rows = without(before.read(), *gone)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.read().to_pydict() == rows.to_pydict()
    groups = [after.metadata.row_group(number).num_rows for number in range(after.metadata.num_row_groups)]
    assert groups == [6, 8, 8, 7], "the third row group has lost all its rows"
    assert writer_options(after.metadata) == writer_options(before.metadata)
    assert after.schema.equals(before.schema)
    codecs = [
        {
            column.path_in_schema: (column.compression, column.encodings)
            for number in range(file.metadata.num_columns)
            if (column := file.metadata.row_group(0).column(number))
        }
        for file in (before, after)
    ]
    assert codecs[0] == codecs[1]
    assert (after.metadata.metadata or {}).items() >= (before.schema_arrow.metadata or {}).items()
    assert (b"huggingface" in (before.schema_arrow.metadata or {})) == settings.get("store_schema", True)


def test_no_row_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    some = pa.table({"jpg": [b"1", b"2"], "id": [7, 8]})
    pq.write_table(some, path)
    done, data = rewritten(path, names=["#0:7", "#1:8"])
    assert done == Rewritten(2, 0, 2)
    assert pq.read_table(pa.BufferReader(data)).equals(some[:0])
    with pytest.raises(Refused, match="not in the container"):
        rewritten(path, names=["#2:9"])


def test_a_damaged_page_costs_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(table(), path, row_group_size=20, compression="none", use_dictionary=False, write_page_checksum=True,
                   write_statistics=False, data_page_size=6_000, write_batch_size=1)  # fmt: skip
    data = bytearray(path.read_bytes())
    at = data.index(table()["image"][30].as_py()["bytes"])
    data[at + 9] ^= 255
    path.write_bytes(data)
    done, result = rewritten(path, 1, 25, 38)
    assert done.members == ROWS == done.kept + done.images + done.unreadable
    assert 1 <= done.unreadable <= 12
    assert f"{done.unreadable:,} rows after damaged pages" in done.note
    left = pq.read_table(pa.BufferReader(result))
    assert left.equals(without(table()[: ROWS - done.unreadable], 1, 25))


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_files_and_streams(stream: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    some = table().drop_columns("kind")  # the listing does not read dictionaries
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), some.schema) as writer:
        writer.write_table(some, max_chunksize=8)
    gone = (0, 5, *range(16, 24), 39)
    done, data = rewritten(path, *gone)
    assert done == Rewritten(ROWS, ROWS - len(gone), len(gone))
    (tmp_path / "out.arrow").write_bytes(data)
    assert count_arrow(tmp_path / "out.arrow") == done.kept
    reader = (pa.ipc.open_stream if stream else pa.ipc.open_file)(data)
    left = reader.read_all()
    assert left.equals(without(some, *gone), check_metadata=True)
    assert [len(chunk) for chunk in left.column(0).chunks] == [6, 8, 8, 7]


def test_a_cut_arrow_stream_keeps_its_first_batches(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    some = table().drop_columns("kind")
    with pa.ipc.new_stream(str(path), some.schema) as writer:
        writer.write_table(some, max_chunksize=8)
    path.write_bytes(path.read_bytes()[:70_000])
    opened, out = OpenedFile(bytes(path)), io.BytesIO()
    names = frozenset(["#01:1, ü\n.jpg".encode()])
    done = rewrite_arrow(opened, Removal(names, lambda name: True), out)
    opened.close()
    assert done == Rewritten(16, 15, 1, note="damaged: rows after the first 16 can't be read")
    assert pa.ipc.open_stream(out.getvalue()).read_all().equals(without(some[:16], 1))


def test_rows_are_counted(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "x.parquet", row_group_size=7)
    assert count_parquet(tmp_path / "x.parquet") == ROWS
