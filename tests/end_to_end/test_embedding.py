"""Runs that compare vectors of an ONNX model: stale tasks, images without a vector, commands after the run."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli.main import main
from pipeline.config.settings import load, plain
from pipeline.plan.discovery import discover
from stages.commands.results.tables import load_run
from tests.end_to_end.driver import Project, make_image
from tests.stages.vectors.models import layers, means

COSINE = {"metric": "embedding", "embedding_distance": "cosine", "threshold": 0.002}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make twelve pictures, a turned one, a smaller one, and a black image, for which the model gives no direction."""
    images = tmp_path / "images"
    for seed in range(12):
        make_image(images / f"{seed:02}.jpg", seed, (192, 192))
    Image.open(images / "03.jpg").rotate(90).save(images / "turned.png")
    Image.open(images / "05.jpg").resize((120, 120)).save(images / "small.png")
    Image.new("RGB", (50, 50)).save(images / "black.png")
    model = means(tmp_path / "net.onnx")
    return Project(tmp_path, {"pairs": COSINE | {"embedding": f"onnx:{model}"}})


def stages(project: Project) -> dict[str, tuple[int, int]]:
    """Return the numbers of tasks that ran and of current tasks, by stage."""
    record = json.loads((project.run_folder / "run.json").read_text())
    return {name: (each["tasks_run"], each["tasks_skipped"]) for name, each in record["stages"].items()}


def found(project: Project) -> set[tuple[str, str, int]]:
    rows = load_run(project.run_folder).pairs(expand=True)
    names = zip(rows["path_a"], rows["path_b"], rows["rotation"], strict=True)
    return {(Path(a).stem, Path(b).stem, turn) for a, b, turn in names}


def test_near_duplicates_are_found_and_nothing_runs_twice(project: Project) -> None:
    assert project.run() == 0
    assert found(project) == {("03", "turned", 270), ("05", "small", 0)}
    record = json.loads((project.run_folder / "run.json").read_text())
    assert record["vectors"] == {"images": 15, "failed": 1, "errors": {"no-vector": 1}}
    assert record["ledger"]["skipped_by_rule"] == 14  # the image without a vector, with each other image
    ran = stages(project)["embed"][0]
    assert ran == stages(project)["thumbnail"][0] > 1
    assert project.run() == 0
    assert {run for run, _ in stages(project).values()} == {0}


def test_a_grown_folder_gives_the_results_of_a_fresh_run(project: Project) -> None:
    assert project.run() == 0
    make_image(project.folder / "images" / "new.jpg", 99)
    assert project.run() == 0
    assert stages(project)["embed"][0] <= 2
    alone = Project(project.folder / "alone", project.config | {"output": str(project.folder / "alone")})
    assert alone.run() == 0
    for stage in ("embed", "index", "pairs", "cluster"):
        made, fresh = (sorted((each.run_folder / stage).glob("*.parquet")) for each in (project, alone))
        assert [path.name for path in made] == [path.name for path in fresh]
        assert [path.read_bytes() for path in made] == [path.read_bytes() for path in fresh]


@pytest.mark.slow
def test_the_models_content_counts_and_not_its_place(project: Project) -> None:
    assert project.run() == 0
    first = found(project)
    moved = project.folder / "moved.onnx"
    shutil.move(project.folder / "net.onnx", moved)
    assert project.run(f"pairs.embedding=onnx:{moved}") == 0
    assert stages(project)["embed"][0] == 0
    (project.folder / "moved.yaml").write_text("mean: 127.5\nscale: 0.01\n")
    assert project.run(f"pairs.embedding=onnx:{moved}") == 0
    assert stages(project)["embed"][1] == 0
    assert found(project) == first  # centred, two of these pictures still do not match
    layers(moved)
    assert project.run(f"pairs.embedding=onnx:{moved}", "embed.size=[48, 48]") == 0
    assert stages(project)["embed"][1] == 0


def test_a_relative_model_is_found_from_anywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    assert project.run("pairs.embedding=onnx:net.onnx") == 0
    monkeypatch.chdir("/")
    assert main(["check", str(project.folder / "images" / "05.jpg"), "--against", str(project.run_folder)]) == 0


