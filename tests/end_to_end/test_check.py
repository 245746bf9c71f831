"""`fast-diff check` finds the matches that a run over both sets would find, and recomputes nothing of the run."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import place
from pipeline.store.lock import RunLock
from stages import pairs, scan
from stages.commands.check import lender
from stages.commands.results.tables import Results
from stages.comparing.thumbnails import _cached as cache
from tests.end_to_end.driver import LONG_AGO, Project, make_image, make_images

OLD = 30
SETTINGS = {"pairs": {"threshold": 1_500}, "plot": {"pairs": 0, "clusters": 0}}


def make_new(folder: Path, images: Path) -> int:
    """Make pictures that the run lacks, and copies of some pictures of the run: unchanged, turned, or at a lower
    quality, under difficult names. Returns the number of pictures."""
    old = {int(path.stem.split("-")[1]): path for path in images.iterdir()}
    make_images(folder, 8, first=100)
    for name in (b"--yes.jpg", b"two\nlines.jpg", b"no \xff text.jpg"):
        shutil.copy2(old[3], folder / os.fsdecode(name))
    Image.open(old[7]).rotate(90, expand=True).save(folder / "turned.png")
    Image.open(old[11]).save(folder / "worse.jpg", quality=40)
    (folder / "broken.jpg").write_bytes(old[5].read_bytes()[:500])
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    return len(list(folder.iterdir()))


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and modification time of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@dataclasses.dataclass
class Gate:
    """A finished run whose images are deleted, and the output of checks against the run."""

    project: Project
    capsys: pytest.CaptureFixture[str]

    def check(self, *words: str | Path, code: int = 0) -> str:
        self.capsys.readouterr()
        against = ("--against", str(self.project.run_folder))
        assert main(["check", *against, *map(str, words)]) == code, self.capsys.readouterr().err
        return self.capsys.readouterr().out

    def found(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.check(*words, "--json", "--quiet", code=code)))

    @property
    def work(self) -> Project:
        """Return the folder of the checks as a project."""
        return Project(self.project.folder, {"run": "test.check"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Run on thirty images in several blocks, and on these and the new images as two sets; then delete the old
    images."""
    folder = tmp_path_factory.mktemp("check")
    project = Project(folder, SETTINGS)
    make_images(folder / "images", OLD)
    make_new(folder / "new", folder / "images")
    both = Project(folder, SETTINGS | {"run": "both"})
    both.config["inputs"] = {"a": [str(folder / "images")], "b": [str(folder / "new")]}
    assert both.run() == project.run() == 0
    shutil.rmtree(folder / "images")
    return project


@pytest.fixture
def gate(made: Project, capsys: pytest.CaptureFixture[str]) -> Gate:
    shutil.rmtree(made.folder / "outputs" / "test.check", ignore_errors=True)
    return Gate(made, capsys)


def test_finds_the_matches_of_a_run_over_both_sets_and_recomputes_no_artifact(gate: Gate) -> None:
    before = contents(gate.project.run_folder)
    new, both = gate.project.folder / "new", load_run(gate.project.folder / "outputs" / "both")
    found = gate.found(new, code=3)
    columns = {"path_b": "new", "path_a": "old"}
    assert found["matches"] == json.loads(
        both.pairs(expand=True)
        .drop(columns="turns")
        .rename(columns=columns)
        .to_json(orient="records", double_precision=15)
    )
    assert {0, 270} <= {row["rotation"] for row in found["matches"]}
    assert found["pairs"] == both.summary["ledger"]["pairs_total"] == OLD * (found["new"] - 1)
    assert [Path(row["path"]).name for row in found["unreadable"]] == ["broken.jpg"]
    stages, count = gate.work.record()["stages"], len(list(new.iterdir()))
    old = {name: len(list((gate.project.run_folder / name).glob("*.parquet"))) for name in stages}
    assert {name: stages[name]["tasks_skipped"] for name in ("scan", "thumbnail", "hash", "index")} == {
        name: old[name] for name in ("scan", "thumbnail", "hash", "index")
    }
    assert stages["thumbnail"]["tasks_run"] > 0
    assert count - 2 <= gate.work.decoded() <= count == found["new"]  # equal files of a partition are decoded once
    assert contents(gate.project.run_folder) == before
    assert gate.found(new, code=3) == found
    assert gate.work.ran() == {}
    assert contents(gate.project.run_folder) == before


def test_mirrored_files_are_found_where_the_run_compares_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path, {"pairs": {"mirror": True}})
    make_images(tmp_path / "images", 4)
    assert project.run() == 0
    with Image.open(next((tmp_path / "images").iterdir())) as image:
        (tmp_path / "new").mkdir()
        image.transpose(Image.Transpose.TRANSVERSE).save(tmp_path / "new" / "x.png")
    found = Gate(project, capsys).found(tmp_path / "new", code=3)
    assert [(row["rotation"], row["mirrored"]) for row in found["matches"]] == [(270, True)]
    lines = Gate(project, capsys).check(tmp_path / "new", code=3).splitlines()
    assert any(line.endswith("  mirrored and turned 270°") for line in lines)


def test_one_line_a_match_for_any_names(gate: Gate) -> None:
    new = gate.project.folder / "new"
    lines = gate.check(new, code=3).splitlines()
    matches = [line for line in lines if "  matches  " in line]
    assert len(matches) == len(lines) - 4
    assert f"{new}/two\\nlines.jpg  matches  {gate.project.folder}/images/757-3.jpg  mse 0" in matches
    assert any(line.startswith(f"{new}/no \\xff text.jpg") for line in matches)
    assert any(line.startswith(f"{new}/turned.png") and line.endswith("  turned 270°") for line in matches)
    assert lines[-4] == "new         14 images, 1 of them unreadable"
    assert lines[-3].startswith(f"unreadable  {new}/broken.jpg: ")
    assert lines[-1] == f"matches     {len(matches)}"
    assert gate.check("--quiet", "--", f"{new}/--yes.jpg", code=3).startswith(f"{new}/--yes.jpg  matches  ")


@pytest.mark.parametrize(
    ("name", "on", "code"),
    [
        ("apart", "match", 0),
        ("worse", "match", 3),
        ("worse", "identical", 0),
        ("--yes", "identical", 3),
        ("--yes", "nothing", 0),
    ],
)
def test_fails_on_the_chosen_matches(name: str, on: str, code: int, gate: Gate, tmp_path: Path) -> None:
    new = make_image(tmp_path / "apart.jpg", 500) if name == "apart" else gate.project.folder / "new" / f"{name}.jpg"
    assert bool(gate.found(new, "--fail-on", on, code=code)["matches"]) == (name != "apart")


@pytest.fixture
def own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gate:
    """A run of a few images that still exist."""
    project = Project(tmp_path, SETTINGS)
    make_images(tmp_path / "images", 9)
    assert project.run() == 0
    return Gate(project, capsys)


def test_files_that_the_run_knows_are_left_out(own: Gate) -> None:
    images = own.project.folder / "images"
    found = own.found(images)
    assert (found["known"], found["new"], found["matches"]) == (9, 0, [])
    assert not own.work.run_folder.exists()
    shutil.copy2(next(images.glob("*-4.jpg")), images / "again.jpg")
    assert "known       9 images" in own.check(images, code=3)
    assert own.work.decoded() == 1


