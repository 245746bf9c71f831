"""Lists of images: the images that they name, and the message if they name none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stages.decoding.location import location_of
from stages.listing.files import find
from stages.listing.lists import NoColumn, listings
from stages.listing.rules import InputMarks, ListingRules

HERE = Path("/data")


def names(folder: Path, name: str, text: str, column: str | None = None, base: str | None = None) -> list[str]:
    path = folder / name
    path.write_bytes(os.fsencode(text))
    found = (os.fsdecode(entry.name) for entry in listings(os.fsencode(path), column, base))
    return [each.replace(str(folder), "HERE") for each in found]


COCO = {"images": [{"id": 1, "file_name": "a.jpg", "coco_url": "http://x/a.jpg"}], "annotations": [{"image_id": 1}]}


@pytest.mark.parametrize(
    ("name", "text", "column", "found"),
    [
        ("a.csv", "path,label\na.jpg,1\n/b.jpg,2\n,3\n", None, ["HERE/a.jpg", "/b.jpg"]),
        ("a.csv", "label,where\n1,a.jpg\n", "where", ["HERE/a.jpg"]),
        ("a.tsv", "url\tx\nhttp://h/a.jpg\t1\n", None, ["http://h/a.jpg"]),
        ("a.txt", "a.jpg\n\nsub/../b.jpg\r\nfile:///c d.jpg\n", None, ["HERE/a.jpg", "HERE/b.jpg", "/c d.jpg"]),
        ("a.jsonl", '{"file_name": "a.jpg"}\n\n{"file_name": "b.jpg"}\n', None, ["HERE/a.jpg", "HERE/b.jpg"]),
        ("a.json", json.dumps(COCO), None, ["HERE/a.jpg"]),
        ("a.json", json.dumps(COCO), "coco_url", ["http://x/a.jpg"]),
        ("a.json", '["a.jpg", {"path": "b.jpg"}]', None, ["HERE/a.jpg", "HERE/b.jpg"]),
        ("a.txt", "\udcff.jpg\n", None, ["HERE/\udcff.jpg"]),
    ],
)
def test_images_that_a_list_names(name: str, text: str, column: str | None, found: list[str], tmp_path: Path) -> None:
    assert names(tmp_path, name, text, column) == found


def test_relative_paths_may_have_another_folder(tmp_path: Path) -> None:
    assert names(tmp_path, "a.csv", "path\na.jpg\n", None, "/elsewhere") == ["/elsewhere/a.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "column", "error"),
    [
        ("a.csv", "x,y\n1,2\n", None, NoColumn),
        ("a.csv", "path\na.jpg\n", "other", NoColumn),
        ("a.json", "{}", None, ValueError),
        ("a.json", "{", None, ValueError),
        ("a.jsonl", "1\n", None, ValueError),
        ("a.json", "[" * 100_000, None, RecursionError),
    ],
)
def test_a_list_that_names_nothing(name: str, text: str, column: str | None, error: type, tmp_path: Path) -> None:
    with pytest.raises(error):
        names(tmp_path, name, text, column)


def listed(path: Path, **marks: Any) -> dict[str, str | None]:
    """Return each image with the problem that its listing found."""
    found = find([str(path)], ListingRules(), InputMarks(**marks))
    places = found.locations.to_pylist() if found.locations is not None else [None] * len(found)
    return {
        path.decode(): location_of(path, place).problem.code if place else None
        for path, place in zip(found.paths.to_pylist(), places, strict=True)
    }


def test_images_of_a_list_are_files_of_their_own(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.dat"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "l.csv").write_text("path\na.jpg\nb.dat\ngone.jpg\na.jpg\n")
    assert listed(tmp_path / "l.csv") == {
        f"{tmp_path}/a.jpg": None,
        f"{tmp_path}/b.dat": None,
        f"{tmp_path}/gone.jpg": "unreadable",
    }


@pytest.mark.parametrize(("name", "text"), [("l.csv", "x\n1\n"), ("l.json", "{"), ("l.jsonl", '{"path": "a"}\n{')])
def test_a_broken_list_is_a_row(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert listed(tmp_path / name)[f"{tmp_path / name}"] == "container"


def test_a_list_in_a_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path\na.jpg\n")
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert listed(tmp_path) == {f"{tmp_path}/a.jpg": None}
