"""Serve the application on loopback until Ctrl-C, and open the browser."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import warnings
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from pipeline.machine.interrupts import interrupts
from pipeline.messages.errors import ConfigError
from stages.commands.review.security import PageAddress

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
BACKLOG = 2048
OPENER = "open.html"
"""File that leads the browser to the page: other users of the machine see a browser's arguments, not this file."""


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Return a socket that listens on loopback; `port` 0: a free one. Raises ConfigError."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((HOST, port))
            opened.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            cause = error.strerror if isinstance(error, OSError) else "expected a port from 0 to 65535"
            raise ConfigError(f"--port: {port} can't be used ({cause}); choose another, or leave --port out") from error
        yield opened


class Server(uvicorn.Server):
    """A server that sets the event `ready` as soon as the server answers."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def serve(app: ASGIApp, opened: socket.socket) -> None:
    """Answer requests until Ctrl-C, or until the process is asked to end."""
    with interrupts(), warnings.catch_warnings(), contextlib.suppress(KeyboardInterrupt):
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # after Ctrl-C before the first request
        Server(app).run(sockets=[opened])  # raises a signal again after the end


@contextlib.contextmanager
def browser(address: PageAddress, folder: Path) -> Iterator[None]:
    """Open the page in the user's browser, where there is a desktop."""
    path = folder / OPENER
    try:
        if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "w") as file:
                os.fchmod(number, 0o600)
                file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={address.url}">\n')
            threading.Thread(target=_open, args=(path.absolute().as_uri(),), daemon=True).start()
        yield
    finally:
        path.unlink(missing_ok=True)


def _open(url: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
