"""Each test runs under every scheduler: equal artifacts, a bounded window, failures of single tasks."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.driver import Project, make_images

pytestmark = pytest.mark.drawn

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("threads", "local", "address")]
KINDS = ("auto", *SLOW)
"""Kinds of schedulers besides `synchronous`, which computes `expected`."""


@contextmanager
def dask_cluster(
    folder: Path,
    workers: int = 2,
    memory: str = "2GiB",
    within: Sequence[str] = (),
    words: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Start a scheduler and workers as a user does, on loopback; return the config section that names them.

    `within` are words before the workers' command, `words` are appended to the command."""
    file = folder / "scheduler.json"
    told = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})}
    dask = [sys.executable, "-m", "dask"]
    host = ["--host", "127.0.0.1"]
    with ExitStack() as stack:

        def start(*words: str, within: Sequence[str] = ()) -> None:
            process = subprocess.Popen(
                [*within, *dask, *words], env=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

        start("scheduler", *host, "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file))
        start(
            *("worker", "--scheduler-file", str(file), *host, "--nworkers", str(workers), "--nthreads", "1"),
            *("--memory-limit", memory, "--no-dashboard", "--death-timeout", "20"),
            *("--local-directory", str(folder / "scratch"), *words),
            within=within,
        )
        end = time.monotonic() + 30
        while not (file.exists() and file.read_text().endswith("}")) and time.monotonic() < end:
            time.sleep(0.05)
        yield {"kind": "address", "address": json.loads(file.read_text())["address"]}


@contextmanager
def scheduler_section(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    if kind == "address":
        with dask_cluster(folder) as section:
            yield section
    else:
        yield {"kind": kind} | ({} if kind == "synchronous" else {"workers": 2})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, bytes]]:
    project = Project(tmp_path_factory.mktemp("schedulers"))
    make_images(project.folder / "images", 24)
    assert project.run() == 0
    return project, project.artifacts()


@pytest.mark.parametrize("kind", KINDS)
def test_every_scheduler_gives_the_same_artifacts(
    kind: str, expected: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:
    project, artifacts = expected
    shutil.rmtree(project.run_folder)
    with scheduler_section(kind, tmp_path) as section:
        project.config["scheduler"] = section
        first = project.spawn()
        assert first.returncode == 0, first.stderr
        assert project.artifacts() == artifacts
        ran = project.ran()
        assert project.run() == 0, "with nothing to do, no scheduler is asked"
        assert project.ran() == {}
    assert ran["thumbnail"] == len([name for name in artifacts if name.startswith("thumbnail/")])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "local"])
def test_a_failed_task_affects_no_other_task(kind: str, tmp_path: Path) -> None:
    make_images(tmp_path / "images", 16)
    project = Project(tmp_path, {"partition": {"images": 2, "block": 4}})
    assert project.run() == 0
    name = sorted((project.run_folder / "pairs").iterdir())[1].name
    key = name.rpartition("-")[0]
    shutil.rmtree(project.run_folder / "pairs")
    (project.run_folder / "pairs").mkdir()
    (project.run_folder / "pairs" / name).mkdir()  # a folder blocks the artifact's path
    with scheduler_section(kind, tmp_path) as section:
        project.config["scheduler"] = section
        ended = project.spawn()
        assert ended.returncode == 1
        assert f"pairs/{key} failed" in ended.stderr
        assert "Traceback" not in ended.stderr
        record = project.record()
        assert record["stages"]["pairs"]["tasks_failed"] == 1
        assert record["stages"]["pairs"]["tasks_run"] >= 1
        assert record["stages"]["cluster"]["tasks_run"] == 0
        (project.run_folder / "pairs" / name).rmdir()
        again = project.spawn()
        assert again.returncode == 0, again.stderr
        assert project.ran() == {"pairs": 1}


def is_worker(process: psutil.Process, folder: Path) -> bool:
    """Return whether a process is a worker (a nanny's child) of the cluster in `folder`."""
    try:
        parent = process.parent()
        return bool(
            parent and str(folder) in " ".join(parent.cmdline()) and "spawn_main" in " ".join(process.cmdline())
        )
    except psutil.Error:
        return False


@pytest.mark.slow
def test_no_scheduler_at_the_address_is_one_line(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 2)
    project = Project(tmp_path, {"scheduler": {"kind": "address", "address": "tcp://127.0.0.1:9"}})
    ended = project.spawn()
    assert ended.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr
