"""`undo` with edited journals."""

import contextlib
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import take_back as undoing
from stages.commands.apply.acts import names
from stages.commands.apply.journal import Journal, read_journal
from stages.commands.apply.take_back import undo
from stages.commands.apply.tally import Tally
from stages.commands.plan.plan_file import checked
from tests.stages.commands.apply.acting import followed, one, plan_for, syncs, tampered, undone


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink", "delete"])
@pytest.mark.parametrize("content", [b"", b"sa", b"same", b"same and more", b"other"])
def test_undo_removes_no_file_that_a_journal_names(action: str, content: bytes, photos: Path, tmp_path: Path) -> None:
    """This includes files whose bytes the restored file holds: such a file may be its backup."""
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
    """The temporary file of another act may hold the only copy of a file."""
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
    assert list(tally.refused.values()) == [1, 1]
    assert [line.startswith("not restored") for line in said] == [True, True, False, False]
    assert "line 3: not an event of a journal" in said[0]
    assert "act 2 ends but does not begin" in said[1]


# groups, and the order of syncs


def test_an_undone_act_is_not_undone_again(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    assert undone(journal).done == 1
    (photos / "b/1.jpg").unlink()
    assert undone(journal) == Tally()


def test_groups_are_undone_one_after_the_other(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    sizes: list[int] = []
    back = undoing.take_back

    def counted(acts: Any, folders: Any) -> Any:
        sizes.append(len(acts))
        return back(acts, folders)

    monkeypatch.setattr(undoing, "take_back", counted)
    monkeypatch.setattr(undoing, "GROUP", 2)
    assert undone(journal).done == 3
    assert sizes == [2, 1]


def test_two_acts_on_one_file_are_undone_one_after_the_other(photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    for _ in range(2):
        _, tally, journal = followed(one(keep, remove), "move", tmp_path)
        assert tally.done == 1
        shutil.copy2(keep, remove)
    remove.unlink()
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"
    assert [act["state"] for act in read_journal(journal).acts] == ["undone", "undone"]


def test_a_group_is_recorded_and_closed_before_its_lines_are_printed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    monkeypatch.setattr(undoing, "GROUP", 1)
    lines = undo(journal, Tally())
    next(lines)
    assert [act["state"] for act in read_journal(journal).acts] == ["done", "done", "undone"]
    opened = [place for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
    assert not [place for place in opened if photos in place.readlink().parents]
    assert len(list(lines)) == 2


def test_temporary_names_are_removed_on_disk_before_an_act_counts_as_undone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, journal = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    happened = syncs(monkeypatch)
    end = Journal.end
    monkeypatch.setattr(Journal, "end", lambda self, *words: (happened.append("end"), end(self, *words)))
    assert undone(journal).ok
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {photos}/b/.fast-diff-"))
    assert f"sync {photos}/b" in happened[gone : happened.index("end")]
