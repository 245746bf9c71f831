"""Lists without some rows: remaining rows are unchanged to the byte."""

import json
from pathlib import Path

import pytest

from stages.filtering.lists import ImageList, write_list
from stages.filtering.outcome import Refused, Rewritten


def written(path: Path, *names: str, column: str | None = None, folder: str | None = None) -> tuple[Rewritten, bytes]:
    removed = frozenset(name.encode() for name in names)
    target = path.parent / "out" / path.name
    return write_list(ImageList(bytes(path), column, folder), removed, target), target.read_bytes()


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv(ends: str, tmp_path: Path) -> None:
    lines = [
        "id,image,text",
        '1,"/x/a, b.jpg","say ""hi""',
        'on two lines"',
        "",
        "2,/x/c.jpg,'",
        "3,,",
        "4,/x/c.jpg,last",
    ]
    path = tmp_path / "x.csv"
    path.write_bytes(ends.join(lines).encode() + b"\xff" + ends.encode())
    assert written(path) == (Rewritten(3, 3), path.read_bytes())
    assert written(path, "/x/a, b.jpg")[1] == ends.join([lines[0], *lines[3:]]).encode() + b"\xff" + ends.encode()
    done, left = written(path, "/x/c.jpg", column="image")
    assert done == Rewritten(3, 1, 2)
    assert left == ends.join([*lines[:4], lines[5], ""]).encode()
    path = path.rename(tmp_path / "x.tsv")
    path.write_text("path\ttext\n/x/1.jpg\ta,b\n/x/2.jpg\tc\n")
    assert written(path, "/x/2.jpg")[1] == b"path\ttext\n/x/1.jpg\ta,b\n"


def test_lines_of_json_and_of_text(tmp_path: Path) -> None:
    rows = ['{"url":"https://x/a.jpg",  "n": 1.50}', "", '{"url": "b.jpg"}', '"c.jpg"']
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(rows))
    done, left = written(path, "https://x/a.jpg")
    assert (done[:3], left) == ((3, 2, 1), "\n".join(rows[1:]).encode())
    assert f"relative paths in the list begin at {tmp_path};" in done.note
    done, left = written(path, f"{tmp_path}/c.jpg")
    assert left == "\n".join([*rows[:3], ""]).encode()
    path = tmp_path / "x.txt"
    path.write_bytes(b"/x/a.jpg\r\n\xff.jpg\n\n/x/b.jpg")
    done, left = written(path, "/x/b.jpg", folder="/y")
    assert (done[:3], left) == ((3, 2, 1), b"/x/a.jpg\r\n\xff.jpg\n\n")
    assert "begin at /y;" in done.note


def test_json_of_coco_and_a_plain_list(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    data = {
        "licenses": ["ä"],
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}, {"id": 3}],
        "annotations": [{"image_id": 1}, {"image_id": 2, "bbox": [0.1, 2]}, {"image_id": 3}, {"id": 4}],
    }
    path.write_text(json.dumps(data))
    done, left = written(path, "/y/a.jpg", folder="/y")
    assert done[:4] == (3, 1, 1, 1)
    expected = {**data, "images": data["images"][1:], "annotations": data["annotations"][1:]}
    assert json.loads(left) == expected
    path.write_text(json.dumps(["/x/a.jpg", {"path": "/x/b.jpg", "n": 1}, "/x/c.jpg"]))
    done, left = written(path, "/x/b.jpg")
    assert (done, json.loads(left)) == (Rewritten(3, 2, 1), ["/x/a.jpg", "/x/c.jpg"])


def test_a_file_that_is_not_a_list_is_refused(tmp_path: Path) -> None:
    for name, text in (("x.json", "{}"), ("x.jsonl", "{"), ("y.json", "[" * 100_000), ("z.json", "no")):
        (tmp_path / name).write_text(text)
        with pytest.raises(Refused, match="can't be read"):
            written(tmp_path / name, "/x/a.jpg")
    assert not list((tmp_path / "out").iterdir())
