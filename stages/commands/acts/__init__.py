"""What can be done to a file that is to go, and how each act is taken back.

    move       to the same path below another folder     trash     to the system's trash
    hardlink   a second name of its keeper               symlink   a pointer to its keeper
    reflink    a copy-on-write clone of its keeper       delete    gone for good

Acts are done in groups, step by step (`steps.py`). TEMPORARY is a name that this program alone gives (`names.py`), and
that the journal knows beforehand.

    before   the journal holds all that is needed to take the group back, and is on disk, its own name included
    lift     each file is renamed to TEMPORARY beside it: only then is it sure which file was got. It must be the one
             whose bytes were read, and what stays must be as it was, looked at anew; else the file gets its name back.
             move, trash: the file is linked or copied to TEMPORARY in its new folder.
             links: what takes its place, made beforehand as TEMPORARY.new, gets the file's name
    sync     all names that came are on disk, and those of the folders above them
    drop     TEMPORARY beside the old place goes
    name     move, trash: TEMPORARY in the new folder gets its true name as well, never that of another file
    sync     all names that came or went are on disk
    clear    names that served until here go
    after    the journal tells what came of each act

What is promised, whenever the process is killed or the power goes: a file that is to go is at its old place, at its new
one, or in a TEMPORARY that the journal names; its bytes are on disk at one of these before they go from another; what
stays is never touched; nobody else's file is written over or removed. `undo` looks at the disk, not at how the act
ended, and removes nothing but a TEMPORARY whose bytes the file holds at its place, and second names of it. What `clear`
takes away may be back after a power cut, until the command has ended; `undo` takes it away again.

act.py       what all acts have in common; delete      folders.py   folders held open, and what is done in them
moving.py    move                                      names.py     names that are free, and our own
trash.py     trash                                     forecast.py  what can be told beforehand
linking.py   hardlink, symlink, reflink                steps.py     acts together, step by step
"""

from __future__ import annotations

from stages.commands.acts.act import Act, Entry, Keeper
from stages.commands.acts.folders import Folders, Version
from stages.commands.acts.linking import Link
from stages.commands.acts.moving import Move
from stages.commands.acts.trash import ToFinder, ToTrash
from stages.commands.choices import LINKS

KINDS: dict[str, type[Act]] = {
    "move": Move,
    "trash": ToTrash,
    "delete": Act,
    **dict.fromkeys(LINKS, Link),
}


def act_of(entry: Entry, folders: Folders, seen: Version | None = None, keeper: Keeper | None = None) -> Act:
    """Return the act that a journal's entry tells of; to do it, `seen` and `keeper` are needed as well."""
    kind = KINDS[entry["action"]] if entry["action"] != "trash" or entry.get("to") else ToFinder
    return kind(entry, folders, seen, keeper)
