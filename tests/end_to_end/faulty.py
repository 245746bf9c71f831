"""Run on a Dask cluster with injected faults."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.end_to_end.driver import Project
from tests.end_to_end.meddling import begun
from tests.end_to_end.test_schedulers import dask_cluster, is_worker

SLOW = "0.05"
"""Seconds that each task takes longer, so that there is time for faults."""


class Cluster:
    """A run on a Dask cluster of its own, whose workers log the start of each task."""

    def __init__(self, expected: tuple[Project, dict[str, bytes]], folder: Path) -> None:
        project, self.expected = expected
        self.folder, self.log = folder, folder / "begun.log"
        self.project = Project(folder, project.config | {"output": str(folder / "outputs")})
        self._opened = ExitStack()

    def start(self, **environment: str) -> None:
        told = {"MEDDLE_LOG": str(self.log), "MEDDLE_SLOW": SLOW} | environment
        preload = ("--preload", "tests.end_to_end.meddling")
        section = self._opened.enter_context(dask_cluster(self.folder, words=preload, environment=told))
        self.project.config["scheduler"] = section | {"wait_timeout": 5, "min_workers": 2}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def drive(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.project.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def wait_for(self, pattern: str, driver: subprocess.Popen[str]) -> None:
        while not list(self.project.run_folder.glob(pattern)):
            assert driver.poll() is None, driver.stderr and driver.stderr.read()
            time.sleep(0.01)

    def workers(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if is_worker(process, self.folder)]

    def scheduler(self) -> psutil.Process:
        wanted = {"scheduler", str(self.folder / "scheduler.json")}
        (found,) = [p for p in psutil.process_iter() if wanted <= set(cmdline(p))]
        return found

    def ends_well(self, driver: subprocess.Popen[str], twice: int) -> None:
        """Assert success and the expected artifacts, and that at most `twice` tasks started more than once."""
        _, errors = driver.communicate(timeout=120)
        assert driver.returncode == 0, errors
        assert "Traceback" not in errors
        assert self.project.artifacts() == self.expected
        again = {name: count for name, count in begun(self.log).items() if count > 1}
        print(f"tasks that began more than once: {len(again)} of {len(begun(self.log))}")
        assert len(again) <= twice, again


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
