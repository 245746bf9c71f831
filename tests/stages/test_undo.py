"""Undo with journals that somebody wrote on."""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from stages.commands.acts import names
from stages.commands.apply import Tally
from stages.commands.plan import checked
from stages.commands.undo import undo
from tests.stages.acting import followed, one, plan_for, undone


def tampered(journal: Path, **change: Any) -> None:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[1] |= {name: os.fsencode(value).hex() if isinstance(value, Path) else value for name, value in change.items()}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink", "delete"])
@pytest.mark.parametrize("content", [b"", b"sa", b"same", b"same and more", b"other"])
def test_undo_removes_no_file_that_a_journal_names(action: str, content: bytes, photos: Path, tmp_path: Path) -> None:
    """Not even one whose bytes the file holds, which might be its backup."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    backup = tmp_path / "backup/1.jpg"
    backup.parent.mkdir()
    backup.write_bytes(content)
    beside = photos / "b/2.jpg"
    beside.write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        remove.unlink()
    remove.write_bytes(b"same")
    tampered(journal, to=backup)
    undone(journal)
    tampered(journal, temporary=beside)
    undone(journal)
    tampered(journal, temporary=backup)
    undone(journal)
    assert backup.read_bytes() == beside.read_bytes() == content
    assert remove.read_bytes() == b"same"


def test_undo_removes_no_spare_of_another_act(photos: Path, tmp_path: Path) -> None:
    """It may hold the only copy of a file."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), "move", tmp_path)
    spare = names.temporary(remove)
    spare.write_bytes(b"the only copy")
    tampered(journal, temporary=spare)
    assert list(undone(journal).refused) == [f"File exists ({spare})"]
    assert spare.read_bytes() == b"the only copy"


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_undo_gives_no_file_the_rights_of_its_owner(action: str, photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    tampered(journal, mode=0o106755)
    assert undone(journal).ok
    assert stat.S_IMODE(remove.stat().st_mode) == 0o755


def test_extreme_numbers_of_a_journal_are_one_line_each(photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), "symlink", tmp_path)
    text = journal.read_text()
    for change in ({"mtime_ns": ((1 << 63) - 1) * 10**9}, {"mtime_ns": -((1 << 63) - 1) * 10**9}, {"n": 10**30}):
        journal.write_text(text)
        tampered(journal, **change)
        undone(journal)
        assert keep.read_bytes() == b"same"
        if remove.is_symlink():
            journal.write_text(text)
            assert undone(journal).ok
        remove.unlink()
        remove.symlink_to(keep)


def test_one_entry_that_is_spoilt_costs_no_other(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    lines = journal.read_text().splitlines()
    lines[2] = lines[2].replace("path", "pith")
    journal.write_text("\n".join(lines) + "\n")
    tally = Tally()
    said = list(undo(journal, tally))
    assert tally.done == 2
    assert [line.startswith("not taken back") for line in said] == [True, True, False, False]
    assert "line 3: not of a journal" in said[0]
    assert "act 2 ended and was never begun" in said[1]
