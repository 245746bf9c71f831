"""Several hosts on one machine: network namespaces, each with one link to a switch and no other network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

PREFIX = "10.77.0"
DASK = [sys.executable, "-m", "dask"]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def impossible() -> str:
    """Return why namespaces can't be made here; empty if they can."""
    name = f"fd{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except FileNotFoundError:
        return "no ip command: apt-get install iproute2"
    except subprocess.CalledProcessError as error:
        return f"this system lets nobody here make network namespaces: {error.stderr.decode().strip()}"
    return ""


class Hosts:
    """Hosts by name, each with an address; `wire` cuts or restores the link to a host."""

    def __init__(self, names: Sequence[str]) -> None:
        self._own = f"fd{os.getpid()}"
        self.address = {name: f"{PREFIX}.{number}" for number, name in enumerate(names, start=1)}

    def __enter__(self) -> Hosts:
        switch = self._space("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for name, address in self.address.items():
            space = self._space(name)
            _ip("netns", "add", space)
            _ip("-n", switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", switch, "link", "set", name, "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *error: object) -> None:
        for name in [*self.address, "switch"]:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", self._space(name))

    def _space(self, name: str) -> str:
        return f"{self._own}-{name}"

    def on(self, name: str, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command on a host."""
        return ["ip", "netns", "exec", self._space(name), *command]

    def wire(self, name: str, state: str) -> None:
        """Cut (`down`) or restore (`up`) the link to a host."""
        _ip("-n", self._space("switch"), "link", "set", name, state)


@contextmanager
def dask_on(hosts: Hosts, folder: Path, tls: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run an encrypted scheduler on the host `scheduler`, and a worker on each host whose name begins with `worker`.

    Returns the driver's config section."""
    secured = ["--protocol", "tls"]
    for flag, key in (("--tls-ca-file", "ca_file"), ("--tls-cert", "cert"), ("--tls-key", "key")):
        secured += [flag, tls[key]]
    where = hosts.address["scheduler"]
    address = f"tls://{where}:8786"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with ExitStack() as stack:

        def start(host: str, *words: str) -> None:
            with (folder / f"{host}.log").open("wb") as log:
                process = subprocess.Popen(
                    hosts.on(host, [*DASK, *words, *secured]), env=environment, stdout=log, stderr=log
                )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start("scheduler", "scheduler", "--host", where, "--port", "8786", "--dashboard-address", "127.0.0.1:0")
        for host in hosts.address:
            if host.startswith("worker"):
                place = ["--host", hosts.address[host], "--local-directory", str(folder / host)]
                size = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "2GiB"]
                pages = ["--dashboard-address", "127.0.0.1:0", "--death-timeout", "60"]
                start(host, "worker", address, *place, *size, *pages)
        yield {"kind": "address", "address": address, "tls": tls, "min_workers": 2, "wait_timeout": 60}
