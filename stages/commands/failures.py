"""List the images that could not be read, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.cli.command import Command
from pipeline.cli.parameters import JSON, run_argument
from pipeline.cli.targets import results_of
from pipeline.messages.errors import one_line
from pipeline.messages.say import say
from pipeline.messages.words import counted

if TYPE_CHECKING:
    from stages.commands.results.tables import Results


def failures(run: str | None, as_json: bool) -> int:
    """Print the images, and return the exit code."""
    results = results_of(run)
    if as_json:
        print(results.failures().to_json(orient="records"))
    else:
        say(*lines(results))
    return 0


def lines(results: Results) -> Iterator[str]:
    """Yield a line per error code, each followed by a line per image with the reason."""
    rows = results.failures()
    if rows.empty:
        yield "every image could be read"
    for code, some in rows.groupby("error", sort=True):
        yield f"{code}: {counted(len(some), 'image')}{_again(str(code), set(some['error_detail']))}"
        for path, detail in zip(some["path"], some["error_detail"], strict=True):
            yield f"  {one_line(path)}: {detail}"


def _again(code: str, sentences: set[str]) -> str:
    """Return when a run tries images with an error code again; empty if no run does."""
    from stages.decoding.problems import LIMITS, TRANSIENT_CODES

    if code not in TRANSIENT_CODES:
        return ""
    parameters = {problem.sentence: name for problem, name in LIMITS.items()}  # a higher limit may make images readable
    if sentences <= parameters.keys():
        return f"; tried again once thumbnail.{parameters[sentences.pop()]} is higher"
    return "; the next run tries again"


COMMAND = Command(
    "failures",
    "review",
    does="list the images that could not be read, and why",
    help="List the images of a finished run that could not be read, by error code, each with the reason. The next "
    "run retries transient errors, such as a missing permission; errors in the bytes are final until the file changes.",
    examples={
        "fast-diff failures": "the last run here",
        "fast-diff failures outputs/Pictures --json": "for a script",
    },
    arguments=(run_argument(), JSON),
    function=failures,
)
