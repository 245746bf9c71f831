"""After each kind of change, only stale tasks run and only changed files are decoded."""

import os
import random
import shutil
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.cli.main import main
from tests.end_to_end.conftest import blank_charts
from tests.end_to_end.driver import LONG_AGO, Kept, Project, make_image, make_images

pytestmark = pytest.mark.drawn

IMAGES = 30


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return a finished run over 60 images."""
    with blank_charts():
        return Kept.of(tmp_path_factory.mktemp("resume"), IMAGES)


@pytest.fixture
def project(finished: Kept, undrawn: None) -> Project:
    return finished.again()


def images(project: Project) -> list[Path]:
    return sorted((project.folder / "images").iterdir())


def blocks(project: Project) -> int:
    return len(list((project.run_folder / "index").glob("*.parquet")))


def assert_only_one_block_moved(project: Project, decoded: int) -> None:
    """Assert that one partition, its block and the pairs of the block ran, or two of each if a cut moved."""
    ran = project.ran()
    assert project.decoded() == decoded
    assert ran["thumbnail"] <= 2
    assert ran["hash"] <= 2
    assert ran["index"] <= 2
    assert ran["pairs"] <= 2 * blocks(project)
    assert ran["pairs"] < (blocks(project) + 1) * blocks(project) // 2 or blocks(project) <= 2
    assert (ran["cluster"], ran["plot"]) == (1, 1)


def assert_equal_to_a_fresh_run(project: Project) -> None:
    """Assert that the artifacts equal those of a run in an empty folder."""
    artifacts = project.artifacts()
    shutil.rmtree(project.run_folder)
    assert project.run() == 0
    assert project.artifacts() == artifacts


def test_the_test_has_enough_to_do(project: Project) -> None:
    assert blocks(project) >= 2
    assert len(list((project.run_folder / "thumbnail").glob("*.parquet"))) >= 4
    assert project.record()["clusters"]["count"] == IMAGES // 10


def test_nothing_changed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat() for path in project.run_folder.rglob("*.parquet") if path.parent.name != "report"}

    def refuse(*arguments: object, **keywords: object) -> None:
        pytest.fail("a second run reads no column of any artifact")

    monkeypatch.setattr("pipeline.store.artifact.StoredArtifact.table", refuse)
    monkeypatch.setattr("pipeline.store.artifact.StoredArtifact.batches", refuse)
    monkeypatch.setattr("pipeline.execution.locked_run.open_executor", refuse)
    assert project.run() == 0
    assert project.ran() == {}
    assert sum(stage["tasks_skipped"] for stage in project.record()["stages"].values()) == len(before)
    assert {path: path.stat() for path in before} == before or all(
        path.stat().st_mtime_ns == stat.st_mtime_ns for path, stat in before.items()
    )


def test_one_file_added(project: Project) -> None:
    make_image(project.folder / "images" / "500-new.jpg", 12345)
    assert project.run() == 0
    assert_only_one_block_moved(project, decoded=1)
    assert project.record()["ledger"]["pairs_total"] == (IMAGES + 1) * IMAGES // 2
    assert_equal_to_a_fresh_run(project)


def test_one_file_removed(project: Project) -> None:
    images(project)[20].unlink()
    assert project.run() == 0
    assert_only_one_block_moved(project, decoded=0)
    assert_equal_to_a_fresh_run(project)


def test_one_file_edited(project: Project) -> None:
    make_image(images(project)[23], 54321)
    assert project.run() == 0
    assert_only_one_block_moved(project, decoded=1)
    assert_equal_to_a_fresh_run(project)


def test_one_file_touched(project: Project) -> None:
    os.utime(images(project)[10], (LONG_AGO + 999, LONG_AGO + 999))
    assert project.run("cluster.keep=[resolution, bytes]") == 0
    assert project.run("cluster.keep=[resolution, bytes]") == 0
    os.utime(images(project)[10], (LONG_AGO + 1999, LONG_AGO + 1999))
    assert project.run("cluster.keep=[resolution, bytes]") == 0
    assert project.ran() == {"scan": 1, "thumbnail": 1}
    assert project.decoded() == 1


def test_one_file_touched_where_a_rule_reads_dates(project: Project) -> None:
    os.utime(images(project)[10], (LONG_AGO + 999, LONG_AGO + 999))
    assert project.run() == 0
    assert project.ran() == {"scan": 1, "thumbnail": 1, "cluster": 1}


def test_one_file_became_readable(project: Project) -> None:
    path = images(project)[25]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    os.utime(path, (LONG_AGO, LONG_AGO))
    shutil.rmtree(project.run_folder)
    assert project.run() == 0
    assert project.record()["images"] == {"total": IMAGES, "readable": IMAGES - 1, "failed": 1}
    path.write_bytes(whole)
    os.utime(path, (LONG_AGO + 7, LONG_AGO + 7))
    assert project.run() == 0
    assert_only_one_block_moved(project, decoded=1)
    assert project.record()["images"]["failed"] == 0


def test_pairs_threshold(project: Project) -> None:
    assert project.run("pairs.threshold=100") == 0
    assert set(project.ran()) <= {"pairs", "cluster", "plot"}
    assert project.ran()["pairs"] == blocks(project) * (blocks(project) + 1) // 2
    assert "params changed: threshold 200 → 100" in project.reasons().values()
    assert project.run() == 0  # the old settings again: retired artifacts are restored
    assert set(project.ran()) <= {"plot"}


def test_cluster_threshold(project: Project) -> None:
    assert project.run("cluster.threshold=50") == 0
    assert set(project.ran()) <= {"cluster", "plot"}
    assert project.ran()["cluster"] == 1


def test_keep_rule(project: Project) -> None:
    assert project.run("cluster.keep=[newest]") == 0
    assert set(project.ran()) <= {"cluster", "plot"}
    assert project.ran()["cluster"] == 1


def test_thumbnail_size(project: Project) -> None:
    assert project.run("thumbnail.size=[32, 32]") == 0
    stages = project.record()["stages"]
    assert project.ran().keys() == {"thumbnail", "hash", "index", "pairs", "cluster", "plot"}
    assert all(not stage["tasks_skipped"] for name, stage in stages.items() if name != "scan")


def test_another_name_of_the_run(project: Project) -> None:
    """Nothing runs, and the artifacts equal those of a run that had this name from the start: names are beside
    artifacts."""
    project.run_folder.rename(project.run_folder.with_name("other"))
    assert project.run("run=other") == 0
    project.config["run"] = "other"
    assert project.ran() == {}
    assert '"run":"other"' in (project.run_folder / "report" / "dates.js").read_text()
    assert_equal_to_a_fresh_run(project)


def test_where_partitions_are_cut_decodes_nothing(project: Project) -> None:
    assert project.run("partition.images=20") == 0
    assert project.ran()["thumbnail"] >= 1
    assert project.decoded() == 0


@pytest.mark.quick(2)
@pytest.mark.parametrize("stage", ["scan", "thumbnail", "hash", "index", "pairs", "cluster", "plot"])
@pytest.mark.parametrize("damage", ["delete", "truncate"])
def test_one_artifact_lost(project: Project, stage: str, damage: str) -> None:
    before = project.artifacts()
    lost = sorted((project.run_folder / stage).glob("*.parquet"))[0]
    lost.unlink() if damage == "delete" else lost.write_bytes(lost.read_bytes()[:200])
    assert project.run() == 0
    assert project.ran() == {stage: 1}
    assert set(project.reasons().values()) == {"missing" if damage == "delete" else "unreadable"}
    assert project.artifacts() == before


def test_a_file_written_in_the_same_instant_is_seen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's size and time equal those of the last run, but the file was too young in that run to be trusted."""
    monkeypatch.setattr("stages.listing.stamps.RACY_NS", 3600 * 10**9)  # however long the machine takes to start a run
    young = time.time_ns()
    path = project.folder / "images" / "young.bmp"
    make_image(path, 1)
    os.utime(path, ns=(young, young))
    assert project.run() == 0
    make_image(path, 2)
    os.utime(path, ns=(young, young))
    assert project.run() == 0
    assert project.decoded() == 1
    assert "input changed, with equal size and time: 1" in project.reasons().values()
    assert_equal_to_a_fresh_run(project)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_growing_a_folder_gives_the_results_of_one_run_over_all(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for step in range(3):
        make_images(tmp_path / "images", 12, first=12 * step)
        assert project.run() == 0
        assert project.decoded() == 12
    assert_equal_to_a_fresh_run(project)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_moments_the_result_is_the_same(tmp_path: Path) -> None:
    small = {
        "scheduler": {"workers": 2},
        "partition": {"images": 4, "block": 12},
        "plot": {"pairs": 0, "clusters": 0, "previews": 0},
    }
    project = Project(tmp_path, small)
    make_images(tmp_path / "images", 30)
    kinds = ("local", "synchronous", "threads", "synchronous", "synchronous")
    commands = {kind: [*project.command(), "--set", f"scheduler.kind={kind}"] for kind in dict.fromkeys(kinds)}
    length = {}
    for kind, command in commands.items():
        shutil.rmtree(project.run_folder, ignore_errors=True)
        began = time.monotonic()
        whole = subprocess.run(command, capture_output=True, text=True, check=False)
        assert whole.returncode == 0, whole.stderr
        length[kind] = time.monotonic() - began
    expected = project.artifacts()
    shutil.rmtree(project.run_folder)
    moments = random.Random(20)
    kills = 0
    while kills < 20:
        kind = kinds[kills % len(kinds)]
        with subprocess.Popen(
            commands[kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                process.wait(moments.uniform(0.15, 0.9) * length[kind])
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            else:
                assert project.artifacts() == expected
                shutil.rmtree(project.run_folder)
    last = subprocess.run(project.command(), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert project.artifacts() == expected
    assert not list(project.run_folder.rglob("*.tmp"))


def test_foreign_files_in_the_report_folder_are_kept(project: Project) -> None:
    report = project.run_folder / "report"
    kept = [report / "plan.json", report / "images" / "mine" / "1.jpg", report / "photos" / "1.jpg"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    before = set((report / "pairs").iterdir())
    assert project.run("plot.pairs=1") == 0
    assert before - set((report / "pairs").iterdir()), "what the run made is put aside"
    assert main(["prune", str(project.yaml)]) == 0
    assert {path.read_bytes() for path in kept} == {b"mine"}


def test_previews_are_taken_over_unless_they_are_damaged(project: Project) -> None:
    """A preview that was made from a thumbnail, since the file was missing, is made again when the file is back."""
    before = {path: path.read_bytes() for path in (project.run_folder / "report" / "images").iterdir()}
    assert len(before) == 2 * (IMAGES // 10)
    os.utime(project.run_folder / "report" / "images", (LONG_AGO, LONG_AGO))
    first, *others = sorted(before)
    first.write_bytes(before[first][:100])
    times = {path: path.stat().st_mtime_ns for path in others}
    assert project.run("cluster.threshold=150") == 0
    assert project.ran() == {"cluster": 1, "plot": 1} or project.ran() == {"plot": 1}
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in others} == times
    shutil.move(project.folder / "images", project.folder / "away")
    (project.folder / "images").mkdir()
    for path in (project.folder / "away").iterdir():
        shutil.copy2(path, project.folder / "images")
    first.unlink()
    moved = next(
        path
        for path in (project.folder / "images").iterdir()
        if sha256(path.read_bytes()).hexdigest().startswith(first.name[:20])
    )
    whole = moved.read_bytes()
    stat = moved.stat()
    moved.write_bytes(bytes(len(whole)))
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert project.run("cluster.threshold=140") == 0
    assert not first.exists()
    assert first.with_name(f"{first.stem}-small.jpg").exists()
    moved.write_bytes(whole)
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert project.run("cluster.threshold=130") == 0
    assert first.read_bytes() == before[first]


def test_files_that_people_leave_in_the_folders_of_stages(project: Project) -> None:
    before, run = project.artifacts(), str(project.run_folder)
    mine = [project.run_folder / stage / "backup.parquet" for stage in ("scan", "hash", "pairs", "cluster")]
    one, *_ = (project.run_folder / "scan").glob("*.parquet")
    for path in mine:
        shutil.copyfile(one, path)
    assert project.run() == 0
    assert sum(project.ran().values()) == 0
    for words in (["verify", run], ["show", run], ["check", str(project.folder / "images"), "--against", run]):
        assert main(words) == 0, words
    assert project.run("cluster.linkage=complete") == 0
    assert project.run() == 0
    assert all(path.read_bytes() == one.read_bytes() for path in mine)
    for path in (*mine, project.run_folder / "verify.json"):
        path.unlink()
    assert project.artifacts() == before