@pytest.mark.slow
def test_without_embedding_the_stage_leaves_nothing(project: Project) -> None:
    plain = Project(project.folder, project.config | {"pairs": {}, "run": "plain"})
    assert plain.run() == 0
    assert not (plain.run_folder / "embed").exists()
    assert stages(plain)["embed"] == (0, 0)
    assert "vectors" not in json.loads((plain.run_folder / "run.json").read_text())
    names = {path.relative_to(plain.run_folder): path.read_bytes() for path in plain.run_folder.rglob("*.parquet")}
    both = Project(project.folder, project.config | {"run": "both"})
    assert both.run() == 0
    assert both.run("pairs={}") == 0
    after = {
        path.relative_to(both.run_folder): path.read_bytes()
        for path in both.run_folder.rglob("*.parquet")
        if ".retired" not in path.parts
    }
    assert after == names
    assert list((both.run_folder / "embed" / ".retired").iterdir())
    assert main(["prune", str(both.run_folder)]) == 0
    assert not list((both.run_folder / "embed").rglob("*.parquet"))


def test_commands_after_the_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    run = str(project.run_folder)
    capsys.readouterr()
    assert main(["status", run]) == 0
    assert "embed" in capsys.readouterr().out
    assert main(["failures", run]) == 0
    said = capsys.readouterr().out
    assert said.startswith("no-vector: 1 image\n")
    assert "black.png: the model of pairs.embedding gives no direction for this image" in said
    assert main(["show", run, "turned.png"]) == 0
    assert "turned 90°" in capsys.readouterr().out
    assert main(["show", run, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {Path(each["path"]).name for each in shown} == {"03.jpg", "turned.png", "05.jpg", "small.png"}
    assert all(np.isfinite(each["mse_to_keeper"]) for each in shown)
    page = (project.run_folder / "report" / "index.html").read_text()
    assert "turned.png" in page


@pytest.mark.slow
def test_strict_minds_images_without_a_vector(project: Project) -> None:
    assert project.run(options=("--quiet", "--strict")) == 1
    (project.folder / "images" / "black.png").unlink()
    assert project.run(options=("--quiet", "--strict")) == 0


def test_a_check_embeds_new_files_only(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run() == 0
    new = project.folder / "new"
    new.mkdir()
    Image.open(project.folder / "images" / "07.jpg").resize((99, 99)).save(new / "less.png")
    shutil.move(project.folder / "images", project.folder / "gone")
    capsys.readouterr()
    assert main(["check", str(new), "--against", str(project.run_folder), "--json", "--fail-on", "nothing"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert [(Path(each["new"]).name, Path(each["old"]).name) for each in checked["matches"]] == [("less.png", "07.jpg")]
    layers(project.folder / "net.onnx")  # another model: old images would have to be decoded again
    assert main(["check", str(new), "--against", str(project.run_folder)]) != 0


def test_the_preset_runs_with_a_model(project: Project) -> None:
    preset = load(Path(__file__).parents[2] / "configs" / "embedding.yaml", discover())
    sections = {name: plain(dataclasses.asdict(preset.params[name])) for name in ("pairs", "embed")}
    model = layers(project.folder / "other.onnx")
    run = Project(project.folder, project.config | sections | {"run": "preset"})
    assert run.run(f"pairs.embedding=onnx:{model}", "pairs.threshold=0.0001") == 0
    assert ("05", "small", 0) in found(run)


def test_two_sets(project: Project) -> None:
    more = project.folder / "more"
    more.mkdir()
    Image.open(project.folder / "images" / "07.jpg").rotate(180).save(more / "over.png")
    Image.new("RGB", (60, 50)).save(more / "night.png")
    project.config["inputs"] = {"a": [str(project.folder / "images")], "b": [str(more)]}
    assert project.run() == 0
    assert found(project) == {("07", "over", 180)}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["pairs.embedding=onnx:gone.onnx"], "gone.onnx can't be read (No such file or directory)"),
        (["embed.size=[9, 9]"], "size: expected [16, 16] for this model, got [9, 9]"),
        (["embed.layout=chwn"], "embed.layout"),
        (["pairs.embedding=null"], "metric embedding needs a package.module:function"),
    ],
)
def test_impossible_settings_are_one_line(
    project: Project, overrides: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run(*overrides) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not project.run_folder.exists()
