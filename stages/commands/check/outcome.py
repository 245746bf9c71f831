"""The outcome of a check, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.messages.words import counted, verb
from stages.commands.check.compare import Checked
from stages.commands.show.lines import distance, turn
from stages.comparing.text import one_line

SHOWN = 20
"""Maximum number of unreadable images that the summary lists."""
COLUMNS = ("rotation", "mirrored", "measured", "borderline")


def match_lines(checked: Checked) -> Iterator[str]:
    """Yield a line for each match, nearest first.

    A line names the new image, the old image, their distance and the rotation."""
    for row in checked.matches.to_dict("records"):
        new, old = one_line(row["path_b"]), one_line(row["path_a"])
        yield f"{new}  matches  {old}  {distance(row, checked.figure)}{turn(row)}"


def summary_lines(checked: Checked) -> Iterator[str]:
    """Yield counts of images, of pairs and of matches."""
    found, failed = checked.found, checked.unreadable
    if found.known:
        yield f"known       {counted(found.known, 'image')} of the run, unchanged and therefore not compared"
    yield f"new         {counted(len(found.files), 'image')}{f', {len(failed):,} of them unreadable' if failed else ''}"
    for row in failed[:SHOWN]:
        yield f"unreadable  {one_line(row['path'])}: {row['error_detail'] or row['error']}"
    if len(failed) > SHOWN:
        yield f"unreadable  and {len(failed) - SHOWN:,} more; --json has them all"
    if len(found.changed):
        yield f"changed     {counted(len(found.changed), 'image')} since the run; the earlier content is not compared"
    ledger = checked.ledger
    parts = [f"{ledger.get('decided', 0):,} compared"]
    parts += [f"{ledger['identical']:,} covered by an identical image"] if ledger.get("identical") else []
    parts += [f"{ledger['skipped_by_rule']:,} skipped by rule"] if ledger.get("skipped_by_rule") else []
    yield f"pairs       {ledger.get('pairs_total', 0):,}  ({', '.join(parts)})"
    yield f"matches     {len(checked.matches):,}"


def as_dict(checked: Checked) -> dict[str, Any]:
    """Return the outcome as JSON data.

    `rotation`: degrees by which the new image is turned, counter-clockwise; `mirrored`, in runs with pairs.mirror:
    whether the new image is mirrored first."""
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
            {"new": row["path_b"], "old": row["path_a"], figure: row[figure]}
            | {name: row[name] for name in COLUMNS if name in row}
            for row in rows
        ],
        "warnings": list(checked.warnings),
    }


def fails(checked: Checked, on: str) -> str:
    """Return why the gate fails, as text; empty where the gate passes.

    If `on` is "identical", only matches at a measured distance of 0 count."""
    rows = checked.matches
    if on == "identical":
        rows = rows[(rows[checked.figure] == 0) & rows["measured"]]
    what = {"match": verb(len(rows), "matches", "match"), "identical": verb(len(rows), "is identical", "are identical")}
    return f"{counted(len(rows), 'pair')} of a new and an old image {what[on]}" if on in what and len(rows) else ""
