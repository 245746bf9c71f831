"""Two sets: each command of the README of commands says which set an image is in, and none touches the training set."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from pipeline import load_run
from pipeline.cli.main import main
from tests.end_to_end.driver import make_images

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "stages/commands/README.md").read_text().partition("## A gate for a data set")[2]
COMMANDS = [
    shlex.split(line) for line in re.findall(r"^fast-diff (.*)$", SECTION.partition("\nThen ")[0], re.MULTILINE)
]
FAST = ("--set", "scheduler.kind=synchronous", "--set", "plot={pairs: 0, clusters: 0}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make training images, and test images of which three are copies of training images."""
    make_images(tmp_path / "data" / "train", 8)
    make_images(tmp_path / "data" / "test", 3, first=20)
    for number, path in enumerate(sorted((tmp_path / "data" / "train").iterdir())[:3]):
        shutil.copy2(path, tmp_path / "data" / "test" / f"leak-{number}.jpg")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_readme(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [words[0] for words in COMMANDS] == ["run", "show", "export"]
    first, second = (str(folder / "data" / name) for name in ("train", "test"))
    assert main([*COMMANDS[0], *FAST, "--quiet", "--fail-on", "match"]) == 3
    assert "3 pairs of an image of inputs.a and one of inputs.b match" in capsys.readouterr().err
    assert main([*COMMANDS[0], *FAST, "--quiet", "--fail-on", "identical"]) == 3
    assert "some images of inputs.b are identical to images of inputs.a" in capsys.readouterr().err

    clusters = load_run("outputs/two-sets").clusters()
    assert set(clusters["path"].str.startswith(first)) == {True, False}
    assert (clusters["reference"] == clusters["path"].str.startswith(first)).all()
    assert main(["plan", "outputs/two-sets", "plan.json"]) == 0
    plan = json.loads(Path("plan.json").read_text())
    gone = [file["path"] for cluster in plan["clusters"] for file in cluster["remove"]]
    assert sorted(gone) == [f"{second}/leak-{number}.jpg" for number in range(3)]
    capsys.readouterr()

    assert main(COMMANDS[1]) == 0
    shown = capsys.readouterr().out
    assert len(re.findall(rf"^  keeper     a  {first}/", shown, re.MULTILINE)) == 3
    assert len(re.findall(rf"^             b  {second}/leak-", shown, re.MULTILINE)) == 3
    assert main(["show", "outputs/two-sets", f"{second}/leak-0.jpg"]) == 0
    assert f"{second}/leak-0.jpg: 1 match in inputs.a" in capsys.readouterr().out
    assert main(["show", "outputs/two-sets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["set"], row["path"].rpartition("/")[0]) for row in rows} == {("a", first), ("b", second)}
    assert main(["duplicates", "outputs/two-sets", "--by", "hash"]) == 0
    assert f"  b  {second}/leak-0.jpg" in capsys.readouterr().out

    status = ["status", *COMMANDS[0][1:], *FAST]
    (folder / "data" / "test" / "leak-0.jpg").unlink()
    assert main(status) == 0
    told = capsys.readouterr().out
    assert "sets       a 8 images, b 5 images; only images of a are compared with images of b\n" in told
    assert "scan       1 of 2 up to date, 1 to run  (a 1 of 1, b 0 of 1)\n" in told
    assert main([*status, "--json"]) == 0
    sets = json.loads(capsys.readouterr().out)["thumbnail"]["sets"]
    assert sets["b"] == {"tasks": 1, "current": 0, "to_run": 1}


def test_with_one_set_no_text_mentions_sets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["configs/local.yaml", "--set", "inputs.a=[data]", *FAST]
    assert main(["run", *config, "--quiet", "--fail-on", "match"]) == 3
    assert "pairs of images match" in capsys.readouterr().err
    for words in (["status", *config], ["show", "outputs/local", "--verbose"]):
        assert main(words) == 0
        assert not re.search(r"sets|  [ab]  |inputs\.b", capsys.readouterr().out)
    assert main(["show", "outputs/local", "--json"]) == 0
    assert "set" not in json.loads(capsys.readouterr().out)[0]
