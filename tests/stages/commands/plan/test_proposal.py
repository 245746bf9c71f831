"""Plans by the rules of the command line."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.plan.proposal import PlanRules, proposal
from tests.end_to_end.driver import Project, make_image


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Folders `main` with images 1 and 2; `Backup 1` with copies of both, 1 turned and 2 fainter; `more` with a copy of
    1."""
    made = Project(tmp_path_factory.mktemp("plan"), {"cluster": {"keep": ["path"]}})
    images = made.folder / "images"
    for seed in (1, 2):
        make_image(images / "main" / f"{seed}.png", seed, (64, 64))
    (images / "Backup 1").mkdir()
    (images / "more").mkdir()
    with Image.open(images / "main" / "1.png") as image:
        image.rotate(90).save(images / "Backup 1" / "turned.png")
        image.save(images / "more" / "same.png")
    with Image.open(images / "main" / "2.png") as image:
        image.point(lambda value: min(255, value + 6)).save(images / "Backup 1" / "faint.png")
    assert made.run() == 0
    return made


def going(project: Project, **rules: object) -> dict[str, list[str]]:
    """Return the names of the files to remove, by the name of the keeper."""
    plan = proposal(load_run(project.run_folder), PlanRules(**rules))[0]
    return {name(group["keep"][0]): sorted(map(name, group["remove"])) for group in plan["clusters"]}


def name(file: Mapping[str, str]) -> str:
    return Path(file["path"]).name


def test_without_rules_the_plan_is_the_runs(project: Project) -> None:
    results = load_run(project.run_folder)
    assert proposal(results, PlanRules())[0] == proposal(results)[0]
    assert going(project) == {"turned.png": ["1.png", "same.png"], "faint.png": ["2.png"]}


def test_only_mirrored_images_go(tmp_path: Path) -> None:
    made = Project(tmp_path, {"pairs": {"mirror": True}, "cluster": {"keep": ["path"]}})
    first = make_image(tmp_path / "images" / "1.png", 1, (64, 64))
    with Image.open(first) as image:
        image.rotate(90).save(tmp_path / "images" / "turned.png")
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "images" / "upside down.png")
    assert made.run() == 0
    assert going(made, only="turned") == {"1.png": ["turned.png", "upside down.png"]}
    assert going(made, only="mirrored") == {"1.png": ["upside down.png"]}


def test_other_keepers(project: Project) -> None:
    more = {"1.png": ["same.png", "turned.png"], "2.png": ["faint.png"]}
    assert going(project, avoid=["backup*"]) == more
    assert going(project, prefer=["main"]) == more
    assert going(project, prefer=["more", "main"]) == {"same.png": ["1.png", "turned.png"], "2.png": ["faint.png"]}
    assert going(project, prefer=["more"]) == {"same.png": ["1.png", "turned.png"], "faint.png": ["2.png"]}
    assert going(project, prefer=["Backup 1"], avoid=["backup*"]) == going(project)


def test_the_images_that_rules_remove(project: Project) -> None:
    assert going(project, only="identical") == {"turned.png": ["1.png", "same.png"]}
    assert going(project, only="near") == {"faint.png": ["2.png"]}
    assert going(project, only="turned") == {"turned.png": ["1.png", "same.png"]}
    assert going(project, only="turned", prefer=["main"]) == {"1.png": ["turned.png"]}
    assert going(project, max_distance=0.0) == {"turned.png": ["1.png", "same.png"]}
    faint = load_run(project.run_folder).clusters().set_index("path")["mse_to_keeper"].max()
    assert going(project, max_distance=faint, prefer=["main"], only="near") == {"2.png": ["faint.png"]}
    assert going(project, max_distance=faint * 0.99, prefer=["main"], only="near") == {}
    assert going(project, folders=["more"]) == {"turned.png": ["same.png"]}
    assert going(project, folders=["more", "main"]) == going(project)


def test_the_reason_names_the_rule(project: Project) -> None:
    results, images = load_run(project.run_folder), project.folder / "images"
    for rules, reason in (
        (PlanRules(prefer=["main"]), f"below {images}/main (--prefer)"),
        (PlanRules(avoid=["backup*"]), "name or folder not avoided (--avoid)"),
    ):
        assert {group["reason"] for group in proposal(results, rules)[0]["clusters"]} == {reason}


def test_references_and_dismissed_images_stay(tmp_path: Path) -> None:
    made = Project(tmp_path, {"cluster": {"keep": ["path"]}})
    for folder in "abc":
        make_image(tmp_path / "images" / folder / f"{folder}.png", 1)
    make_image(tmp_path / "images" / "b" / "two.png", 1)
    names = [str(tmp_path / "images" / "a" / "a.png"), str(tmp_path / "images" / "c" / "c.png")]
    made.config["inputs"]["reference"] = [str(tmp_path / "images" / "b" / "b.png")]
    assert made.run() == 0
    assert going(made, prefer=["c"]) == {"b.png": ["a.png", "c.png", "two.png"]}
    with Image.open(names[0]) as image:
        image.save(names[0], compress_level=1)
    made.config["inputs"]["reference"] = []
    assert made.run() == 0
    apart = str(tmp_path / "apart.csv")
    assert main(["dismiss", str(made.run_folder), names[0], names[1], "--file", apart]) == 0
    made.config["cluster"]["dismissed"] = [apart]
    assert made.run() == 0
    plan = proposal(load_run(made.run_folder), PlanRules(prefer=["c"]))[0]
    assert names[0] not in [file["path"] for group in plan["clusters"] for file in group["remove"]]


def test_the_command(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, images = str(project.run_folder), project.folder / "images"
    words = [
        "plan",
        run,
        str(tmp_path / "one.json"),
        "--avoid",
        "backup*",
        "--only",
        "identical",
        "--max-distance",
        "0",
    ]
    assert main([*words, "--folder", "more", "--folder", "Backup 1", "--verbose"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"plan        {tmp_path}/one.json: 2 files of 1 cluster would be removed"
    assert f"  1 of 2 images of {images}/Backup 1 would be removed" in "\n".join(shown)
    assert sum(f"  {images}/more/same.png, " in line for line in shown) == 1
    assert main(["plan", run, str(tmp_path / "two.json"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["remove"], sum(each["going"] for each in data["folders"])) == (3, 3)
    for more, said in (
        (["--only", "odd"], "expected identical, near, turned or mirrored, got 'odd'"),
        (["--max-distance", "-1"], "expected a number from 0, got '-1'"),
        (["--max-distance", "nan"], "expected a number from 0, got 'nan'"),
        (["--prefer", "nowhere"], "nowhere is not a folder with images of this run"),
        (["--folder", "nowhere"], "nowhere is not a folder with images of this run"),
    ):
        assert main(["plan", run, str(tmp_path / "three.json"), *more]) == 2, more
        assert said in capsys.readouterr().err
    assert not (tmp_path / "three.json").exists()


def test_other_keepers_are_refused_where_they_make_other_clusters(project: Project, tmp_path: Path) -> None:
    made = Project(tmp_path, {"cluster": {"linkage": "star"}, "inputs": project.config["inputs"]})
    assert made.run() == 0
    assert main(["plan", str(made.run_folder), str(tmp_path / "plan.json"), "--prefer", "main"]) == 2
    assert main(["plan", str(made.run_folder), str(tmp_path / "plan.json"), "--only", "near"]) == 0
