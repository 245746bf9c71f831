"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import completion
from pipeline.messages.words import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Argument(click.Argument):
    """A positional argument with a line of help."""

    def __init__(self, name: str, metavar: str, help: str, **more: Any) -> None:
        super().__init__([name], metavar=metavar, **more)
        self.text = help


class PathName(click.ParamType[Path]):
    """Parameter type for the name of a file or folder.

    An empty text, as from an unset shell variable, is refused."""

    name = "path"

    def __init__(self, folder: bool = False) -> None:
        self.folder = folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not value:
            self.fail("expected a name, got an empty text", param, ctx)
        return Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        return _offer(incomplete, "dir" if self.folder else "file")


class FolderOrUrl(click.ParamType[str]):
    """Parameter type for a folder or a URL; an empty text is refused."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("expected a folder or a URL, got an empty text", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        return _offer(incomplete, "dir")


def _offer(incomplete: str, kind: str) -> list[CompletionItem[Any]]:
    """Let the shell complete names; `kind` is click's `file` or `dir`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type=kind)]


class Natural(click.ParamType[int]):
    """Parameter type for a whole number of at least 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not str(value).isdecimal():
            self.fail(f"expected a whole number from 0, got {value!r}", param, ctx)
        return int(value)


class OneOf(click.Choice[str]):
    """Parameter type for one of several fixed words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            words = ", ".join(self.choices[:-1]) + f" or {self.choices[-1]}"
            self.fail(f"expected {words}, got {value!r}{did_you_mean(str(value), self.choices)}", param, ctx)
        return str(value)


def run_argument(name: str = "run", metavar: str = "RUN", text: str = "") -> Argument:
    """Return the optional argument for a finished run."""
    text = text or "A run's folder, or its config (default: the last run in ./outputs)."
    return Argument(name, f"[{metavar}]", text, required=False, shell_complete=completion.runs)


TARGET = run_argument("target")
"""Argument for the run that a command such as `status` reads."""
SET = click.Option(
    ["--set", "sets"],
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key of the config, such as pairs.threshold=100.",
    shell_complete=completion.keys,
)
JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for machines.")
VERBOSE = click.Option(["--verbose"], is_flag=True, help="Print every line, not only a summary.")
QUIET = click.Option(["--quiet"], is_flag=True, help="Print no progress and no summary.")
LOG_FORMAT = click.Option(
    ["--log-format"], type=OneOf(("text", "json")), default="text", help="Format of progress; json: one event a line."
)
