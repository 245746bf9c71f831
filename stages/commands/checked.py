"""What a check has found, in words and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.commands.check import Checked
from stages.commands.show import distance, turn
from stages.comparing.text import one_line

SHOWN = 20
"""Unreadable images that are named."""
COLUMNS = ("rotation", "measured", "borderline")


def match_lines(checked: Checked) -> Iterator[str]:
    """A line a match, nearest first: the new image, the old one, how far apart they are, the turn of the new one."""
    for row in checked.matches.to_dict("records"):
        new, old = one_line(row["path_b"]), one_line(row["path_a"])
        yield f"{new}  matches  {old}  {distance(row, checked.figure)}{turn(row)}"


def summary_lines(checked: Checked) -> Iterator[str]:
    """How many images were looked at, and what came of it."""
    found, failed = checked.found, checked.unreadable
    if found.known:
        yield f"known       {found.known:,} images that the run has, unchanged since: left out"
    yield f"new         {len(found.files):,} images{f', {len(failed):,} of them unreadable' if failed else ''}"
    for row in failed[:SHOWN]:
        yield f"unreadable  {one_line(row['path'])}: {row['error_detail'] or row['error']}"
    if len(failed) > SHOWN:
        yield f"unreadable  and {len(failed) - SHOWN:,} more; --json has them all"
    if len(found.changed):
        yield f"changed     {len(found.changed):,} of them since the run, whose old state does not count"
    ledger = checked.ledger
    parts = [f"{ledger.get('decided', 0):,} compared"]
    parts += [f"{ledger['identical']:,} known as identical"] if ledger.get("identical") else []
    parts += [f"{ledger['skipped_by_rule']:,} skipped by rule"] if ledger.get("skipped_by_rule") else []
    yield f"pairs       {ledger.get('pairs_total', 0):,}  ({', '.join(parts)})"
    yield f"matches     {len(checked.matches):,}"


def as_dict(checked: Checked) -> dict[str, Any]:
    """The same as JSON data. `rotation`: degrees that the new image is turned by, counter-clockwise."""
    figure, ledger = checked.figure, checked.ledger
    rows = checked.matches.to_dict("records")
    return {
        "against": str(checked.config.settings("inputs.a")[0]),
        "results": str(checked.config.folder),
        "new": len(checked.found.files),
        "known": checked.found.known,
        "changed": len(checked.found.changed),
        "unreadable": list(checked.unreadable),
        "pairs": ledger.get("pairs_total", 0),
        "matches": [
            {"new": row["path_b"], "old": row["path_a"], figure: row[figure]} | {name: row[name] for name in COLUMNS}
            for row in rows
        ],
        "warnings": list(checked.warnings),
    }


def fails(checked: Checked, on: str) -> str:
    """What was found of what the gate is to fail on, in words; nothing where there is none. `identical`: at distance 0,
    and looked at."""
    rows = checked.matches
    if on == "identical":
        rows = rows[(rows[checked.figure] == 0) & rows["measured"]]
    what = {"match": "that match", "identical": "that are identical"}.get(on)
    pairs = "1 pair" if len(rows) == 1 else f"{len(rows):,} pairs"
    return f"{pairs} of a new and an old image {what}" if what and len(rows) else ""
