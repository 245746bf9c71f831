"""Acts on the files that a plan removes, and how each act is undone.

    move       to the same path below another folder     trash     to the system's trash
    hardlink   a hard link to the keeper                 symlink   a symbolic link to the keeper
    reflink    a copy-on-write clone of the keeper       delete    can't be undone
    merge      a sidecar of the keeper gets metadata; the journal holds its old and its new bytes

Acts are done in groups, step by step (`steps.py`). TEMPORARY is a file name of a form that this program alone uses
(`names.py`); the journal holds the name before the act begins.

    before   the journal holds all data for undoing the group; the journal's content and name are on disk
    lift     each file is renamed to TEMPORARY in its folder. Then the act checks that TEMPORARY is the file whose bytes
             were read, and that the keeper is unchanged; otherwise the file gets its name back.
             move, trash: the file is linked or copied to TEMPORARY in its new folder.
             links, merge: the replacement, made beforehand as TEMPORARY.new, gets the file's name
    sync     all new names are on disk, and the names of the folders above them
    drop     TEMPORARY in the old folder is removed
    name     move, trash: TEMPORARY in the new folder also gets its final name, never the name of another file
    sync     all new and all removed names are on disk
    clear    temporary names are removed
    after    the journal holds the outcome of each act

Guarantees, whenever the process is killed or the power fails: a file to remove is at its old place, at its new place,
or in a TEMPORARY that the journal names; the bytes are on disk at one of these places before they are removed from
another; keepers are never touched; no other file is overwritten or removed. `undo` looks at the disk, not at the
recorded outcome. `undo` removes only links that an act made, and a TEMPORARY whose bytes the restored file holds, with
its hard links. Until the command has ended, a power cut may bring back a name that `clear` removed; `undo` removes this
name again.

act.py       base class of all acts; delete      folder.py    an open folder, and operations on its files
moving.py    move                                folders.py   the open folders of a group of acts
trash.py     trash                               names.py     free names and temporary names
linking.py   hardlink, symlink, reflink          forecast.py  checks before an act, for dry runs, too
rewriting.py merge                               steps.py     the steps of a group of acts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.commands.apply.actions import LINKS, MERGE
from stages.commands.apply.acts.act import Act, JournalEntry
from stages.commands.apply.acts.folder import Version
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.linking import Link
from stages.commands.apply.acts.moving import Move
from stages.commands.apply.acts.rewriting import Rewrite
from stages.commands.apply.acts.trash import ToFinder, ToTrash

if TYPE_CHECKING:
    from stages.commands.apply.kept_images import KeptImage

KINDS: dict[str, type[Act]] = {"move": Move, "trash": ToTrash, "delete": Act, MERGE: Rewrite}
KINDS |= dict.fromkeys(LINKS, Link)


def act_of(entry: JournalEntry, folders: Folders, seen: Version | None = None, keeper: KeptImage | None = None) -> Act:
    """Return the act of a journal's entry; undoing needs no `seen` and no `keeper`."""
    kind = KINDS[entry["action"]] if entry["action"] != "trash" or entry.get("to") else ToFinder
    return kind(entry, folders, seen, keeper)