def test_a_file_that_changed_is_new_and_its_old_state_does_not_count(own: Gate) -> None:
    images = sorted((own.project.folder / "images").iterdir())
    before = contents(own.project.run_folder)
    touched, other, *rest = images
    os.utime(touched, (LONG_AGO + 99, LONG_AGO + 99))
    shutil.copy(rest[0], other)
    os.utime(other, (LONG_AGO + 99, LONG_AGO + 99))
    for path in rest[1:]:
        path.unlink()
    found = own.found(*images[:3], code=3)
    assert (found["new"], found["changed"], found["known"], found["pairs"]) == (2, 2, 1, 2 * 7)
    assert [(row["new"], row["old"], row["mse"]) for row in found["matches"]] == [(str(other), str(rest[0]), 0)]
    assert own.work.decoded() == 2
    assert contents(own.project.run_folder) == before
    assert own.found(*images[:3], code=3) == found
    assert own.work.ran() == {}


def test_a_block_whose_last_partition_has_nothing_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path, SETTINGS | {"partition": {"images": 1, "block": 4}})
    make_images(tmp_path / "images", 9)
    assert project.run() == 0
    last = max((tmp_path / "images").iterdir())
    os.utime(last, (LONG_AGO + 99, LONG_AGO + 99))
    assert Gate(project, capsys).found(last)["pairs"] == 8


def test_nothing_is_left_to_compare_with(own: Gate) -> None:
    for path in (own.project.folder / "images").iterdir():
        os.utime(path, (LONG_AGO + 99, LONG_AGO + 99))
    found = own.found(own.project.folder / "images")
    assert (found["new"], found["pairs"], found["matches"]) == (9, 0, [])


