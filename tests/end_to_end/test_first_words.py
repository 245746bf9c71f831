"""The first commands that people type: a folder and no config, the last run here, a config to begin with."""

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from stages.commands.run.inputs import name_of
from tests.end_to_end.driver import LONG_AGO, make_image, make_images

FAST = ("--set", "scheduler.kind=synchronous", "--set", "plot.pairs=0", "--set", "plot.clusters=0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the images lie in home/Pictures beside it."""
    make_images(tmp_path / "home" / "Pictures", 10)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def record(name: str, output: str = "outputs") -> dict[str, Any]:
    return dict(json.loads((Path(output) / name / "run.json").read_text()))


def ran(name: str, output: str = "outputs") -> int:
    return sum(stage["tasks_run"] for stage in record(name, output)["stages"].values())


def test_a_folder_and_no_config(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "../home/Pictures", *FAST]) == 0
    assert "images      10" in capsys.readouterr().out
    assert record("Pictures")["config"]["inputs"]["a"] == [str(here.parent / "home" / "Pictures")]
    assert main(["run", "../home/Pictures/", "--quiet", *FAST]) == 0
    assert ran("Pictures") == 0, "a slash at the end means the same folder"
    assert names("outputs") == ["Pictures"]


def test_several_folders_and_short_options(here: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "Phone", 3, first=50)
    words = ["run", "../home/Pictures", str(tmp_path / "Phone"), "--threshold", "100", "--keep", "oldest"]
    assert main([*words, "--keep", "bytes,resolution", "--output", str(tmp_path / "dedup"), "--quiet", *FAST]) == 0
    found = record("Pictures", str(tmp_path / "dedup"))
    assert found["images"]["total"] == 13
    assert found["config"]["pairs"]["threshold"] == 100
    assert found["config"]["cluster"]["keep"] == ["oldest", "bytes", "resolution"]


def test_a_config_and_what_to_compare(here: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "other", 4)
    Path("holiday.yaml").write_text(f"inputs: {{a: [{tmp_path / 'other'}]}}\npairs: {{threshold: 50}}\n")
    for words in (["holiday.yaml", "../home/Pictures"], ["../home/Pictures", "holiday.yaml"]):
        assert main(["run", *words, "--quiet", *FAST]) == 0
        assert record("holiday")["images"]["total"] == 10
        assert record("holiday")["config"]["pairs"]["threshold"] == 50
    assert ran("holiday") == 0
    assert main(["run", "holiday.yaml", "--quiet", *FAST]) == 0
    assert record("holiday")["images"]["total"] == 4


def names(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


NAMES = (
    "a, b",
    "[x, y]",
    "{a: b}",
    "* & #",
    "'q' \"d\"",
    "null",
    "1e3",
    "%s",
    "-rf",
    "~me",
    "two\nlines",
    "日本 🎉",
    "é\u2028",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_image(here / name / "a.png", 1)
    assert main(["run", *FAST, "--quiet", "--", name]) == 0
    (run,) = names("outputs")
    assert record(run)["config"]["inputs"]["a"] == [str(here / name)]
    assert run == "".join(letter if letter.isprintable() else "_" for letter in name)
    assert main(["status"]) == 0
    assert "nothing to run" in capsys.readouterr().out


def test_a_name_that_is_no_utf8_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.fsdecode(b"\xff")).mkdir()
    assert main(["run", os.fsdecode(b"\xff")]) == 2
    assert "a name that is not UTF-8 can't be an argument; name the file's folder instead" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/photos/2024/", "2024"),
        ("/", "images"),
        ("/.hidden", "hidden"),
        ("/...", "images"),
        ("/x.check", "x"),
        ("s3://key:secret@bucket/photos/", "photos"),
        ("s3://key:secret@bucket", "bucket"),
        ("https://host/a/b?token=1/2", "b"),
        ("/" + "é" * 120, "é" * 90),
    ],
)
def test_the_run_is_named_after_the_first_folder(folder: str, name: str) -> None:
    assert name_of(folder) == name


def test_another_folder_of_that_name_gets_a_run_of_its_own(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "disk" / "Pictures", 4)
    make_images(tmp_path / "phone" / "Pictures", 3)
    assert main(["run", "../home/Pictures", "--quiet", *FAST]) == 0
    before = record("Pictures")
    capsys.readouterr()
    for folder, name, count in (("disk", "Pictures-2", 4), ("phone", "Pictures-3", 3), ("disk", "Pictures-2", 4)):
        assert main(["run", str(tmp_path / folder / "Pictures"), "--quiet", *FAST]) == 0
        run = here / "outputs" / name
        first = here / "outputs" / "Pictures"
        said = f"fast-diff: {first} is a run over another folder; the results of this run are in {run}\n"
        assert capsys.readouterr().err == said
        assert record(name)["images"]["total"] == count
    assert ran("Pictures-2") == 0
    assert record("Pictures") == before
    assert main(["run", "../home/Pictures", str(tmp_path / "disk"), "--quiet", *FAST]) == 0
    assert record("Pictures")["images"]["total"] == 14, "more folders continue the run of the first"
    assert main(["run", str(tmp_path / "disk"), "../home/Pictures", "--quiet", *FAST]) == 0
    assert record("disk")["images"]["total"] == 14


def test_an_image_without_a_suffix_is_an_input_and_a_text_is_a_config(here: Path, tmp_path: Path) -> None:
    (image,) = make_images(tmp_path / "one", 1)
    image.rename(tmp_path / "IMG_1234")
    assert main(["run", str(tmp_path / "IMG_1234"), "--quiet", *FAST]) == 0
    assert record("IMG_1234")["images"] == {"total": 1, "readable": 1, "failed": 0}
    (tmp_path / "config").write_text("run: mine\n")
    assert main(["run", str(tmp_path / "config"), "../home/Pictures", "--quiet", *FAST]) == 0
    assert set(names("outputs")) == {"IMG_1234", "mine"}


