"""Sockets that listen during a run, for each kind of cluster available here, dashboards included."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.end_to_end.clusters import batch_system, certificates, ssh_host
from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.reviewing import served

pytestmark = pytest.mark.drawn

MARK = "FAST_DIFF_TEST_MARK"


class Door(NamedTuple):
    """A listening socket."""

    host: str
    port: int

    def beyond(self) -> bool:
        return not self.host.startswith("127.") and self.host != "::1"

    def shows_pages(self) -> bool:
        """Return whether the socket speaks HTTP."""
        try:
            with socket.create_connection((self.host, self.port), 1) as connection:
                connection.settimeout(1)
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.recv(5) == b"HTTP/"
        except OSError:
            return False


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv(MARK, uuid.uuid4().hex)  # all that this test starts, on whatever way, inherits it
    with ExitStack() as stack:
        yield stack


def section_of(kind: str, folder: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the config section for a cluster of this kind, without an address to listen at."""
    if kind == "ssh":
        connect = {"known_hosts": None, "port": opened.enter_context(ssh_host()), "client_keys": None}
        hosts = {"hosts": ["127.0.0.1"] * 3, "connect_options": connect, "remote_python": sys.executable}
        return {"kind": "ssh", "min_workers": 2, "cluster": hosts}
    if kind == "slurm":
        monkeypatch.setenv("PATH", batch_system(folder / "slurm"))
        cluster = {"cores": 1, "memory": "2GiB", "walltime": "00:10:00"}
        return {"kind": "slurm", "scale": 2, "min_workers": 2, "cluster": cluster}
    return {"kind": kind} | ({} if kind == "synchronous" else {"workers": 2})


def doors() -> set[Door]:
    """Return the sockets at which processes with this test's mark listen now, without the test's own sockets."""
    found = set()
    for process in psutil.process_iter():
        try:
            ours = process.pid != os.getpid() and process.environ().get(MARK) == os.environ[MARK]
            for each in process.net_connections("inet") if ours else ():
                if each.status == psutil.CONN_LISTEN:
                    found.add(Door(each.laddr.ip, each.laddr.port))
        except psutil.Error:
            continue
    return found


def seen(project: Project) -> tuple[dict[Door, bool], str]:
    """Return all sockets that listened during a run, with whether they speak HTTP; and the run's output."""
    found: dict[Door, bool] = {}
    command = project.command()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            found |= {door: door.shows_pages() for door in doors() - found.keys()}
            time.sleep(0.1)
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == 0, said
    return found, said


def test_the_review_listens_on_loopback(tmp_path: Path, opened: ExitStack) -> None:
    make_images(tmp_path / "images", 10)
    project = Project(tmp_path)
    assert project.run() == 0
    with served(project.run_folder) as server:
        assert doors() == {Door("127.0.0.1", server.port)}
        assert all(door.shows_pages() for door in doors())
    assert doors() == set()


LEAST = {"synchronous": 0, "threads": 1, "local": 3, "slurm": 4, "ssh": 4}
"""The sockets that must be found: the pages of a scheduler and of two workers, where these exist."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(LEAST))
def test_nothing_listens_beyond_loopback(
    kind: str, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images", 30)
    here = {} if kind in ("synchronous", "threads", "local") else {"host": "127.0.0.1"}
    project = Project(tmp_path, {"scheduler": section_of(kind, tmp_path, opened, monkeypatch) | here})
    found, said = seen(project)
    print(f"{kind}: {found}")
    assert not [door for door in found if door.beyond()]
    assert len(found) >= LEAST[kind]
    assert "without TLS" not in said


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True], ids=["open", "tls"])
@pytest.mark.parametrize("kind", ["slurm", "ssh"])
def test_remote_workers_are_reached_but_no_page_is_shown_to_other_machines(
    kind: str, encrypted: bool, tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images", 30)
    section = section_of(kind, tmp_path, opened, monkeypatch)
    if encrypted:
        section["tls"] = certificates(tmp_path / "tls", "127.0.0.1")
    found, said = seen(Project(tmp_path, {"scheduler": section}))
    print(f"{kind}: {found}")
    assert [door for door in found if door.beyond()]
    assert not [door for door, pages in found.items() if door.beyond() and pages]
    assert [door for door, pages in found.items() if pages]
    assert ("without TLS" in said) is not encrypted
