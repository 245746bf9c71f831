"""Runs with `thumbnail.trim: borders`: framed copies are found, and every command knows what was cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from pipeline import load_run
from pipeline.cli.main import main
from tests.end_to_end.driver import Project, make_image

NAMES = {"letterbox.jpg": ((0, 40, 0, 40), "black"), "margins.png": ((20, 30, 25, 35), "white")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A photograph, two framed copies, a blank page and another photograph."""
    made = Project(tmp_path, {"thumbnail": {"trim": "borders"}})
    with Image.open(make_image(tmp_path / "images" / "photo.png", 3, (200, 150))) as image:
        for name, (frame, colour) in NAMES.items():
            ImageOps.expand(image, frame, colour).save(tmp_path / "images" / name, quality=90)
    Image.new("RGB", (50, 50), "white").save(tmp_path / "images" / "blank.png")
    make_image(tmp_path / "images" / "other.png", 4, (200, 150))
    return made


def matched(project: Project) -> set[tuple[str, str]]:
    rows = load_run(project.run_folder).pairs(expand=True)
    return {(Path(a).name, Path(b).name) for a, b in zip(rows["path_a"], rows["path_b"], strict=True)}


def test_framed_copies_match_where_borders_are_cut(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    assert matched(project) == {
        ("letterbox.jpg", "margins.png"),
        ("letterbox.jpg", "photo.png"),
        ("margins.png", "photo.png"),
    }
    images = load_run(project.run_folder).images()
    images.index = images["path"].map(lambda path: Path(path).name)
    boxes = images[["box_left", "box_top", "box_right", "box_bottom"]]
    assert boxes.loc["margins.png"].tolist() == [20, 30, 220, 180]
    assert abs(boxes.loc["letterbox.jpg"] - [0, 40, 200, 190]).max() <= 1
    assert boxes.loc["blank.png"].tolist() == [0, 0, 50, 50]
    assert boxes.loc["photo.png"].tolist() == [0, 0, 200, 150]
    assert (images.loc["margins.png", "width"], images.loc["margins.png", "height"]) == (245, 215)
    assert main(["verify", str(project.run_folder), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["export", str(project.run_folder), "--format", "json", "--table", "images"]) == 0
    assert {"box_left", "box_bottom"} <= json.loads(capsys.readouterr().out)[0].keys()
    url = f"sqlite:///{project.folder / 'tables.db'}"
    assert main(["export", str(project.run_folder), "--to", url]) == 0


def test_new_framed_files_are_checked_against_a_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    with Image.open(project.folder / "images" / "other.png") as image:
        (project.folder / "new").mkdir()
        ImageOps.expand(image, (50, 0, 50, 0), "black").save(project.folder / "new" / "bars.png")
    capsys.readouterr()
    against = ["--against", str(project.run_folder), "--json", "--quiet"]
    assert main(["check", str(project.folder / "new"), *against]) == 3
    (match,) = json.loads(capsys.readouterr().out)["matches"]
    assert Path(match["old"]).name == "other.png"


def test_only_the_key_decides_and_other_artifacts_are_restored(project: Project) -> None:
    assert project.run() == 0
    assert project.run("thumbnail.trim=none") == 0
    assert matched(project) == set()
    assert "box_left" not in load_run(project.run_folder).images()
    assert project.run("thumbnail.trim=borders") == 0
    assert project.decoded() == 0, "the earlier artifacts are taken back"
    assert len(matched(project)) == 3