def test_a_name_that_was_chosen_is_kept(here: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "other", 4)
    for folder in ("../home/Pictures", str(tmp_path / "other")):
        assert main(["run", folder, "--quiet", *FAST, "--set", "run=mine"]) == 0
    assert names("outputs") == ["mine"]
    assert record("mine")["images"]["total"] == 4


def test_the_last_run_here(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "../home/Pictures", "--quiet", *FAST]) == 0
    os.utime("outputs/Pictures/run.json", (LONG_AGO, LONG_AGO))
    make_images(tmp_path / "new", 10, first=3)
    assert main(["run", str(tmp_path / "new"), "--quiet", *FAST]) == 0
    capsys.readouterr()
    image = str(sorted((tmp_path / "new").iterdir())[0])
    commands = [
        *(
            "status",
            "explain",
            "estimate",
            "graph",
            "prune",
            "show",
            "failures",
            "duplicates --by hash",
            "verify --quiet",
        ),
        *(f"show {image}", "plan plan.json", "export --format csv", "dismiss --cluster 0 --file apart.csv"),
    ]
    for words in commands:
        assert main(shlex.split(words)) == 0, words
        assert capsys.readouterr().err.startswith("fast-diff: no RUN given: taking the last run here, outputs/new\n"), (
            words
        )
    for run in ("outputs/Pictures", "../here/outputs/Pictures/"):
        for words in ("status", "explain", "estimate", "graph", "prune", "show", "verify --quiet", "config"):
            assert main([*shlex.split(words), run]) == 0, words
            assert "of the last run" not in capsys.readouterr().err


def test_a_moved_run_is_read_at_its_new_path(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "../home/Pictures", "--quiet", "--threshold", "33", *FAST]) == 0
    shutil.copytree("outputs/Pictures", tmp_path / "copy")
    shutil.rmtree("outputs")
    assert main(["status", str(tmp_path / "copy")]) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert main(["config", str(tmp_path / "copy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"]["threshold"] == 33
    assert not Path("outputs").exists()


def test_without_a_run_the_error_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("status", "show", "verify", "plan x.json"):
        assert main(shlex.split(name)) == 2
        assert "no run in ./outputs: expected RUN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere: not found: expected a folder, an image, a URL or a YAML config"),
        (("a.yaml", "b.yaml"), "run: expected one config, got a.yaml, b.yaml"),
        (("gone.yaml", "."), "gone.yaml: no such file"),
        (("../home", "--threshold", "-1"), "--threshold: pairs.threshold: "),
        (("../home", "--keep", "newest-of-all"), "--keep: cluster.keep[0]: "),
        (("../home", "--threshold", "much"), "run: --threshold: 'much' is not a number"),
        (("..",), "expected a folder outside the inputs, which are never written to"),
    ],
)
def test_mistakes_are_one_line(
    here: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path("outputs").exists()


def test_a_config_to_begin_with(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "holiday.yaml"]) == 0
    assert "fast-diff run holiday.yaml ~/Pictures" in capsys.readouterr().out
    text = Path("holiday.yaml").read_text()
    assert text.count("#") > 5
    assert "local.yaml" not in text
    assert main(["init", "holiday.yaml"]) == 2
    assert capsys.readouterr().err == "fast-diff: holiday.yaml exists; choose another name, or delete that file\n"
    assert Path("holiday.yaml").read_text() == text
    assert main(["init", "cluster.yaml", "--example", "slurm"]) == 0
    assert "slurm" in Path("cluster.yaml").read_text()
    capsys.readouterr()
    for words, said in (
        (["holiday"], "expected a name that ends in .yaml"),
        (["no/x.yaml"], "its folder does not exist"),
        (["x.yaml", "--example", "slum"], "did you mean slurm?"),
    ):
        assert main(["init", *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["run", "holiday.yaml", "../home/Pictures", "--quiet", *FAST]) == 0
    assert record("holiday")["images"]["total"] == 10


def test_json_stands_alone_on_standard_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "../home/Pictures", "--json", *FAST]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == record("Pictures")
    assert "scan" in err, "progress goes to standard error"
    assert main(["run", "../home/Pictures", "--json", "--quiet", *FAST]) == 0
    assert capsys.readouterr().err == ""
    run = "outputs/Pictures"
    keys = {
        f"status {run}": "scan",
        f"estimate {run}": "seconds",
        f"config {run}": "pairs",
        f"prune {run}": "bytes",
        f"plan {run} plan.json": "remove",
        "apply plan.json --action trash": "dry_run",
        f"dismiss {run} --cluster 0 --file apart.csv": "new",
        f"verify {run} --quiet": "checks",
    }
    for words, key in keys.items():
        assert main([*shlex.split(words), "--json"]) == 0, words
        out, err = capsys.readouterr()
        assert key in json.loads(out), words
        assert err == ""


def test_apply_and_undo_give_json(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "../home/Pictures", "--quiet", *FAST]) == 0
    assert main(["plan", "outputs/Pictures", "plan.json"]) == 0
    capsys.readouterr()
    words = ["apply", "plan.json", "--action", "move", "--to", str(tmp_path / "away"), "--yes", "--json"]
    assert main(words) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["files"] == 1
    assert not done["dry_run"]
    assert main(["undo", done["journal"], "--json"]) == 0
    none = {"companions": 0, "companion_bytes": 0, "sidecars": 0, "not_restored": {}}
    assert json.loads(capsys.readouterr().out) == {"files": 1, "bytes": done["bytes"], **none}