def test_errors_of_the_run_that_may_pass_are_not_tried_again(own: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    images = own.project.folder / "images"
    paths = sorted(images.iterdir())
    paths[0].write_bytes(paths[0].read_bytes()[:400])
    assert own.project.run() == 0
    for module in ("stages.decoding.rows", "stages.commands.check.lender"):
        monkeypatch.setattr(f"{module}.TRANSIENT_CODES", frozenset({"truncated"}))
    new = own.project.folder / "new.jpg"
    shutil.copy2(paths[1], new)
    shutil.rmtree(images)
    found = own.found(new, code=3)
    assert [row["old"] for row in found["matches"]] == [str(paths[1])]
    assert found["pairs"] == 8
    assert own.work.decoded() == 1


def test_all_images_of_a_run_over_two_sets_are_old(own: Gate) -> None:
    folder = own.project.folder
    for seed in (50, 51):
        make_image(folder / "second" / f"{seed}.jpg", seed)
    own.project.config["inputs"]["b"] = [str(folder / "second")]
    assert own.project.run() == 0
    copies = {
        folder / "x" / "1.jpg": next((folder / "images").glob("*-2.jpg")),
        folder / "x" / "2.jpg": folder / "second/50.jpg",
    }
    (folder / "x").mkdir()
    for new, old in copies.items():
        shutil.copy2(old, new)
    found = own.found(folder / "x", code=3)
    assert {(row["new"], row["old"]) for row in found["matches"]} == {
        (str(new), str(old)) for new, old in copies.items()
    }
    assert found["pairs"] == 2 * (9 + 2)


def test_not_every_recorded_pair_is_a_match(own: Gate) -> None:
    assert own.project.run("pairs.threshold=null", "cluster.threshold=50") == 0
    assert own.found(make_image(own.project.folder / "apart.jpg", 500))["matches"] == []
    assert len(own.found(make_image(own.project.folder / "near.jpg", 4), code=3)["matches"]) == 1


def test_copies_where_there_can_be_no_links(own: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    new = make_image(own.project.folder / "new.jpg", 4)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr("stages.commands.check.links.os.link", refuse)
        patched.setattr("pipeline.store.backends.file_lock.os.link", shutil.copy)
        assert own.found(new, code=3)["matches"]
        assert own.found(new, code=3)["matches"]
    assert own.work.ran() == {}


def test_a_short_ledger_is_an_error(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    short = dataclasses.replace(pairs.STAGE, tasks=lambda upstream, params: [*pairs.tasks(upstream, params)][1:])
    monkeypatch.setattr(lender, "STAGES", (*lender.LENT, short))
    gate.check(gate.project.folder / "new", code=1)


def test_damaged_thumbnails_of_the_run_are_an_error_and_are_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path, SETTINGS | {"partition": {"images": 64, "block": 64}})
    images = make_images(tmp_path / "images", 9)
    assert project.run() == 0
    Image.open(images[2]).save(tmp_path / "new.jpg", quality=50)
    (thumbnails,) = (project.run_folder / "thumbnail").glob("*.parquet")
    data = bytearray(thumbnails.read_bytes())
    data[1_000:-20_000:500] = bytes(byte ^ 1 for byte in data[1_000:-20_000:500])
    thumbnails.write_bytes(data)
    cache.clear()  # as in a process of its own
    gate = Gate(project, capsys)
    gate.check(tmp_path / "new.jpg", code=1)
    assert gate.work.decoded() == 1


def spoiled(gate: Gate, how: str) -> list[str]:
    """Arguments that a check refuses."""
    folder, run = gate.project.folder, gate.project.run_folder
    new, record = str(folder / "new"), gate.project.record()
    (folder / "empty").mkdir(exist_ok=True)
    match how:
        case "no such run":
            return [new, "--against", str(folder / "nothing")]
        case "no run":
            return [new, "--against", str(folder / "empty")]
        case "no such place":
            return [str(folder / "two\nlines"), "--against", str(run)]
        case "no UTF-8":
            return [os.fsdecode(os.fsencode(folder) + b"/new/no \xff text.jpg"), "--against", str(run)]
        case "no image":
            return [str(folder / "empty"), "--against", str(run)]
        case "inside":
            return [str(folder), "--against", str(run)]
        case "not ended":
            (run / "run.json").write_text(json.dumps(record | {"clusters": {"count": None}}))
        case "no JSON":
            (run / "run.json").write_text("{")
        case "artifact missing":
            next((run / "hash").glob("*.parquet")).unlink()
        case "name taken":
            shutil.copytree(run, gate.work.run_folder)
    return [new, "--against", str(run)]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no such run", "is not a run folder"),
        ("no run", "is not a run folder"),
        ("no such place", "two\\nlines does not exist"),
        ("no UTF-8", "no \\xff text.jpg: a name that is not UTF-8"),
        ("no image", "no image found in"),
        ("inside", "overlap"),
        ("not ended", "did not finish"),
        ("no JSON", "is damaged"),
        ("artifact missing", "did not finish"),
        ("name taken", "needs that name; rename the run"),
    ],
)
def test_a_check_that_can_not_run_is_one_line(how: str, said: str, gate: Gate, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(gate.project.run_folder, kept)
    try:
        words = spoiled(gate, how)
        gate.capsys.readouterr()
        assert main(["check", *words]) == 2
        (line,) = gate.capsys.readouterr().err.splitlines()
        assert line.startswith("fast-diff: ")
        assert said in line
    finally:
        shutil.rmtree(gate.project.run_folder)
        kept.rename(gate.project.run_folder)


@pytest.mark.parametrize("run", ["test", "test.check"])
def test_a_folder_in_which_others_work(run: str, gate: Gate) -> None:
    with RunLock(gate.project.folder / "outputs" / run):
        gate.check(gate.project.folder / "new", code=2)


def test_an_interrupt_leaves_nothing_half_done(own: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    new = make_image(own.project.folder / "new.jpg", 4)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("stages.commands.check.lender.thumbnail.compute", interrupted)
        own.check(new, code=130)
    assert not list(own.work.run_folder.rglob("*.tmp"))
    own.check(new, code=3)


def test_a_run_on_an_object_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="object store"):
        lender.lender(Results(place("memory://bucket/run")))


def test_a_run_of_another_version(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(scan.STAGE, version=scan.STAGE.version + 1)
    monkeypatch.setattr(lender, "LENT", (other, *lender.LENT[1:]))
    gate.check(gate.project.folder / "new", code=2)
