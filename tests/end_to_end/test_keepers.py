"""Originals are kept: in the demo, and in small libraries with twelve kinds of copies of each photograph."""

import json
from pathlib import Path

import pytest

from pipeline import load_run
from pipeline.cli.main import main
from stages.commands.demo import images as demo
from tests.benchmarks.keepers import KINDS, plant, stayed
from tests.end_to_end.driver import Project

BARE = {"plot": {"pairs": 0, "clusters": 0, "page": 0}, "partition": {}}


@pytest.mark.quick(1)
@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "bare"])
def test_originals_are_kept_for_any_folder_names(
    metadata: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify` finds the same keepers, and `show` and `plan` give the reason of each keeper."""
    project = Project(tmp_path, BARE)
    planted = plant(tmp_path / "images", 2, metadata, seed=1)
    assert project.run() == 0
    clusters = load_run(project.run_folder).clusters()
    found, stays, lost = stayed(clusters, planted)
    assert set(found) == {kind.__name__ for kind in KINDS}
    assert found.total() >= 22
    assert found.total() - stays.total() <= (0 if metadata else 2), lost
    if not metadata:
        return
    assert main(["verify", str(project.run_folder), "--pairs", "0", "--images", "0"]) == 0
    reasons = clusters.set_index("cluster")["reason"].dropna().to_dict()
    assert set(reasons) == set(clusters["cluster"])
    assert {"more pixels", "metadata that the others lack"} <= set(reasons.values())
    capsys.readouterr()
    assert main(["show", str(project.run_folder), "--verbose"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  keeper")]
    assert all(line.endswith(f"  {reasons[number]}") for number, line in enumerate(told))
    assert main(["show", str(project.run_folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["cluster"]: row["reason"] for row in rows if row["keeper"]} == reasons
    assert main(["plan", str(project.run_folder), str(tmp_path / "plan.json")]) == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert {group["cluster"]: group["reason"] for group in plan["clusters"]} == reasons
    assert main(["apply", str(tmp_path / "plan.json"), "--action", "report"]) == 0


def test_the_demo_keeps_the_originals_of_its_copies(tmp_path: Path) -> None:
    made = demo.make_images(tmp_path / "images")
    project = Project(tmp_path, BARE)
    assert project.run() == 0
    clusters = load_run(project.run_folder).clusters()
    kept = {Path(path).name for path in clusters.loc[clusters["keeper"], "path"]}
    assert kept == {paths[0].name for paths in made.values() if len(paths) > 1}
    assert "portrait.jpg" in kept
