"""Matches of two runs side by side."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.cli.main import main
from stages.commands.results.tables import load_run
from tests.end_to_end.driver import Project, make_image

HERE = __name__


def brightness(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2, 3))[:, None].astype(np.float32)


EMBEDDING = {"metric": "embedding", "embedding": f"{HERE}:brightness", "threshold": 4.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Runs by MSE and by mean brightness; the second run has one more image, the first a file that is not an image."""
    folder = tmp_path_factory.mktemp("runs")
    images = folder / "images"
    for seed in range(12):
        make_image(images / f"{seed:02}.jpg", seed)
    Image.open(images / "03.jpg").save(images / "copy.jpg", quality=50)
    Image.open(images / "copy.jpg").save(images / "copy of copy.png")
    (images / "broken.jpg").write_bytes(b"no image")
    first = Project(folder, {"run": "mse"})
    assert first.run() == 0
    make_image(images / "later.jpg", 5)
    second = Project(folder, {"run": "bright", "pairs": EMBEDDING})
    assert second.run() == 0
    return first, second


def pairs(project: Project) -> dict[tuple[str, str], float]:
    rows = load_run(project.run_folder).pairs(expand=True)
    column = "mse" if "mse" in rows else "distance"
    return dict(zip(zip(rows["path_a"], rows["path_b"], strict=True), rows[column], strict=True))


def test_every_match_is_in_the_file_with_both_distances(
    runs: tuple[Project, Project], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.parquet"
    folders = [str(run.run_folder) for run in runs]
    capsys.readouterr()
    assert main(["compare-metrics", *folders, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    of_a, of_b = (pairs(run) for run in runs)
    later = [pair for pair in of_b if any(path.endswith("later.jpg") for path in pair)]
    assert later
    of_b = {pair: distance for pair, distance in of_b.items() if pair not in later}
    rows = pd.read_parquet(out)
    assert rows.columns.to_list() == ["path_a", "path_b", "distance_a", "distance_b", "found_by"]
    keys = list(zip(rows["path_a"], rows["path_b"], strict=True))
    assert keys == sorted(of_a.keys() | of_b.keys())
    for key, row in zip(keys, rows.to_dict("records"), strict=True):
        for distance, of in ((row["distance_a"], of_a), (row["distance_b"], of_b)):
            assert np.isnan(distance) if key not in of else distance == of[key]
        by = "both" if key in of_a and key in of_b else "a" if key in of_a else "b"
        assert row["found_by"] == by
    assert {name: found[f"found_by_{name}"] for name in ("both", "a", "b")} == {
        "both": len(of_a.keys() & of_b.keys()),
        "a": len(of_a.keys() - of_b.keys()),
        "b": len(of_b.keys() - of_a.keys()),
    }
    assert found["found_by_both"] >= 3
    assert found["found_by_b"] >= 1
    assert found["images"] == 14
    assert (found["a"]["left_out"], found["b"]["left_out"]) == (0, 1)
    assert (found["a"]["threshold"], found["b"]["threshold"]) == (200.0, 4.0)
    assert f"by {HERE}:brightness" in found["b"]["about"]


def test_counts_as_text(runs: tuple[Project, Project], capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(run.run_folder) for run in runs]
    capsys.readouterr()
    assert main(["compare-metrics", *folders]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"A         {folders[0]}: 3 matches at 200 (mean squared error between thumbnails)"
    assert said[2:4] == ["images    14 in both runs", "left out  1 image that only B could compare"]
    assert said[4].startswith("both      3 matches")
    assert main(["compare-metrics", *folders[::-1]]) == 0
    turned = capsys.readouterr().out.splitlines()
    assert turned[4] == said[4]
    assert [line[6:] for line in turned[5:7]] == [line[6:] for line in said[6:4:-1]]


def test_a_run_that_records_every_pair_counts_its_clusters_matches(
    runs: tuple[Project, Project], capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = runs
    every = Project(first.folder, first.config | {"run": "every"})
    assert every.run("pairs.threshold=null", "cluster.threshold=200") == 0
    capsys.readouterr()
    assert main(["compare-metrics", str(first.run_folder), str(every.run_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["found_by_both"], found["found_by_a"], found["found_by_b"]) == (3, 0, 0)
    assert found["b"]["threshold"] == 200.0


def test_runs_that_can_not_be_compared_are_one_line(
    runs: tuple[Project, Project], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (str(run.run_folder) for run in runs)
    make_image(tmp_path / "images" / "a.jpg", 1)
    make_image(tmp_path / "images" / "b.jpg", 2)
    other = Project(tmp_path)
    assert other.run() == 0
    (tmp_path / "there.parquet").write_text("mine")
    for words, said in (
        ([first, str(other.run_folder)], "expected runs over the same images, got 0 images in common"),
        ([first, second, "--out", str(tmp_path / "there.parquet")], "exists; choose another name"),
        ([first, second, "--out", str(tmp_path / "there.parquet" / "below")], "can't be written"),
        ([first, str(tmp_path)], "is not a run folder"),
        ([first], "RUN_B"),
    ):
        capsys.readouterr()
        assert main(["compare-metrics", *words]) == 2, words
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert said in lines[0]
    assert (tmp_path / "there.parquet").read_text() == "mine"
