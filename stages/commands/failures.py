"""The images that could not be read, by what was wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from stages.commands.results import Results
from stages.comparing.text import one_line
from stages.decoding.problems import LIMITS, PASSING

PARAMETERS = {problem.sentence: name for problem, name in LIMITS.items()}
"""Sentences of errors that a higher limit may spare an image, and the parameter that sets the limit."""


def lines(results: Results) -> Iterator[str]:
    """Per code, how many there are and whether they are tried again; then each image, with a sentence."""
    rows = results.failures()
    if rows.empty:
        yield "every image could be read"
    for code, some in rows.groupby("error", sort=True):
        yield f"{code}: {len(some):,}{_again(str(code), set(some['error_detail']))}"
        for path, detail in zip(some["path"], some["error_detail"], strict=True):
            yield f"  {one_line(path)}: {detail}"


def _again(code: str, sentences: set[str]) -> str:
    """Return when images with an error code are tried again; empty where never."""
    if code not in PASSING:
        return ""
    if sentences <= PARAMETERS.keys():
        return f"; tried again once thumbnail.{PARAMETERS[sentences.pop()]} is higher"
    return "; the next run tries again"
