"""`fast-diff export` writes results for other programs."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import create_engine, text

from pipeline import load_run
from pipeline.cli.main import main
from tests.end_to_end.driver import Project, make_image

HOSTILE = "\"<img src=x onerror=alert(1)>\n',.png"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make three pictures, a worse copy of one, two equal pictures under a difficult name, and a broken file."""
    made = Project(tmp_path_factory.mktemp("export"))
    images = made.folder / "images"
    for seed in (1, 2, 3):
        make_image(images / f"{seed}.png", seed)
    Image.open(images / "1.png").save(images / "1.jpg", quality=50)
    (images / HOSTILE).write_bytes((images / "2.png").read_bytes())
    (images / "4.png").write_bytes((images / "2.png").read_bytes())
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert made.run() == 0
    return made


def exported(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["export", str(project.yaml), *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("table", ["pairs", "clusters", "images", "hashes"])
def test_tables_as_text(table: str, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = exported(project, capsys, "--format", "jsonl", "--table", table)
    rows = [json.loads(line) for line in lines.splitlines()]
    assert rows == json.loads(exported(project, capsys, "--format", "json", "--table", table))
    read = list(csv.DictReader(io.StringIO(exported(project, capsys, "--format", "csv", "--table", table))))
    assert [row.keys() for row in read] == [row.keys() for row in rows]
    column = "path_a" if table == "pairs" else "path"
    assert [row[column] for row in read] == [row[column] for row in rows]
    assert len(rows) == {"pairs": 4, "clusters": 5, "images": 7, "hashes": 6}[table]
    assert any(row[column].endswith(HOSTILE) for row in rows)
    assert main(["export", str(project.yaml), "--format", "csv", "--table", table, "--out", str(tmp_path / "t")]) == 0
    assert list(csv.DictReader((tmp_path / "t").read_text().splitlines(keepends=True))) == read
    assert main(["export", str(project.yaml), "--format", "csv", "--out", str(tmp_path / "t")]) == 2
    assert "exists; choose another" in capsys.readouterr().err


def test_the_map_of_imagededup(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(exported(project, capsys, "--format", "imagededup"))
    named = {Path(path).name: [(Path(other).name, far) for other, far in near] for path, near in found.items()}
    assert named["3.png"] == []
    assert "broken.png" not in named
    assert [name for name, _ in named["2.png"]] == sorted(["4.png", HOSTILE])
    ((copy, far),) = named["1.jpg"]
    assert copy == "1.png"
    assert named["1.png"] == [("1.jpg", far)]


def test_the_files_of_difpy(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = exported(project, capsys, "--format", "difpy", "--out", str(tmp_path / "new")).split()
    results, lower, stats = (json.loads(Path(path).read_text()) for path in paths)
    clusters = load_run(project.run_folder).clusters()
    keepers = clusters.loc[clusters["keeper"], "path"].tolist()
    assert list(results) == keepers
    assert sorted(lower) == sorted(clusters.loc[~clusters["keeper"], "path"])
    (copy,) = results[str(project.folder / "images" / "1.png")]
    mse = clusters.loc[clusters["path"] == copy[0], "mse_to_keeper"].iloc[0]
    assert copy[1] == pytest.approx(mse / 3), "difPy divides by pixels, this program by values"
    assert stats["total_files"] == 7
    assert stats["invalid_files"]["count"] == 1
    assert main(["export", str(project.yaml), "--format", "difpy"]) == 2


def test_a_dataset_of_fiftyone(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dataset"
    paths = exported(project, capsys, "--format", "fiftyone", "--out", str(folder)).split()
    assert paths == [str(folder / "metadata.json"), str(folder / "samples.json")]
    metadata, samples = (json.loads(Path(path).read_text()) for path in paths)
    assert "version" not in metadata, "with one, FiftyOne's importer expects ids and a schema of that version"
    assert metadata["media_type"] == "image"
    results = load_run(project.run_folder)
    by_path = {sample["filepath"]: sample for sample in samples["samples"]}
    assert list(by_path) == results.images()["path"].tolist()
    assert all(Path(path).is_file() for path in by_path)
    clusters = results.clusters().set_index("path")
    for path, sample in by_path.items():
        row = clusters.loc[path] if path in clusters.index else {}
        assert [sample.get(name) for name in ("cluster", "keeper", "mse_to_keeper")] == [
            row.get(name) for name in ("cluster", "keeper", "mse_to_keeper")
        ]
        assert ("duplicate" in sample["tags"]) == (sample.get("keeper") is False)
    labels = {
        (path, label["label"], label["mse"])
        for path, sample in by_path.items()
        for label in sample.get("matches", {"classifications": []})["classifications"]
    }
    pairs = results.pairs(expand=True)[["path_a", "path_b", "mse"]].itertuples(index=False, name=None)
    assert labels == {row for a, b, far in pairs for row in ((a, b, far), (b, a, far))}
    broken = by_path[str(project.folder / "images" / "broken.png")]
    assert (broken["tags"], broken["error"]) == (["unreadable"], "not-an-image")
    assert by_path[str(project.folder / "images" / "3.png")]["metadata"]["width"] == 96
    assert main(["export", str(project.yaml), "--format", "fiftyone", "--out", str(folder)]) == 2
    assert "exists; choose another" in capsys.readouterr().err
    assert main(["export", str(project.yaml), "--format", "fiftyone"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("name a folder with --out FOLDER")


def test_turns_references_and_names_that_a_dataset_of_fiftyone_cannot_hold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    project = Project(
        tmp_path, {"inputs": {"a": [str(tmp_path / "images"), {"path": str(tmp_path / "old"), "reference": True}]}}
    )
    first = make_image(tmp_path / "images" / "1.png", 1)
    with Image.open(first) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "images" / "turned.png")
        (tmp_path / "old").mkdir()
        picture.resize((48, 36)).save(tmp_path / "old" / "small.png")
        picture.save(tmp_path / "old" / "whole.png")
    shutil.copy(first, os.fsdecode(os.fsencode(tmp_path / "images") + b"/\xff.png"))
    assert project.run() == 0
    said = exported(project, capsys, "--format", "fiftyone", "--out", str(tmp_path / "out"))
    assert said.splitlines()[2:] == ["left out: 1 image at URLs, inside containers, or with names that are not UTF-8"]
    samples = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"]
    by_name = {Path(sample["filepath"]).name: sample for sample in samples}
    assert {name: sample["tags"] for name, sample in by_name.items()} == {
        "1.png": ["duplicate"],
        "turned.png": ["duplicate"],
        "small.png": [],
        "whole.png": [],
    }
    for name, other, turn in (("1.png", "turned.png", 270), ("turned.png", "1.png", 90)):
        (label,) = [each for each in by_name[name]["matches"]["classifications"] if Path(each["label"]).name == other]
        assert label["rotation"] == turn, "the counter-clockwise angle by which the other image is turned to match"


def test_mirrored_images_are_marked_in_every_format(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    project = Project(tmp_path, {"pairs": {"mirror": True}})
    with Image.open(make_image(tmp_path / "images" / "1.png", 1)) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "images" / "2.png")
        picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "images" / "3.png")
    assert project.run() == 0
    rows = {
        (Path(row["path_a"]).stem, Path(row["path_b"]).stem): row
        for row in json.loads(exported(project, capsys, "--format", "json"))
    }
    assert {pair: row["mirrored"] for pair, row in rows.items()} == {
        ("1", "2"): True,
        ("1", "3"): False,
        ("2", "3"): True,
    }
    hashes = json.loads(exported(project, capsys, "--format", "json", "--table", "hashes"))
    assert hashes[0]["hash_0"] == hashes[1]["hash_mirrored_0"] != hashes[0]["hash_mirrored_0"]
    exported(project, capsys, "--format", "fiftyone", "--out", str(tmp_path / "out"))
    samples = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"]
    for sample in samples:
        one = Path(sample["filepath"]).stem
        for label in sample["matches"]["classifications"]:
            other = Path(label["label"]).stem
            row = rows[min(one, other), max(one, other)]
            back = row["rotation"] if row["mirrored"] or one < other else -row["rotation"] % 360
            assert (label["rotation"], label["mirrored"]) == (back, row["mirrored"])


def test_the_page_runs_and_loads_nothing(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    page = exported(project, capsys, "--format", "html-table")
    assert "default-src 'none'" in page
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert page.count("<tr>") == 5


def test_tables_of_a_database(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    assert exported(project, capsys, "--to", url).split("\n")[0] == "images      7 rows"
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.execute(text("select path from images where error is not null")).scalars().all()
        assert [Path(name).name for name in names] == ["broken.png"]
        joined = "select count(*) from pairs join hashes on path_a = hashes.path join images on path_b = images.path"
        assert connection.execute(text(joined)).scalar() == len(load_run(project.run_folder).pairs())
        worst = connection.execute(text("select path from clusters where keeper = 0 order by mse_to_keeper")).scalars()
        assert Path(worst.all()[-1]).name == "1.jpg"
    engine.dispose()
    assert main(["export", str(project.yaml), "--to", url]) == 2
    assert "already has tables clusters, hashes, images, pairs; --replace" in capsys.readouterr().err
    assert "pairs" in exported(project, capsys, "--to", url, "--replace")


def test_a_database_that_is_not_there_is_one_line_without_its_password(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("psycopg", "psycopg2", "pymysql"):
        monkeypatch.setitem(sys.modules, module, None)
    for url, said in (
        ("nonsense://me:hush@host/x", "see SQLAlchemy's URLs"),
        (f"sqlite:///{tmp_path}/no/folder/x.db", "unable to open database file"),
        ("not a url", "see SQLAlchemy's URLs"),
        ("postgresql://me:hush@host/x", "needs a driver that is missing here: "),
        ("postgresql+psycopg2://me:hush@host/x", " psycopg2-binary"),
        ("mariadb+pymysql://me:hush@host/x", " PyMySQL"),
    ):
        assert main(["export", str(project.yaml), "--to", url]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("fast-diff: --to: ")
        assert said in line
        assert "hush" not in line
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert main(["export", str(project.yaml), "--to", "sqlite:///x.db"]) == 2
    assert capsys.readouterr().err.endswith("'.[sql]'\n")
