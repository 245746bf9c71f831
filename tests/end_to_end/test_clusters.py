"""Kinds of clusters that a laptop lacks, by imitations; and workers that do not suit a run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.clusters import batch_system, certificates, ssh_host
from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.test_schedulers import dask_cluster

pytestmark = [pytest.mark.drawn, pytest.mark.slow]

BATCH = {"cores": 1, "memory": "2GiB", "walltime": "00:10:00"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, bytes]]:
    project = Project(tmp_path_factory.mktemp("clusters"))
    make_images(project.folder / "images", 20)
    assert project.run() == 0
    return project, project.artifacts()


def same(
    expected: tuple[Project, dict[str, bytes]],
    tmp_path: Path,
    scheduler: dict[str, Any],
    *options: str,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the project anew under another scheduler, and assert equal artifacts, byte for byte."""
    project, artifacts = expected
    other = Project(tmp_path, project.config | {"output": str(tmp_path / "outputs"), "scheduler": scheduler})
    ended = subprocess.run(
        [*other.command(), *options],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | (environment or {}),
    )
    assert ended.returncode == 0, ended.stderr
    assert other.artifacts() == artifacts
    assert "Traceback" not in ended.stderr
    return ended


def test_slurm(expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    path = batch_system(tmp_path / "slurm")
    settings = {"distributed.worker.memory.terminate": 0.97}
    section = {"kind": "slurm", "scale": 2, "min_workers": 2, "host": "127.0.0.1", "cluster": BATCH}
    ended = same(expected, tmp_path, section | {"dask_config": settings}, environment={"PATH": path})
    script = (tmp_path / "slurm" / "job.sh").read_text()
    assert "#SBATCH -t 00:10:00" in script
    assert "export DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE=0.97" in script
    assert "--nthreads 1" in script
    assert "without TLS" not in ended.stderr, "it listens on loopback"


def test_slurm_that_refuses_jobs_is_one_line(expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    path = batch_system(tmp_path / "slurm")
    (tmp_path / "slurm" / "sbatch").write_text("#!/bin/bash\necho 'no such partition' >&2\nexit 1\n")
    section = {"kind": "slurm", "scale": 1, "host": "127.0.0.1", "cluster": BATCH, "wait_timeout": 3}
    other = Project(tmp_path, expected[0].config | {"output": str(tmp_path / "outputs"), "scheduler": section})
    ended = other.spawn(env=os.environ | {"PATH": path})
    assert ended.returncode == 2
    assert "0 of 1 workers joined within 3 s" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_batch_systems_grow_with_the_work_and_encrypt(
    expected: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:
    section = {
        "kind": "slurm",
        "adapt": {"minimum": 1, "maximum": 2},
        "host": "127.0.0.1",
        "tls": "temporary",
        "cluster": BATCH | {"shared_temp_directory": str(tmp_path)},
    }
    same(expected, tmp_path, section, environment={"PATH": batch_system(tmp_path / "slurm")})
    assert "--tls-ca-file" in (tmp_path / "slurm" / "job.sh").read_text()


def test_a_class_of_ones_own(expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    section = {
        "kind": "dask_jobqueue.local:LocalCluster",
        "scale": 1,
        "cluster": {"cores": 1, "memory": "2GiB", "scheduler_options": {"host": "127.0.0.1"}},
    }
    same(expected, tmp_path, section, "--allow-cluster-class")


@pytest.mark.parametrize("encrypted", [False, True], ids=["open", "tls"])
def test_ssh(encrypted: bool, expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    with ssh_host() as port:
        connect = {"known_hosts": None, "port": port, "username": "someone", "client_keys": None}
        hosts = {"hosts": ["127.0.0.1"] * 3, "connect_options": connect, "remote_python": sys.executable}
        section: dict[str, Any] = {"kind": "ssh", "min_workers": 2, "cluster": hosts}
        if encrypted:
            section["tls"] = certificates(tmp_path / "tls", "127.0.0.1")
        ended = same(expected, tmp_path, section)
    assert ("without TLS" in ended.stderr) is not encrypted


def test_local_encrypts(expected: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    same(expected, tmp_path, {"kind": "local", "workers": 2, "tls": "temporary"})


def test_a_run_on_workers_of_less_memory_than_a_block_takes_is_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 4)
    with dask_cluster(tmp_path, memory="300MiB") as section:
        project = Project(tmp_path, {"scheduler": section})
        ended = project.spawn()
    assert ended.returncode == 2
    assert re.search(
        "has 300 MiB of memory for each task, expected [0-9]{3} MiB: raise its limit or give it fewer threads "
        "or lower partition.block",
        ended.stderr,
    )
    assert "Traceback" not in ended.stderr


def elsewhere(*hidden: Path) -> list[str]:
    """Return the words before a command that hide these folders from the command."""
    mounts = " && ".join(f"mount -t tmpfs none '{folder}'" for folder in hidden)
    words = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody here hide folders from a process (unshare --mount)")
    return words


@pytest.mark.parametrize("hidden", ["images", "outputs"])
def test_a_worker_that_does_not_see_the_images_or_the_output_is_named(hidden: str, tmp_path: Path) -> None:
    (image,) = make_images(tmp_path / "images", 1)
    (tmp_path / "outputs").mkdir()
    with dask_cluster(tmp_path, workers=1, within=elsewhere(tmp_path / hidden)) as section:
        project = Project(tmp_path, {"scheduler": section, "inputs": {"a": [str(image)]}})
        ended = project.spawn()
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("fast-diff: worker")]
    if hidden == "images":
        assert line.endswith(f"does not see the input {image}: mount it there under the same path")
    else:
        assert f"does not see the run's folder {project.run_folder}: set output to" in line
