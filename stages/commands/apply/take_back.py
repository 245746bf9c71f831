"""Undo the acts of a journal, the last act first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.commands.apply.actions import MERGE
from stages.commands.apply.acts import act_of
from stages.commands.apply.acts.act import Act, JournalEntry
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.steps import take_back
from stages.commands.apply.follow import GROUP
from stages.commands.apply.journal import Journal, read_journal
from stages.commands.apply.planned import why
from stages.commands.apply.tally import Tally
from stages.comparing.text import one_line
from stages.listing.path_text import show

AS_BEFORE = ("restored", "removed")
"""First words of the lines of `undo` about undone acts."""


def undo(path: Path, tally: Tally) -> Iterator[str]:
    """Undo the acts of a journal; yield a line per file.

    Raises ConfigError where the file is not a journal."""
    found = read_journal(path)
    for broken in found.broken:
        tally.refused[broken] += 1
        yield f"not restored  {one_line(str(path))}: {broken}"
    entries = [entry for entry in reversed(found.acts) if entry["state"] != "undone"]
    tally.total = len(entries)
    with Journal(path) as journal, Folders() as folders:
        for group in _groups(entries):
            acts: dict[Act, int] = {act_of(entry, folders): entry["n"] for entry in group}
            failed = take_back(list(acts), folders)
            with contextlib.suppress(OSError):
                folders.sync()  # removed temporary names are on disk before an act counts as undone
            for act in acts:
                if act not in failed:
                    journal.end(acts[act], "undone")
            journal.sync()
            folders.close()
            for act in acts:
                shown = one_line(show(bytes.fromhex(act.entry["path"])))  # the true path: `shown` may be forged
                if act not in failed:
                    if act.changed:
                        tally.restore(act.entry)
                        yield f"{'removed' if _was_new(act) else 'restored'}  {shown}"
                elif act.entry["state"] != "failed":  # a failed act has put its own file back already
                    reason = why(failed[act])
                    tally.refused[reason] += 1
                    yield f"not restored  {shown}: {one_line(reason)}"


def _was_new(act: Act) -> bool:
    """Return whether an act made a new file, so that `undo` removes the file."""
    return act.entry["action"] == MERGE and act.entry.get("before") is None


def _groups(entries: Iterable[JournalEntry]) -> Iterator[list[JournalEntry]]:
    """Yield acts in groups; the acts of a group are on different files, so that acts on one file keep their order."""
    group: dict[str, JournalEntry] = {}
    for entry in entries:
        if len(group) == GROUP or entry["path"] in group:
            yield list(group.values())
            group = {}
        group[entry["path"]] = entry
    if group:
        yield list(group.values())
