"""Scheduler, two workers and driver on separate hosts, encrypted: no part relies on localhost or on a stable
network."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.clusters import certificates
from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.hosts import Hosts, dask_on, impossible

NAMES = ("scheduler", "worker1", "worker2", "driver")
CUT = 6.0
"""Seconds for which a host has no network."""


pytestmark = [pytest.mark.drawn, pytest.mark.slow]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    if reason := impossible():
        pytest.skip(reason)
    with Hosts(NAMES) as made:
        yield made


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, bytes]]:
    project = Project(tmp_path_factory.mktemp("hosts"), {"partition": {"images": 2, "block": 8}})
    make_images(project.folder / "images", 60)
    assert project.run() == 0
    return project, project.artifacts()


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut-for-a-while"])
def test_a_run_across_hosts(
    cut: bool, hosts: Hosts, expected: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:
    project, artifacts = expected
    other = Project(tmp_path, project.config | {"output": str(tmp_path / "outputs")})
    with dask_on(hosts, tmp_path, certificates(tmp_path / "tls", *hosts.address.values())) as section:
        other.config["scheduler"] = section
        with subprocess.Popen(hosts.on("driver", other.command()), stderr=subprocess.PIPE, text=True) as process:
            if cut:
                while not list(other.run_folder.glob("hash/*.parquet")) and process.poll() is None:
                    time.sleep(0.02)
                hosts.wire("worker1", "down")
                time.sleep(CUT)
                hosts.wire("worker1", "up")
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        again = subprocess.run(hosts.on("driver", other.command()), capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert other.artifacts() == artifacts
    assert other.ran() == {}
    assert "without TLS" not in errors


def test_without_a_certificate_no_connection_is_accepted(hosts: Hosts, tmp_path: Path) -> None:
    make_images(tmp_path / "images", 2)
    with dask_on(hosts, tmp_path, certificates(tmp_path / "tls", *hosts.address.values())) as section:
        time.sleep(2)
        strangers = certificates(tmp_path / "others", *hosts.address.values())
        project = Project(tmp_path, {"scheduler": section | {"tls": strangers}})
        ended = subprocess.run(hosts.on("driver", project.command()), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2, json.dumps(ended.stderr)
    assert "does the scheduler use TLS, with a certificate of the same authority?" in ended.stderr
    assert "Traceback" not in ended.stderr
