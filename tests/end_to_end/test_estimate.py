"""`fast-diff estimate` forecasts a run before the run starts."""

from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.config.settings import from_mapping
from pipeline.machine.cores import usable
from pipeline.plan.discovery import discover
from tests.end_to_end.driver import Project, make_images


def estimated(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["estimate", str(project.yaml), *words]) == 0
    return {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}


def test_before_a_run_and_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    make_images(tmp_path / "images", 20)
    (tmp_path / "images" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    size = sum(path.stat().st_size for path in (tmp_path / "images").iterdir())
    before = estimated(project, capsys)
    assert not project.run_folder.exists(), "nothing is written"
    assert f"images      21, {size / 1000:.1f} kB; 1 of 21 probed files can't be read" == before["images"]
    assert before["pairs"].startswith("pairs       210, in ")
    assert "in a probe of 21; 1 core)" in before["thumbnails"]
    assert project.run() == 0
    assert "100% of the thumbnails are up to date" in estimated(project, capsys)["thumbnails"]


@pytest.mark.parametrize(("rule", "skipped"), [("across", 15 + 10), ("within", 30)])
def test_pairs_that_folders_exclude(
    tmp_path: Path, rule: str, skipped: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "images" / "one", 6)
    make_images(tmp_path / "images" / "two" / "deep", 5, first=50)
    project = Project(tmp_path, {"pairs": {"folders": rule}})
    assert estimated(project, capsys)["pairs"].endswith(f", {skipped} of them skipped by pairs.folders")
    assert project.run() == 0
    assert project.record()["ledger"]["skipped_by_rule"] == skipped
    project.config["inputs"] = {"a": [str(tmp_path / "images" / "one")], "b": [str(tmp_path / "images" / "two")]}
    if rule == "across":
        assert "skipped" not in estimated(project, capsys)["pairs"]


def test_two_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_images(tmp_path / "images", 6)
    make_images(tmp_path / "more", 5, first=50)
    project = Project(tmp_path)
    project.config["inputs"] = {"a": [str(tmp_path / "images")], "b": [str(tmp_path / "more")]}
    found = estimated(project, capsys)
    assert found["images"].startswith("images      11,")
    assert found["pairs"].startswith("pairs       30, in ")


def test_no_image_is_reported_as_by_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    assert main(["estimate", str(Project(tmp_path).yaml)]) == 2
    assert "no image found in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheduler", "cores"),
    [
        ({"kind": "synchronous"}, 1),
        ({"kind": "local", "workers": 1}, 1),
        ({"kind": "threads", "workers": 1}, 1),
        ({"kind": "slurm", "scale": 40}, 40),
        ({"kind": "address", "address": "tcp://127.0.0.1:1", "min_workers": 3}, 3),
    ],
)
def test_cores_are_those_of_the_config(scheduler: dict[str, object], cores: int, tmp_path: Path) -> None:
    config = from_mapping({"run": "x", "inputs": {"a": [str(tmp_path)]}, "scheduler": scheduler}, discover())
    assert config.scheduler.cores(usable()) == cores
