"""The images that could not be read, by what was wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from stages.commands.results import Results
from stages.decoding.problems import PASSING
from stages.text import one_line


def lines(results: Results) -> Iterator[str]:
    """Per code, how many there are and whether they are tried again; then each image, with a sentence."""
    rows = results.failures()
    if rows.empty:
        yield "every image could be read"
    for code, some in rows.groupby("error", sort=True):
        again = "; the next run tries again" if code in PASSING else ""
        yield f"{code}: {len(some):,}{again}"
        for path, detail in zip(some["path"], some["error_detail"], strict=True):
            yield f"  {one_line(path)}: {detail}"
