"""Folders of a run that share images: the table for pandas, and the command."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.messages.errors import ConfigError
from tests.end_to_end.driver import Project, make_image


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a phone, a backup of some of its images in two folders, a folder with more, and an unreadable folder."""
    made = Project(tmp_path_factory.mktemp("folders"))
    images = made.folder / "images"
    for seed in range(6):
        make_image(images / "phone" / "DCIM" / f"{100 + seed // 3}" / f"{seed}.jpg", seed)
    for seed, place in ((0, "2014"), (1, "2014"), (4, "2015")):
        copy = images / "backup" / place / f"copy {seed}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(images / "phone" / "DCIM" / f"{100 + seed // 3}" / f"{seed}.jpg", copy)
    make_image(images / "more" / "own.jpg", 50)
    make_image(images / "more" / "5.png", 5)
    (images / "broken").mkdir()
    shutil.copy2(images / "phone" / "DCIM" / "100" / "2.jpg", images / "broken" / "2.jpg")
    (images / "broken" / "bad.jpg").write_bytes(b"no image")
    assert made.run() == 0
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["folders", *words]) == code, words
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_the_table(project: Project) -> None:
    table = load_run(project.run_folder).folders()
    assert table.equals(pd.read_parquet(project.run_folder / "report" / "folders.parquet"))
    images = f"{project.folder}/images"
    rows = table.set_index(["folder_a", "folder_b"])
    one = rows.loc[f"{images}/backup", f"{images}/phone/DCIM"]
    assert one[["images_a", "shared_a", "identical_a", "contained_a"]].tolist() == [3, 3, 3, True]
    assert one[["images_b", "shared_b", "alone_b", "contained_b"]].tolist() == [6, 3, 1, False]
    broken = rows.loc[f"{images}/broken", f"{images}/phone/DCIM/100"]
    assert broken[["images_a", "shared_a", "unreadable_a", "contained_a"]].tolist() == [1, 1, 1, False]
    assert list(pd.read_parquet(project.run_folder / "cluster"))[:2] == ["cluster", "path"]


def test_a_contained_tree_is_reported_once_at_its_top(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, str(project.run_folder))
    images = f"{project.folder}/images"
    (line,) = [line for line in text.splitlines() if line.startswith("contained")]
    assert line.startswith(
        f"contained   all 3 images of {images}/backup are in {images}/phone/DCIM (3 identical, 0 near, "
    )
    assert line.endswith(": removable")
    assert f"pair        {images}/backup/2014 | {images}/phone/DCIM/100" in text
    assert f"unreadable  {images}/broken/bad.jpg: no folder with this image is proved contained" in text


def test_folders_asked_for(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run, images = str(project.yaml), f"{project.folder}/images"
    text = said(capsys, run, "DCIM", f"{images}/backup")
    assert text.count("pair  ") == 3
    assert f"pair        {images}/phone/DCIM | {images}/backup\n" in text
    assert "   50 %  3 of 6 images of the first are in the second (3 identical, 0 near, " in text
    assert "  100 %  3 of 3 images of the second are in the first" in text
    found = json.loads(said(capsys, run, "more", "--json"))
    assert [(row["folder_a"], row["folder_b"], row["near_a"]) for row in found["pairs"]] == [
        (f"{images}/more", f"{images}/phone/DCIM/101", 1)
    ]
    assert found["contained"] == found["unreadable"] == []
    assert said(capsys, run, "more", "backup") == f"no image of {images}/more matches an image of {images}/backup\n"
    assert json.loads(said(capsys, run, "more", "backup", "--json"))["pairs"] == []
    assert "nothing is not a folder with images of this run" in said(capsys, run, "nothing", code=2)


def test_a_missing_or_damaged_table_is_named(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(project.run_folder, tmp_path / "run")
    table = tmp_path / "run" / "report" / "folders.parquet"
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)
    assert "folders.parquet is damaged; delete it" in said(capsys, str(tmp_path / "run"), code=2)
    table.unlink()
    with pytest.raises(ConfigError, match=r"has no report/folders\.parquet yet; run `fast-diff run` again first"):
        load_run(tmp_path / "run").folders()


def test_a_check_keeps_to_the_rule_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new image in a folder of the run is compared within that folder, or with the other folders. An image
    elsewhere counts as lying in another folder than all images of the run."""
    made = Project(tmp_path, {"pairs": {"folders": "within"}})
    images = tmp_path / "images"
    for folder, seed in (("one", 1), ("one/deep", 2), ("two", 1), ("two", 3)):
        make_image(images / folder / f"{seed}.jpg", seed)
    assert made.run() == 0
    assert load_run(made.run_folder).pairs().empty
    new = images / "one" / "new.jpg"
    shutil.copy2(images / "one" / "1.jpg", new)
    shutil.copy2(images / "one" / "1.jpg", tmp_path / "inbox.jpg")

    def matches(path: Path, code: int) -> list[str]:
        assert main(["check", str(path), "--against", str(made.run_folder), "--json"]) == code
        return [row["old"] for row in json.loads(capsys.readouterr().out)["matches"]]

    assert matches(new, 3) == [f"{images}/one/1.jpg"]
    assert main(["check", str(tmp_path / "inbox.jpg"), "--against", str(made.run_folder)]) == 2
    assert "pairs.folders: within compares nothing" in capsys.readouterr().err
    new.unlink()
    assert made.run("pairs.folders=across") == 0
    assert len(load_run(made.run_folder).pairs()) == 1
    shutil.copy2(images / "one" / "1.jpg", new)
    assert matches(new, 3) == [f"{images}/two/1.jpg"]
    assert sorted(matches(tmp_path / "inbox.jpg", 3)) == [f"{images}/one/1.jpg", f"{images}/two/1.jpg"]
    assert main(["verify", str(made.run_folder), "--quiet"]) == 0


def test_within_compares_nothing_across_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Project(tmp_path, {"pairs": {"folders": "within"}})
    for name in ("images", "more"):
        make_image(tmp_path / name / "1.jpg", 1)
    made.config["inputs"] = {"a": [str(tmp_path / "images")], "b": [str(tmp_path / "more")]}
    assert made.run() == 2
    assert "pairs.folders: within compares nothing, since no folder of inputs.a has images" in capsys.readouterr().err


def test_a_deleted_table_is_made_again(project: Project) -> None:
    table = project.run_folder / "report" / "folders.parquet"
    before = table.read_bytes()
    table.unlink()
    assert project.run() == 0
    assert project.ran() == {"plot": 1}
    assert table.read_bytes() == before
