"""Run `fast-diff review` in a process of its own, and send plain HTTP requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from stages.commands.results.tables import load_run
from stages.commands.review.shown import read_page

STARTS, ENDS = 60, 20
"""Seconds in which a server starts, and in which a job ends."""


class Answer(NamedTuple):
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Served:
    """A server, and one reader's requests."""

    def __init__(
        self, run: Path, *options: str, environment: Mapping[str, str] | None = None, quiet: bool | None = None
    ) -> None:
        """Start the server; `environment` has the variables for opening a browser, unless `quiet`."""
        quiet = environment is None if quiet is None else quiet
        command = [
            sys.executable,
            "-m",
            "pipeline.cli.main",
            "review",
            str(run),
            *(["--no-browser"] if quiet else []),
            *options,
        ]
        around = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | (environment or {})
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=around)
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], STARTS)
        if not ready:
            self.process.kill()
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise AssertionError(f"{line}{self.process.communicate()}")
        self.url = found[0]
        parts = urlsplit(self.url)
        self.prefix, self.host, self.port = parts.path, parts.netloc, parts.port or 0
        self.secret = parts.query.removeprefix("secret=")
        shown = read_page(load_run(run))
        self.mark = shown.mark
        self.rows = shown.rows
        self.clusters: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            self.clusters.setdefault(row["cluster"], []).append(number)

    def raw(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send one request without changes; `path` starts at the root."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Content-Length": str(len(body))} if body is not None else {}).items():
                connection.putheader(name, value)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.host, "Cookie": f"fast-diff={self.secret}"}

    def get(self, path: str = "") -> Answer:
        return self.raw("GET", self.prefix + path, self.headers)

    def image(self, kind: str, number: object) -> Answer:
        return self.get(f"{kind}/{number}?of={self.mark}")

    def post(self, path: str, **body: Any) -> Answer:
        headers = self.headers | {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        return self.raw("POST", self.prefix + path, headers, json.dumps({"mark": self.mark, **body}).encode())

    def state(self, since: int | None = None) -> Any:
        answer = self.get(f"state?of={self.mark}" + ("" if since is None else f"&since={since}"))
        assert answer.status == 200, answer
        return answer.json

    def decide(self, *changes: Any, label: str = "choose", revision: int = 0) -> Answer:
        return self.post("decide", revision=revision, actions=[{"does": "do", "label": label, "set": list(changes)}])

    def travel(self, does: str, revision: int) -> Answer:
        return self.post("decide", revision=revision, actions=[{"does": does}])

    def proposal(self) -> list[dict[str, Any]]:
        """Return a proposal that keeps the first image of each cluster."""
        groups = self.clusters.items()
        return [{"cluster": number, "keep": images[:1], "remove": images[1:]} for number, images in groups]

    def prepare(self, action: str, to: Path | str = "", **more: Any) -> Answer:
        body = {"revision": self.state()["revision"], "clusters": self.proposal()} | more
        return self.post("plan", action=action, to=str(to), **body)

    def ended(self) -> Any:
        """Wait for the end of the job; return the job."""
        until = time.monotonic() + ENDS
        while time.monotonic() < until:
            work = self.state()["work"]
            if work and work["ended"]:
                return work
            time.sleep(0.02)
        raise AssertionError("the job did not end")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def end(self) -> tuple[int, str]:
        """End as Ctrl-C does; return the exit code, and all that was printed."""
        self.process.send_signal(signal.SIGINT)
        try:
            out, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, out + err

    def _close(self) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


@contextlib.contextmanager
def served(run: Path, *options: str, **more: Any) -> Iterator[Served]:
    """A server that ends with the test."""
    server = Served(run, *options, **more)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
        server._close()


__all__ = ["Answer", "Served", "served"]
