"""Count and summarize the files that `apply` or `undo` changed or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.messages.words import counted
from stages.commands.apply.actions import LINKS, MERGE, REPORT
from stages.commands.plan.plan_file import RemovalPlan
from stages.commands.results.by_folder import FolderCount, as_records, folder_counts, folder_lines, known_images
from stages.comparing.text import human_bytes, one_line

SHOWN = 20
"""Conflicts that a summary lists."""
DONE = {"move": "moved", "trash": "moved to the trash", "delete": "deleted", REPORT: "to remove"} | dict.fromkeys(
    LINKS, "linked"
)


@dataclass
class Tally:
    """Counts of changed and refused files, of a plan or a journal."""

    done: int = 0
    bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The first file refused for each reason."""
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Files done and their bytes, by folder."""
    total: int = field(default=0, compare=False)
    """Files to do."""
    companions: int = 0
    """Companions done with their images; `done` and `bytes` count images."""
    companion_bytes: int = 0
    sidecars: int = 0
    """Sidecars that got metadata, or that were restored."""
    conflicts: list[Mapping[str, str]] = field(default_factory=list)
    """Values that a sidecar did not get."""

    def merge(self, sidecar: Path | None, conflicts: Sequence[Mapping[str, str]]) -> None:
        """Count a sidecar that got metadata, if any, and conflicts."""
        self.sidecars += sidecar is not None
        self.conflicts += conflicts

    def restore(self, entry: Mapping[str, Any]) -> None:
        """Count a restored file, by its journal entry."""
        if entry["action"] == MERGE:
            self.sidecars += 1
        elif entry.get("image"):
            self.companions += 1
            self.companion_bytes += entry["bytes"]
        else:
            self.done += 1
            self.bytes += entry["bytes"]

    @property
    def ok(self) -> bool:
        """Return whether nothing was refused."""
        return not self.refused


def amount(tally: Tally) -> str:
    """Return the number and bytes of the files done, and of their companions."""
    files = f"{counted(tally.done, 'file')}, {human_bytes(tally.bytes)}"
    if not tally.companions:
        return files
    return f"{files}, and {counted(tally.companions, 'companion')}, {human_bytes(tally.companion_bytes)},"


def restored(tally: Tally) -> str:
    """Return counts of restored and of unrestored files as a line."""
    sidecars = f", {counted(tally.sidecars, 'sidecar')} as before" if tally.sidecars else ""
    return f"{amount(tally)} restored{sidecars}; {tally.refused.total():,} not restored"


def conflict_text(conflict: Mapping[str, str]) -> str:
    """Return a line about a value that a sidecar did not get."""
    stays = f"stays {conflict['kept']!r}" if conflict["kept"] else "stays empty"
    return one_line(f"{conflict['keeper']}: {conflict['field']} {stays}; {conflict['image']} has {conflict['other']!r}")


def by_folders(tally: Tally, plan: RemovalPlan) -> list[FolderCount]:
    """Return the folders of the files done."""
    return folder_counts(tally.folders, known_images(plan.run))


def as_dict(tally: Tally, action: str, journal: Path | None, folders: Sequence[FolderCount]) -> dict[str, Any]:
    """Return the outcome as JSON data; `dry_run`: no file was touched."""
    return {
        "action": action,
        "dry_run": journal is None,
        "files": tally.done,
        "bytes": tally.bytes,
        "companions": tally.companions,
        "companion_bytes": tally.companion_bytes,
        "sidecars": tally.sidecars,
        "conflicts": tally.conflicts,
        "folders": as_records(folders),
        "left_alone": dict(tally.refused),
        "journal": str(journal) if journal else None,
    }


def details(tally: Tally, action: str, journal: Path | None, folders: Sequence[FolderCount]) -> Iterator[str]:
    """Yield a line per reason for which files are left alone, per folder, and per conflict."""
    for reason, count in tally.refused.items():
        yield f"left alone  {counted(count, 'file')}, such as {tally.first[reason]}: {one_line(reason)}"
    yield from folder_lines(folders, "would be removed" if action == REPORT else _outcome(action, journal))
    for each in tally.conflicts[:SHOWN]:
        yield f"conflict    {conflict_text(each)}"
    if tally.conflicts[SHOWN:]:
        yield f"conflict    {len(tally.conflicts) - SHOWN:,} more; --verbose lists all"


def totals(tally: Tally, action: str, journal: Path | None) -> Iterator[str]:
    """Yield the number of files done and left alone, and the number of sidecars written."""
    yield f"{amount(tally)} {_outcome(action, journal)}; {tally.refused.total():,} left alone"
    if tally.sidecars or tally.conflicts:
        wrote = "written" if journal else "would be written"
        yield f"metadata    {counted(tally.sidecars, 'sidecar')} {wrote}; {counted(len(tally.conflicts), 'conflict')}"


def _outcome(action: str, journal: Path | None) -> str:
    return DONE[action] if journal or action == REPORT else f"would be {DONE[action]}"


def summary(
    tally: Tally, action: str, journal: Path | None, folders: Sequence[FolderCount] | None = None
) -> Iterator[str]:
    """Yield the lines that end the command's output.

    `folders`: of the files done; None: each file has a line already."""
    if folders is not None:
        yield from details(tally, action, journal, folders)
    yield from totals(tally, action, journal)
    if journal and not tally.done:
        yield f"journal     {journal}"
    elif journal and action == "delete":
        yield f"journal     {journal}  (deleted files can't be restored)"
    elif journal:
        yield f"journal     {journal}  (undo: fast-diff undo {journal})"
    elif action != REPORT:
        yield f"dry run: {'no file was changed; add --yes to change files' if tally.done else 'nothing to change'}"
