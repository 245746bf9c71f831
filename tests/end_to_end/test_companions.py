"""Companions of images, from the scan to `apply` and `undo`."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from stages.commands.plan.plan_file import FORMAT, VERSION
from tests.end_to_end.driver import Kept, Project, make_image
from tests.stages.commands.apply.acting import entry, state
from tests.stages.decoding.test_annotations import listed, xmp


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A run over three copies of a photograph and another image; one copy has a sidecar."""
    project = Project(tmp_path_factory.mktemp("companions") / "project")
    images = project.folder / "images"
    for name in ("a/1.jpg", "b/1.jpg", "c/1.jpg", "a/2.jpg"):
        make_image(images / name, 2 if "2" in name else 1)
    (images / "b" / "1.xmp").write_text("<x/>")
    return Kept.finished(project)


def test_a_companion_that_appears_decodes_nothing_and_may_change_the_keeper(kept: Kept) -> None:
    project = kept.again()
    images = project.folder / "images"
    rule = "cluster.keep=[companions]"

    def keeper() -> str:
        import pandas as pd

        clusters = pd.read_parquet(project.run_folder / "cluster")
        return str(Path(clusters.loc[clusters["keeper"], "path"].item()).relative_to(images))

    assert keeper() == "a/1.jpg"
    (images / "a" / "2.xmp").write_text("<x/>")
    assert project.run() == 0
    assert project.ran() == {"scan": 1}, "no rule reads the column"
    assert project.run(rule) == 0
    assert keeper() == "b/1.jpg"
    (images / "c" / "1.jpg.json").write_text("{}")
    (images / "c" / "1.MOV").write_bytes(b"a film")
    assert project.run(rule) == 0
    assert project.ran() == {"scan": 1, "cluster": 1, "plot": 1}
    assert project.decoded() == 0
    assert keeper() == "c/1.jpg"


def plan_of(project: Project) -> Path:
    path = project.folder / "plan.json"
    assert main(["plan", str(project.run_folder), str(path)]) == 0
    return path


