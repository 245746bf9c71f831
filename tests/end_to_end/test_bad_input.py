"""Bad input gives one clear line, the right exit code, and loses nothing."""

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from pipeline.execution.runner import Runner
from pipeline.store.backends import files
from tests.end_to_end.driver import LONG_AGO, Project, make_image, make_images


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_images(tmp_path / "images", 20)
    return Project(tmp_path)


def test_a_missing_folder(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run("inputs.a=[/no/such/folder]") == 2
    assert "inputs.a[0]: /no/such/folder does not exist" in capsys.readouterr().err
    assert not project.run_folder.exists()


def test_an_empty_folder(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert project.run(f"inputs.a=[{tmp_path / 'empty'}]") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no image found in" in line
    assert not project.run_folder.exists()


def test_a_plugin_that_is_not_here(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run("thumbnail.plugins=[numpy, no_such_module.formats]") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "thumbnail.plugins: no_such_module.formats is not installed here" in line
    assert not project.run_folder.exists()


def test_one_image(project: Project, tmp_path: Path) -> None:
    make_image(tmp_path / "one" / "a.png", 1)
    assert project.run(f"inputs.a=[{tmp_path / 'one'}]") == 0
    record = project.record()
    assert record["images"] == {"total": 1, "readable": 1, "failed": 0}
    assert record["ledger"]["pairs_total"] == 0
    assert record["clusters"] == {"count": 0, "images": 0, "removable_bytes": 0}


def test_only_unreadable_images(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "bad" / name).write_bytes(b"no image")
    assert project.run(f"inputs.a=[{tmp_path / 'bad'}]") == 0
    assert project.record()["images"] == {"total": 2, "readable": 0, "failed": 2}
    assert project.run(f"inputs.a=[{tmp_path / 'bad'}]", options=["--quiet", "--strict"]) == 1


STRANGE = (
    *("it's.jpg", 'a "quoted" name.jpg', "two\nlines.jpg", " spaces .jpg"),
    *("日本語 🎉.jpg", "<b>&amp;.jpg", "%s{}[x]*.jpg", "-rf.jpg"),
)


def test_strange_names_are_names(project: Project, tmp_path: Path) -> None:
    for seed, name in enumerate(STRANGE, 77):
        make_image(tmp_path / "images" / name, seed)
        make_image(tmp_path / "images" / f"copy of {name}", seed)
    assert project.run() == 0
    from pipeline import load_run

    clusters = load_run(project.run_folder).clusters().set_index("path")["cluster"]
    for name in STRANGE:
        found = [clusters.get(str(tmp_path / "images" / each)) for each in (name, f"copy of {name}")]
        assert found[0] is not None, name
        assert found[0] == found[1], name


def test_a_name_that_is_no_utf8(project: Project, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "images") + b"/\xff\xfe.jpg"
    good = make_image(tmp_path / "images" / "good.jpg", 77)
    Path(os.fsdecode(path)).write_bytes(good.read_bytes())
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert project.run() == 0
    from pipeline import load_run

    run = load_run(project.run_folder)
    assert {p for p in run.clusters()["path"] if "\\xff\\xfe" in p}
    assert project.run() == 0
    assert project.ran() == {}


def test_output_that_cannot_be_written(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert project.run(f"output={tmp_path / 'file'}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fast-diff: output: can't write to")


def test_output_inside_an_input_is_refused(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((tmp_path / "images").iterdir())
    assert project.run(f"output={tmp_path / 'images' / 'out'}") == 2
    assert capsys.readouterr().err
    assert sorted((tmp_path / "images").iterdir()) == before


def test_a_file_in_both_sets_is_refused(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = sorted((tmp_path / "images").iterdir())[0]
    assert project.run(f"inputs.b=[{one}]") == 2
    assert f"{one} is also in inputs.a" in capsys.readouterr().err


def test_a_replaced_run_leaves_only_its_artifacts(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run() == 0
    before, record = project.artifacts(), project.record()
    work = Runner.run

    def taken(runner: Runner) -> None:
        work(runner)
        (project.run_folder / ".lock").write_text('{"token": "of another run"}')

    monkeypatch.setattr(Runner, "run", taken)
    assert project.run("pairs.threshold=10") == 1
    assert "another run has taken over" in capsys.readouterr().err
    assert project.record() == record, "run.json is the other run's"
    assert before.keys() <= project.artifacts().keys(), "nothing was retired under the other run"
    assert (project.run_folder / ".lock").exists()


@pytest.mark.slow
def test_two_runs_at_once(project: Project) -> None:
    project.config["partition"] = {"images": 2, "block": 4}
    with subprocess.Popen(project.command(), stderr=subprocess.DEVNULL) as first:
        while not (project.run_folder / ".lock").exists():
            time.sleep(0.01)
        second = project.spawn()
        assert first.wait(120) == 0
    assert second.returncode == 1
    assert "is in use by another run" in second.stderr
    assert project.run() == 0
    assert project.ran() == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sent"), [("auto", signal.SIGINT), ("local", signal.SIGINT), ("synchronous", signal.SIGTERM)]
)
def test_interrupted_it_says_how_to_go_on(project: Project, kind: str, sent: signal.Signals) -> None:
    project.config |= {"partition": {"images": 2, "block": 4}, "scheduler": {"kind": kind}}
    make_images(project.folder / "images", 24)
    with subprocess.Popen(project.command(), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not list(project.run_folder.glob("hash/*.parquet")):
            time.sleep(0.01)
        os.killpg(process.pid, sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "fast-diff: interrupted; run the same command again to go on"
    assert "Traceback" not in errors
    assert project.record()["stages"]["cluster"]["tasks_run"] == 0
    assert not list(project.run_folder.rglob("*.tmp"))
    assert project.run("scheduler.kind=synchronous") == 0
    assert project.record()["stages"]["hash"]["tasks_skipped"] >= 1


@pytest.mark.quick(1)
@pytest.mark.parametrize("delay", [0.3, 1.0])
def test_interrupted_while_workers_start_it_says_so_in_one_line(project: Project, delay: float) -> None:
    project.config["scheduler"] = {"kind": "local", "workers": 2}
    with subprocess.Popen(project.command(), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list(project.run_folder.glob("scan/*.parquet")):
            time.sleep(0.01)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert [line for line in errors.splitlines() if line.startswith("fast-diff:")] == [
        "fast-diff: interrupted; run the same command again to go on"
    ]


@pytest.mark.slow
def test_interrupted_twice_it_leaves_at_once(project: Project) -> None:
    project.config |= {"partition": {"images": 2, "block": 4}, "scheduler": {"kind": "local", "workers": 2}}
    make_images(project.folder / "images", 30)
    with subprocess.Popen(project.command(), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list(project.run_folder.glob("thumbnail/*.parquet")):
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers end with their driver"
    assert project.run("scheduler.kind=synchronous") == 0, "a dead driver's lock is recognised"


def test_a_folder_that_may_not_be_entered_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may enter every folder: the system's refusal is stood in for."""
    assert project.run() == 0
    ask = files._size

    def refuse(path: str) -> int | None:
        if "/pairs/" in path:
            raise PermissionError(13, "Permission denied", path)
        return ask(path)

    monkeypatch.setattr(files, "_size", refuse)
    assert project.run() == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fast-diff:")]
    assert line.endswith("Permission denied; fix the cause, then run the same command again: finished work is kept")


@pytest.mark.slow
def test_a_full_disk_fails_tasks_not_results(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quota stand-in: from some moment on every write says that no space is left."""
    from pipeline.store import atomic

    project.config["partition"] = {"images": 2, "block": 4}
    real, left = os.fsync, [12]

    def fsync(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    assert project.run() == 1
    errors = capsys.readouterr().err
    assert "disk full while writing to" in errors
    assert "Traceback" not in errors
    assert not list(project.run_folder.rglob("*.tmp"))
    left[0] = 10**6
    done = len(list(project.run_folder.rglob("*.parquet")))
    assert done == 12
    assert project.run() == 0
    assert sum(stage["tasks_skipped"] for stage in project.record()["stages"].values()) == done


def test_an_unreadable_folder_is_reported_and_the_rest_done(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images" / "private").mkdir()
    real = os.scandir

    def scandir(path: bytes) -> object:
        if os.fsencode(path).endswith(b"private"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr("stages.listing.files.os.scandir", scandir)
    assert project.run(options=[]) == 0
    assert "private can't be listed (Permission denied)" in capsys.readouterr().err
    assert len(project.record()["warnings"]) == 1
    assert project.run(options=["--quiet", "--strict"]) == 1


def test_nothing_is_written_into_the_inputs(project: Project, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "images").iterdir()}
    folder_time = (tmp_path / "images").stat().st_mtime_ns
    assert project.run() == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "images").iterdir()} == before
    assert (tmp_path / "images").stat().st_mtime_ns == folder_time


def test_a_short_ledger_fails_loudly(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.store.artifact import StoredArtifact

    real = StoredArtifact.summary

    def summary(artifact: StoredArtifact) -> object:
        told = dict(real.__get__(artifact))
        if artifact.stage == "pairs" and told["pairs_total"]:
            told["decided"] -= 1
        return told

    monkeypatch.setattr(StoredArtifact, "summary", property(summary))
    assert project.run() == 1
    assert "the ledger is short" in capsys.readouterr().err


@pytest.mark.slow
def test_run_json_holds_its_sections_after_a_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/somewhere")

    monkeypatch.setattr("stages.kernels.compare.BlockPair.runs", fail)
    assert project.run() == 1
    record = project.record()
    assert record["images"]["total"] == 20
    assert record["ledger"]["pairs_total"] == 0
    assert record["clusters"] == {"count": None, "images": None, "removable_bytes": None}
    assert record["stages"]["pairs"]["tasks_failed"] >= 1
    assert "Input/output error (/somewhere)" in record["failures"][0]["message"]


def test_json_for_machines(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run(options=["--log-format", "json"]) == 0
    told = capsys.readouterr()
    events = [json.loads(line) for line in told.err.splitlines()]
    assert {event["event"] for event in events} == {"plan", "task", "end"}
    assert json.loads(told.out)["images"]["total"] == 20


def test_an_older_artifact_that_is_damaged_does_no_harm(project: Project) -> None:
    """A truncated thumbnail artifact of an earlier version has the same key as the artifact that pairs reads."""
    assert project.run() == 0
    (current, *_) = sorted((project.run_folder / "thumbnail").glob("*.parquet"))
    key = current.name.rpartition("-")[0]
    (current.parent / f"{key}-0000000000000000.parquet").write_bytes(b"PAR1")
    assert project.run("pairs.threshold=300") == 0
    assert not project.record()["failures"]
