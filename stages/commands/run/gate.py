"""Decide `--fail-on`: whether a run found matches or identical images."""

from __future__ import annotations

import pyarrow.compute as pc

from stages.commands.results.tables import Results


def fails(results: Results, on: str) -> str:
    """Return why the run fails, as text; empty where it passes.

    `identical`: images at a measured distance of 0.

    With two sets, only images of one set are compared with images of the other."""
    two = bool(results.summary["config"]["inputs"]["b"])
    if on == "match":
        count = results.summary["ledger"]["matches"]
        of = "an image of inputs.a and one of inputs.b" if two else "images"
        return f"{count:,} pairs of {of} match" if count else ""
    for table in results.tables("pairs", (results.comparison.column, "measured")):
        if pc.any(pc.and_(pc.equal(table[0], 0), table[1])).as_py():
            return "some images of inputs.b are identical to images of inputs.a" if two else "some images are identical"
    return ""
