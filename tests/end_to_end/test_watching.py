"""A run on a cluster can be watched: progress, events, the dashboard, Dask's performance report."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client

from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.meddling import begun
from tests.end_to_end.test_clusters import elsewhere
from tests.end_to_end.test_schedulers import dask_cluster

pytestmark = [pytest.mark.drawn, pytest.mark.slow]
SLOW = {"MEDDLE_SLOW": "0.5"}
"""Delay of each task: some 50 tasks take longer than the pause between two lines on a stage."""
PRELOAD = ("--preload", "tests.end_to_end.meddling")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_images(tmp_path / "images", 60)
    return Project(tmp_path, {"partition": {"images": 4, "block": 12}})


def few(project: Project, count: int) -> None:
    """Leave all but `count` images out."""
    project.config["inputs"] = {"a": [str(path) for path in sorted((project.folder / "images").iterdir())[:count]]}


def driven(project: Project, *options: str) -> str:
    """Return the output of a run that succeeds."""
    ended = subprocess.run([*project.command(), *options], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_progress_events_and_the_dashboards_address(project: Project) -> None:
    with dask_cluster(project.folder, words=PRELOAD, environment=SLOW) as section:
        project.config["scheduler"] = section | {"min_workers": 2}
        said = driven(project, "--log-format", "json")
        shown = driven(Project(project.folder, project.config | {"run": "again"}))
    events = [json.loads(line) for line in said.splitlines()]
    clusters = [event for event in events if event["event"] == "cluster"]
    assert {(event["workers"], event["threads"]) for event in clusters} == {(2, 2)}
    assert all(event["memory"] > 1 << 20 for event in clusters)
    (page,) = [event["text"] for event in events if event["event"] == "message" and "dashboard" in event["text"]]
    assert re.fullmatch(r"dashboard  http://127\.0\.0\.1:\d+/status", page)
    tasks = [event for event in project.events() if event["event"] == "task" and event["stage"] not in ("scan",)]
    assert {event["stage"] for event in tasks} == {"thumbnail", "hash", "index", "pairs", "cluster", "plot"}
    for event in tasks:
        assert event.keys() >= {"stage", "key", "worker", "seconds", "rows", "how"}
        assert event["worker"].startswith("tcp://127.0.0.1:")
    sizes = {f"{event['stage']}/{event['artifact']}": event["bytes"] for event in tasks if "bytes" in event}
    assert sizes
    assert all((project.run_folder / name).stat().st_size == size for name, size in sizes.items())
    assert re.search(
        r"\n\w+ +\d+ of \d+ tasks  \(.*, \d:\d\d left; 2 workers, [\d.]+ GiB of memory in use\)\n", shown
    ), shown
    assert re.search(r"thumbnail .*[\d.]+ images/s", shown)
    assert re.search(r"pairs .*[\d.]+ pairs/s", shown)


def test_the_dashboard_groups_tasks_by_stage(project: Project) -> None:
    with dask_cluster(project.folder) as section, Client(section["address"], set_as_default=False) as client:
        project.config["scheduler"] = section
        few(project, 16)
        driven(project)
        groups = client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.task_prefixes))
        plugins = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
    assert groups - {"run_bundle"} <= {"thumbnail", "hash", "index", "pairs", "cluster", "plot"}
    assert {"thumbnail", "pairs"} <= groups
    assert not [name for name in plugins if "fast-diff" in name], "other runs may have other needs"


def test_dasks_report_on_the_run(project: Project, tmp_path: Path) -> None:
    few(project, 16)
    report = tmp_path / "report with spaces.html"
    project.config["scheduler"] = {"kind": "local", "workers": 1}
    driven(project, "--performance-report", str(report))
    page = report.read_text()
    assert "<html" in page
    assert "thumbnail" in page


def test_dasks_report_is_refused_where_there_is_none(project: Project, tmp_path: Path) -> None:
    for kind, path in (("synchronous", tmp_path / "x.html"), ("threads", tmp_path / "nowhere" / "x.html")):
        project.config["scheduler"] = {"kind": kind}
        ended = subprocess.run(
            [*project.command(), "--performance-report", str(path)], capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("fast-diff: --performance-report: ")
        assert "Traceback" not in ended.stderr


def test_a_run_in_which_nothing_ends_says_so(project: Project) -> None:
    with dask_cluster(
        project.folder, words=PRELOAD, environment={"MEDDLE_SLOW": "6", "MEDDLE_STAGE": "thumbnail"}
    ) as section:
        project.config["scheduler"] = section | {"min_workers": 2, "patience": 2}
        few(project, 4)
        said = driven(project)
    assert re.search(r"nothing has finished for \d s; the state of the cluster is in .*\.stalled\.json", said)
    state = json.loads((project.run_folder / ".stalled.json").read_text())
    assert len(state["scheduler"]["workers"]) == 2
    assert "run_bundle" in json.dumps(state["call_stack"])


def late_worker(folder: Path, address: str, within: list[str]) -> "subprocess.Popen[bytes]":
    place = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--local-directory", str(folder))
    words = [sys.executable, "-m", "dask", "worker", address, *place, "--name", "late", *PRELOAD]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "MEDDLE_LOG": str(folder / "late.log")}
    folder.mkdir()
    with (folder / "said").open("wb") as said:
        return subprocess.Popen([*within, *words], env=environment, stdout=said, stderr=said)


@pytest.mark.parametrize("fit", [True, False], ids=["fit", "blind"])
def test_a_worker_that_joins_late_is_checked_first(project: Project, tmp_path: Path, fit: bool) -> None:
    (tmp_path / "outputs").mkdir()
    within = [] if fit else elsewhere(tmp_path / "outputs")
    folder = tmp_path / "late"
    with dask_cluster(project.folder, workers=1, words=PRELOAD, environment={"MEDDLE_SLOW": "0.4"}) as section:
        project.config["scheduler"] = section
        with subprocess.Popen(
            project.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as driver:
            while not list(project.run_folder.glob("thumbnail/*.parquet")):
                assert driver.poll() is None
                time.sleep(0.05)
            late = late_worker(folder, section["address"], within)
            try:
                _, said = driver.communicate(timeout=120)
                if not fit:
                    late.wait(20)
                    assert f"does not see the folder {project.run_folder}" in (folder / "said").read_text()
            finally:
                late.kill()
                late.wait()
    assert driver.returncode == 0, said
    assert "Traceback" not in said
    assert bool(begun(folder / "late.log")) if fit else not (folder / "late.log").exists()
