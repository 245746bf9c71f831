import json
from pathlib import Path

import pytest

from stages.listing.layouts import dataset_files, is_of_img2dataset, remote_files

STATE = json.dumps({"_data_files": [{"filename": "b.arrow"}, {"filename": "../x"}, {"filename": 1}, {}]}).encode()
SPLIT = {
    "dataset_dict.json": json.dumps({"splits": ["train", 3]}).encode(),
    "train/state.json": STATE,
    "other/state.json": STATE,
}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"a.arrow": b""}, None),
        ({"state.json": STATE}, ["b.arrow"]),
        ({"state.json": b"{"}, None),
        (SPLIT, ["train/b.arrow"]),
        ({"deep/state.json": STATE}, None),
    ],
)
def test_data_sets_on_a_disk_and_behind_a_url(files: dict[str, bytes], found: list[str] | None, tmp_path: Path) -> None:
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert remote_files(files, files.__getitem__) == found
    local = dataset_files(bytes(tmp_path))
    assert local == (None if found is None else [bytes(tmp_path / name) for name in found])


def test_what_img2dataset_wrote(tmp_path: Path) -> None:
    (tmp_path / "x_stats.json").touch()
    assert not is_of_img2dataset(bytes(tmp_path))
    (tmp_path / "00012_stats.json").touch()
    assert is_of_img2dataset(bytes(tmp_path))
