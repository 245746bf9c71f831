"""Values beside images, wherever images are listed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.config.validate import validator
from stages import scan
from stages.listing.files import find
from stages.listing.rules import ListingRules
from stages.listing.values import folder_values, row_values, split, text_of
from tests.stages.packing import pack

NAMES = ("cls", "caption", "__key__")


def found(path: Path, names: tuple[str, ...] = NAMES) -> dict[str, tuple[str | None, ...]]:
    table = find([str(path)], ListingRules(columns=names))
    columns = [table.values[name].to_pylist() for name in names]
    paths = (name.decode().removeprefix(str(path)).lstrip("!/") for name in table.paths.to_pylist())
    return dict(zip(paths, zip(*columns, strict=True), strict=True))


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip"])
def test_files_beside_images_in_a_container(ending: str, tmp_path: Path) -> None:
    members = {
        "d/0.cls": b"7\n",
        "d/0.jpg": b"image",
        "d/0.json": b'{"caption": "a cat", "cls": 1}',
        "d/1.jpg": b"image",
        "d/1.json": b"no json",
        "1.cls": b"another sample",
        "d/2.seg.png": b"image",
        "d/2.jpg": b"image",
        "d/2.caption": b"\xffwords",
        "d/3.jpg": b"image",
        "d/3.cls": b"x" * 70_000,
    }
    assert found(pack(tmp_path / f"a.{ending}", members)) == {
        "d/0.jpg": ("7", "a cat", "d/0"),
        "d/1.jpg": (None, None, "d/1"),
        "d/2.jpg": (None, "\ufffdwords", "d/2"),
        "d/2.seg.png": (None, "\ufffdwords", "d/2"),
        "d/3.jpg": (None, None, "d/3"),
    }


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_columns_of_tables(ending: str, tmp_path: Path) -> None:
    table = pa.table({"image": [b"one", b"two"], "cls": [3, None], "caption": [["a", "b"], None]})
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    assert found(path) == {"#0": ("3", '["a", "b"]', None), "#1": (None, None, None)}


def test_columns_of_a_list_and_metadata_of_folders(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    rows = [{"file_name": "a.jpg", "cls": 1}, {"file_name": "sub/b.jpg", "cls": 2}, {"file_name": "gone.jpg"}]
    (tmp_path / "images" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    nothing = (None, None, None)
    assert found(tmp_path / "images") == {"a.jpg": ("1", None, None), "c.jpg": nothing, "sub/b.jpg": ("2", None, None)}
    (tmp_path / "l.csv").write_text("path,caption\nimages/a.jpg,words\nimages/gone.jpg,x\n")
    values = list(found(tmp_path / "l.csv").values())
    assert values == [(None, "words", None), nothing]


def test_values_as_text() -> None:
    assert [text_of(each) for each in (None, "a", 1, 1.5, True, b"\xff", {"b": 1, "a": 2}, [1])] == [
        *(None, "a", "1", "1.5", "True", "\ufffd", '{"a": 2, "b": 1}', "[1]")
    ]
    assert row_values(("a", "b"), {"a": 1}) == ("1", None)
    assert split(b"x.y/a.b.C") == (b"x.y/a", "b.c")
    assert folder_values(b"/nowhere", ("a",)) == {}


@pytest.mark.parametrize("columns", [["path"], ["width"], ["location"], ["container"], [""], ["cls", "cls"]])
def test_names_of_columns_are_free(columns: list[Any]) -> None:
    with pytest.raises(ValidationError, match="expected different names that no column of the results has"):
        validator(scan.Params).validate_python({"columns": columns})
