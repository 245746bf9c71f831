"""Rows of Parquet and Arrow files: names, locations, and the rest of a damaged file."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.decoding import problems
from stages.decoding.containers import OpenContainers
from stages.decoding.problems import Problem, Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.listing.files import find
from stages.listing.image_columns import image_column, row_names
from stages.listing.rules import InputMarks, ListingRules
from stages.listing.stamps import stamps

DATA = [os.urandom(500 + 10 * number) for number in range(30)]
HUGGING = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hugging(data: list[Any] = DATA) -> pa.Table:
    """Return a table of images in the form that the library `datasets` writes."""
    rows = [{"bytes": each, "path": f"d/{number}.jpg"} for number, each in enumerate(data)]
    return pa.table({"label": list(range(len(data))), "image": pa.array(rows, HUGGING)})


def plain(data: list[Any] = DATA) -> pa.Table:
    return pa.table({"id": [f"k{number}" for number in range(len(data))], "jpg": pa.array(data, pa.binary())})


def write_parquet(table: pa.Table, path: Path) -> Path:
    pages = {"use_dictionary": False, "write_batch_size": 3, "data_page_size": 1, "write_page_checksum": True}
    pages |= {"write_statistics": False}
    pq.write_table(table, path, row_group_size=12, compression="none", **pages)
    return path


def write_arrow(table: pa.Table, path: Path, make: Callable[..., Any] = pa.ipc.new_stream) -> Path:
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=12)
    return path


def write_file(table: pa.Table, path: Path) -> Path:
    return write_arrow(table, path, pa.ipc.new_file)


WRITERS = pytest.mark.parametrize(
    ("ending", "write"), [("parquet", write_parquet), ("arrow", write_arrow), ("feather", write_file)]
)


def expected(path: Path, column: str | None = None) -> list[Expected]:
    found = find([str(path)], ListingRules(), InputMarks({str(path): column}) if column else None)
    assert found.locations is not None
    columns = found.paths.to_pylist(), found.sizes.tolist(), stamps(found, "mtime").to_pylist()
    return [Expected(*row) for row in zip(*columns, found.locations.to_pylist(), strict=True)]


def values(files: list[Expected]) -> list[bytes | Problem]:
    cached = OpenContainers()
    cached.expect(files, 10**6)
    found: list[bytes | Problem] = []
    for file in files:
        try:
            found.append(read(file, "mtime", 10**6, cached)[0])
        except Unreadable as error:
            found.append(error.problem)
    cached.close()
    return found


@WRITERS
@pytest.mark.parametrize("table", [hugging, plain])
def test_rows_in_order(ending: str, write: Any, table: Any, tmp_path: Path) -> None:
    path = write(table(), tmp_path / f"a.{ending}")
    files = expected(path)
    names = [file.path.decode().removeprefix(f"{path}!/") for file in files]
    assert names[:2] == (["#00:d%2F0.jpg", "#01:d%2F1.jpg"] if table is hugging else ["#00:k0", "#01:k1"])
    assert values(files) == DATA
    assert values(files[::-1]) == DATA[::-1]
    assert [file.size for file in files] == ([0] * 30 if ending == "parquet" else [len(each) for each in DATA])


@WRITERS
def test_rows_without_bytes(ending: str, write: Any, tmp_path: Path) -> None:
    found = values(expected(write(hugging([*DATA[:3], None, b"", *DATA[3:5]]), tmp_path / f"a.{ending}")))
    unnamed = problems.NO_VALUE if ending == "parquet" else problems.NAMED  # the file has no statistics
    assert found == [*DATA[:3], unnamed, problems.NO_VALUE, *DATA[3:5]]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("rows", [2, 5, 12])
def test_rows_that_only_name_a_file_have_an_error_with_advice(ending: str, rows: int, tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", None, "c.jpg", "", None, "d.jpg"]
    data = [None, None, None, DATA[0], None, b"", DATA[1]]
    found = [{"bytes": each, "path": name} for each, name in zip(data, names, strict=True)]
    table = pa.table({"image": pa.array([*found, None], HUGGING)})
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(table, path, row_group_size=rows)
    else:
        write_arrow(table, path)
    none = problems.NO_VALUE
    assert values(expected(path)) == [problems.NAMED, problems.NAMED, none, DATA[0], none, none, DATA[1], none]


def test_dictionaries_of_an_arrow_file_are_reported(tmp_path: Path) -> None:
    words = pa.array([f"w{number % 3}" for number in range(30)]).dictionary_encode()
    nested = pa.array([[f"w{number % 3}"] for number in range(30)]).cast(
        pa.list_(pa.dictionary(pa.int8(), pa.string()))
    )
    for column in (words, nested):
        for name, write in (("a.arrow", write_arrow), ("b.feather", write_file)):
            path = write(hugging().append_column("kind", column), tmp_path / name)
            assert values(expected(path)) == [problems.DICTIONARY]
        assert values(expected(write_parquet(hugging().append_column("kind", words), tmp_path / "a.parquet"))) == DATA


@WRITERS
def test_the_column_may_be_named(ending: str, write: Any, tmp_path: Path) -> None:
    table = plain().append_column("other", pa.array(DATA[::-1], pa.binary()))
    path = write(table, tmp_path / f"a.{ending}")
    assert values(expected(path)) == DATA
    assert values(expected(path, "other")) == DATA[::-1]
    assert values(expected(path, "absent")) == [problems.NO_COLUMN]
    assert values(expected(write(pa.table({"x": [1]}), path))) == [problems.NO_COLUMN]


@pytest.mark.parametrize("cut", [0, 3, 200, 12_000, -9, -4])
@WRITERS
def test_a_table_that_ends_early(ending: str, write: Any, cut: int, tmp_path: Path) -> None:
    path = write(plain(), tmp_path / f"a.{ending}")
    path.write_bytes(path.read_bytes()[:cut])
    *rows, last = values(expected(path)[::-1])
    if ending == "feather" and cut < 0:  # the directory at the end repeats the entries that were found
        rows, last = [*rows, last], problems.CONTAINER_ENDS
    assert last in (problems.CONTAINER, problems.CONTAINER_ENDS)
    assert rows[::-1] == DATA[: len(rows)]
    assert rows or ending == "parquet" or abs(cut) < 12_000


def test_a_bad_page_costs_the_rows_behind_it(tmp_path: Path) -> None:
    path = write_parquet(plain(), tmp_path / "a.parquet")
    data = bytearray(path.read_bytes())
    at = data.index(DATA[17])
    data[at] ^= 1
    path.write_bytes(data)
    found = values(expected(path))
    assert found[:12] == DATA[:12]
    assert found[24:] == DATA[24:]
    assert found[17] is found[23] is problems.MEMBER_BROKEN
    assert DATA[12] in found


def test_a_compressed_arrow_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(str(path), plain().schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(plain())
    assert set(values(expected(path))) == {problems.METHOD}


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_files_that_are_not_tables(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(os.urandom(3_000))
    assert values(expected(tmp_path / name)) == [problems.CONTAINER]


def test_large_values_and_slices(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array(DATA, pa.large_binary())}).slice(4, 20)
    assert values(expected(write_arrow(table, tmp_path / "a.arrow"))) == DATA[4:24]
    assert values(expected(write_parquet(table, tmp_path / "a.parquet"))) == DATA[4:24]


def test_which_column_holds_images() -> None:
    one = pa.schema([("a", pa.string()), ("blob", pa.binary())])
    found = image_column(one)
    assert found is not None
    assert (found.name, found.key) == ("blob", "")
    assert image_column(pa.schema([("a", pa.binary()), ("b", pa.binary())])) is None
    assert image_column(one, "a") is None


def test_names_sort_like_rows() -> None:
    names = row_names(8, 4, 1_000, ["a/b", None, "%", 7])
    assert names == [b"#008:a%2Fb", b"#009", b"#010:%25", b"#011:7"]
    assert row_names(0, 1, 1, None) == [b"#0"]


def test_offsets_of_a_damaged_arrow_file_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    table = pa.table({"jpg": [b"one", b"two"], "key": ["ab", "cd"]})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    data = path.read_bytes()
    keys = struct.pack("<3i", 0, 2, 4)
    assert data.count(keys) == 1
    path.write_bytes(data.replace(keys, struct.pack("<3i", 0, 2, 1 << 30)))
    assert [file.path for file in expected(path)] == [bytes(path)]
    assert values(expected(path)) == [problems.CONTAINER_ENDS]


def test_damaged_keys_cost_no_image(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"jpg": [b"one", b"two"], "key": ["ab", "cdefg"]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    assert data.count(b"cdefg") == 1
    path.write_bytes(data.replace(b"cdefg", b"cd\xffg\xff"))
    assert [file.path for file in expected(path)] == [bytes(path) + b"!/#0", bytes(path) + b"!/#1"]
    assert values(expected(path)) == [b"one", b"two"]
