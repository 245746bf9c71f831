"""Serve a run's report on this machine: a page that saves decisions and acts on files.

server.py       listens on loopback          session.py     one review: decisions, plans, acts
security.py     refuses foreign requests     decisions.py   the file of decisions
application.py  answers requests             acting.py      dry run, apply and undo, for the page
shown.py        what the report shows        images.py      the run's images by number
facts.py        facts of an image
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.cli.command import Command
from pipeline.cli.parameters import Natural, run_argument
from pipeline.messages.errors import ConfigError
from pipeline.messages.say import say


def review(run: str | None, port: int, no_browser: bool) -> int:
    """Serve the page until Ctrl-C, and return the exit code."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        from pipeline.machine.installation import install_extra

        raise ConfigError(f"review: needs a library that is missing: {install_extra('review')}") from error
    import contextlib

    from pipeline.cli.targets import results_of, target_config
    from stages.commands.review.application import application
    from stages.commands.review.security import PageAddress
    from stages.commands.review.server import browser, listening, serve
    from stages.commands.review.session import FOLDER
    from stages.commands.review.sessions import Sessions

    results = results_of(run)
    if not isinstance(results.folder, Path):
        raise ConfigError(f"{results.folder} is on an object store; expected a run in a folder of this machine")
    config, _ = target_config(str(results.folder))
    with contextlib.closing(Sessions(results.folder, config.settings)) as sessions, listening(port) as opened:
        address = PageAddress(opened.getsockname()[1])
        folder = results.folder / FOLDER
        say(
            f"review      {results.folder}: {address.url}",
            f"decisions   {folder / 'decisions.jsonl'}  (Ctrl-C ends the review)",
        )
        with browser(address, folder) if not no_browser else contextlib.nullcontext():
            serve(application(sessions.current, address), opened)
    say(f"ended; the decisions are in {folder}")
    return 0


class Port(Natural):
    """A port of this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = super().convert(value, param, ctx)
        if number > 65535:
            self.fail(f"expected a port from 0 to 65535, got {number}", param, ctx)
        return number


COMMAND = Command(
    "review",
    "review",
    does="open a run's report in the browser, decide, and clean up on the page",
    help="Serve the report of a finished run from this machine, for this machine's browser only. The page saves each "
    "decision in the run's folder as you make it, and runs the dry run, the actions and the undo of `fast-diff apply` "
    "and `fast-diff undo`. The printed address holds a secret: anyone with the address can act as you. Needs the extra "
    "`review`.",
    examples={
        "fast-diff review outputs/Pictures": "open the page",
        "fast-diff review --no-browser --port 8765": "the last run here, at a fixed port, as for ssh -L",
    },
    arguments=(
        run_argument(),
        click.Option(["--port"], type=Port(), default=0, metavar="N", help="Port on loopback (default: a free one)."),
        click.Option(["--no-browser"], is_flag=True, help="Print the address, and open no browser."),
    ),
    function=review,
    exits={0: "ended by Ctrl-C", 1: "a file can't be read or written", 2: "bad usage, or no finished run"},
)