@pytest.fixture
def project(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The run, with companions that the run knows."""
    project = kept.again()
    for name in ("DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(project.folder / name.lower()))
    for name in ("a/1.xmp", "c/1.XMP", "c/1.cr2", "a/1.CR2"):
        (project.folder / "images" / name).write_text(f"of {name[2:].lower()}")
    assert project.run() == 0
    return project


def test_from_the_run_to_the_undo(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A RAW file that can't be decoded is a companion, although the scan lists it."""
    images = project.folder / "images"
    plan = plan_of(project)
    out = capsys.readouterr().out
    assert "2 files of 1 cluster would be removed; their 3 companions, too" in out
    before, to = state(images), project.folder / "moved"
    dry = ["apply", str(plan), "--action", "move", "--to", str(to)]
    assert main([*dry, "--verbose"]) == 0
    out = capsys.readouterr().out
    assert f"would be moved  {images / 'b/1.jpg'} and 1 companion  (kept: {images / 'a/1.jpg'})" in out
    assert f"would be moved  {images / 'c/1.jpg'} and 2 companions" in out
    assert ", and 3 companions, " in out
    assert state(images) == before
    journal = project.folder / "moved.jsonl"
    assert main([*dry, "--yes", "--journal", str(journal), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["companions"], found["companion_bytes"]) == (2, 3, 4 + 2 * len("of 1.cr2"))
    assert sorted(path.name for path in (to / images.relative_to("/") / "c").iterdir()) == ["1.XMP", "1.cr2", "1.jpg"]
    assert main(["undo", str(journal), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["companions"] == 3
    assert state(images) == before
    assert main([*dry, "--companions", "refuse"]) == 1
    assert "2 files, such as " in (out := capsys.readouterr().out)
    assert "the image has companions, and --companions is refuse" in out
    assert main([*dry, "--companions", "leave", "--yes"]) == 0
    assert (images / "c/1.XMP").exists()
    assert not (images / "c/1.jpg").exists()


def test_a_plan_of_the_page_gets_the_companions_from_the_run(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(project)
    data: dict[str, Any] = json.loads(plan.read_text())
    for name in ("companion_patterns", "extensions"):
        del data[name]
    for file in (file for group in data["clusters"] for file in group["remove"]):
        file.pop("companions", None)
    plan.write_text(json.dumps(data))
    dry = ["apply", str(plan), "--action", "trash", "--json"]
    capsys.readouterr()
    assert main(dry) == 0
    assert json.loads(capsys.readouterr().out)["companions"] == 3
    (project.folder / "images" / "c" / "1.aae").touch()
    assert main(dry) == 1
    assert "new since the run" in capsys.readouterr().out


def test_a_companion_of_two_images_is_counted_once_and_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    images = project.folder / "images"
    shutil.copy(images / "c/1.jpg", images / "c/1.jpeg")
    assert project.run() == 0
    capsys.readouterr()
    plan = plan_of(project)
    assert "3 files of 1 cluster would be removed; their 3 companions, too" in capsys.readouterr().out
    assert main(["apply", str(plan), "--action", "report"]) == 1
    said = capsys.readouterr().out
    assert "left alone  2 files, such as " in said
    assert "a companion belongs to another image, too; with --companions leave, only the image is removed" in said


def test_a_raw_file_that_was_compared_is_an_image(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """A RAW name alone makes no file a companion: the file is a JPEG, and the run reads the file."""
    project = kept.again()
    images = project.folder / "images"
    for name in ("a/1.CR2", "c/1.cr2"):
        make_image(images / "made.jpg", 7).rename(images / name)
    assert project.run() == 0
    plan = plan_of(project)
    named = [each for group in json.loads(plan.read_text())["clusters"] for each in group["remove"]]
    assert sorted(Path(each["path"]).name for each in named) == ["1.cr2", "1.jpg", "1.jpg"]
    assert all(each["name"] != "1.cr2" for file in named for each in file.get("companions", []))
    capsys.readouterr()
    assert main(["apply", str(plan), "--action", "report", "--companions", "leave", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 3


IMAGES = 130
"""Pairs of equal files in the test of kills: two groups of acts."""
ACTIONS = ("move", "trash", "hardlink", "symlink")


def library(folder: Path, images: int) -> Path:
    """Write pairs of equal files with companions and a plan for them; return the plan.

    The sidecars of the two have different keywords."""
    clusters = []
    for number in range(images):
        for side in "ab":
            for ending in ("JPG", "JPG.json", "xmp", "MOV"):
                path = folder / "photos" / side / f"{number // 60}" / f"IMG_{number}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if ending == "xmp":
                    path.write_bytes(xmp(listed("dc:subject", f"{number} {side}")) + b"\n" * 300)
                else:
                    path.write_bytes(f"{number} {ending}".encode() * 50)
                moment = 10**18 + number + (images if side == "b" else 0)  # equal times may mean one file
                os.utime(path, ns=(moment, moment))
        both = [folder / "photos" / side / f"{number // 60}" / f"IMG_{number}.JPG" for side in "ab"]
        clusters.append({"cluster": number, "keep": [entry(both[0])], "remove": [entry(both[1])]})
    plan = folder / "plan.json"
    plan.write_text(json.dumps({FORMAT: VERSION, "run": "", "clusters": clusters}))
    return plan


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("merging", [False, True], ids=["", "metadata"])
def test_killed_at_thirty_moments_all_files_are_restored(
    merging: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if merging and shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    for name in ("DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    plan, journal = library(tmp_path, 6 if merging else IMAGES), tmp_path / "journal.jsonl"
    more = ["--merge-metadata"] if merging else []
    photos, draw = tmp_path / "photos", random.Random(7)
    before = state(photos)
    whole: dict[str, tuple[int, float]] = {}
    """Size of the journal and seconds of an undisturbed command, by action."""
    cut = 0
    actions = ACTIONS[:2] if merging else ACTIONS
    for moment in range(30 + len(actions)):
        action = actions[moment % len(actions)]
        to = ["--to", str(tmp_path / "moved")] if action == "move" else []
        words = ["apply", str(plan), "--action", action, *to, *more, "--yes", "--journal", str(journal)]
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not journal.exists() and process.poll() is None:
                time.sleep(0.001)
            began = time.monotonic()
            if action in whole:
                size, seconds = whole[action]
                enough = draw.random() * size  # the machine may be slow: a part of the work, not of the time
                while journal.stat().st_size < enough and process.poll() is None:
                    time.sleep(0.001)
                time.sleep(draw.random() * seconds / 10)
                process.send_signal(signal.SIGKILL)
            process.wait()
            whole.setdefault(action, (journal.stat().st_size, time.monotonic() - began))
        cut += process.returncode == -signal.SIGKILL
        if journal.exists() and journal.stat().st_size:
            assert main(["undo", str(journal)]) == 0, (moment, action)
            journal.unlink()
        journal.unlink(missing_ok=True)
        assert state(photos) == before, (moment, action)
        assert not list(tmp_path.rglob(".fast-diff*"))
        assert not list((tmp_path / "moved").rglob("*"))
        assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert cut >= 10  # a command may end before its signal comes
