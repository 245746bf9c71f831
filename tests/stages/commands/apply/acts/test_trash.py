"""Trash folders by freedesktop.org's specification: the user's trash, and the trash of other disks."""

import os
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.commands.apply import follow as applying
from stages.commands.apply.acts import forecast, trash
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.trash import INFO_SUFFIX, place_in, trash_for
from stages.commands.apply.journal import read_journal
from stages.commands.plan.plan_file import FORMAT, VERSION, checked
from tests.stages.commands.apply.acting import entry, followed, odd, one, plan_for, state, undone

USER = str(os.getuid())


@pytest.fixture
def disk(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk with the photos, other than the disk of the user's own trash."""
    monkeypatch.setattr(Path, "is_mount", lambda self: self == tmp_path)
    real = trash.nearest_existing

    def nearest_existing(path: Path) -> Any:
        elsewhere = SimpleNamespace(stat=lambda: SimpleNamespace(st_dev=-1))
        return elsewhere if path == tmp_path / "data/Trash" else real(path)

    monkeypatch.setattr(trash, "nearest_existing", nearest_existing)
    return tmp_path


def test_a_file_is_moved_to_the_users_trash_on_its_disk(photos: Path, tmp_path: Path) -> None:
    assert trash_for(photos / "a/1.jpg") == tmp_path / "data/Trash"
    followed(checked(plan_for(photos), "plan"), "trash", tmp_path)
    notes = {path.name: path.read_text().splitlines() for path in (tmp_path / "data/Trash/info").iterdir()}
    files = sorted(path.name for path in (tmp_path / "data/Trash/files").iterdir())
    assert sorted(notes) == sorted(f"{name}{INFO_SUFFIX}" for name in files)
    head, path, date = notes[f"y.jpg{INFO_SUFFIX}"]
    assert (head, path) == ("[Trash Info]", f"Path={photos}/c/y.jpg")
    assert date.startswith("DeletionDate=20")
    assert len(date) == len("DeletionDate=2026-01-01T00:00:00")
    assert "%0A%F0%9F%98%80--yes.jpg" in str(notes)


def test_the_users_trash_without_the_variable(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", None):
        monkeypatch.setenv("XDG_DATA_HOME", value) if value is not None else monkeypatch.delenv("XDG_DATA_HOME")
        assert trash_for(photos / "a/1.jpg") == tmp_path / ".local/share/Trash"


@pytest.mark.parametrize("shared", ["none", "sticky", "not sticky", "a link"])
def test_another_disk_has_a_trash_of_its_own(shared: str, disk: Path, photos: Path) -> None:
    place = disk / ".Trash"
    if shared in ("sticky", "not sticky"):
        place.mkdir()
        place.chmod(0o1777 if shared == "sticky" else 0o777)
    if shared == "a link":
        (disk / "elsewhere").mkdir()
        (disk / "elsewhere").chmod(0o1777)
        place.symlink_to(disk / "elsewhere")
    before = state(photos)
    wanted = place / USER if shared == "sticky" else disk / f".Trash-{USER}"
    assert trash_for(photos / "a/1.jpg") == wanted
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "trash", disk)
    assert tally.done == 3
    assert (wanted / "files/y.jpg").read_bytes() == b"nearly"
    assert "Path=photos/c/y.jpg\n" in (wanted / f"info/y.jpg{INFO_SUFFIX}").read_text()
    assert undone(journal).ok
    assert state(photos) == before
    assert not [path for path in wanted.rglob("*") if path.is_file()]


def test_names_that_the_trash_has_already_are_numbered(photos: Path, tmp_path: Path) -> None:
    """Both files and notes without a file count as taken: the notes belong to another program."""
    home = tmp_path / "data/Trash"
    for name in ("files/y.jpg", f"info/y (2).jpg{INFO_SUFFIX}"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"there before")
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "trash", tmp_path)
    assert tally.done == 3
    assert (home / "files/y (3).jpg").read_bytes() == b"nearly"
    assert undone(journal).ok
    assert (
        (home / "files/y.jpg").read_bytes() == (home / f"info/y (2).jpg{INFO_SUFFIX}").read_bytes() == b"there before"
    )


def test_a_note_that_comes_in_between_is_not_written_over(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(photos)
    guard = trash.ToTrash._announce
    note = tmp_path / f"data/Trash/info/y.jpg{INFO_SUFFIX}"

    def late(act: trash.ToTrash) -> None:
        if act.path.name == "y.jpg":
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text("[Trash Info]\nPath=/somebody/else.jpg\n")
        guard(act)

    monkeypatch.setattr(trash.ToTrash, "_announce", late)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "trash", tmp_path)
    assert list(tally.refused) == [f"another program made {tmp_path / 'data/Trash/files/y.jpg'} meanwhile"]
    assert (photos / "c/y.jpg").read_bytes() == b"nearly"
    assert note.read_text().endswith("else.jpg\n")
    assert undone(journal).ok
    assert state(photos) == before


def test_an_emptied_trash_is_reported_and_files_restored_by_hand_are_accepted(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "trash", tmp_path)
    home = tmp_path / "data/Trash"
    (home / "files/y.jpg").rename(photos / "c/y.jpg")
    (home / f"info/y.jpg{INFO_SUFFIX}").unlink()
    (home / "files/1.jpg").unlink()
    back = undone(journal)
    assert (back.done, list(back.refused.values())) == (1, [1])
    assert "the file was not found in the trash" in str(back.refused)
    assert odd(photos).read_bytes() == b"same"
    assert (photos / "c/y.jpg").read_bytes() == b"nearly"


def test_a_trash_that_cannot_be_written_to_is_foreseen(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    closed = tmp_path / "data"
    closed.mkdir()
    monkeypatch.setattr(
        forecast.os, "access", lambda path, *more, **named: path != closed and access(path, *more, **named)
    )
    _, tally, _ = followed(checked(plan_for(photos), "plan"), "trash", tmp_path, yes=False)
    assert tally.refused == {f"the trash {closed} can't be written to": 3}


def test_two_files_of_one_name_go_to_the_trash_together(photos: Path, tmp_path: Path) -> None:
    shutil.copy2(photos / "b/1.jpg", photos / "c/1.jpg")
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")]}
    group["remove"] = [entry(photos / "b/1.jpg"), entry(photos / "c/1.jpg")]
    before = state(photos)
    _, tally, journal = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "trash", tmp_path)
    assert tally.done == 2
    trash = tmp_path / "data/Trash"
    assert sorted(path.name for path in (trash / "files").iterdir()) == ["1 (2).jpg", "1.jpg"]
    assert sorted(path.name for path in (trash / "info").iterdir()) == ["1 (2).jpg.trashinfo", "1.jpg.trashinfo"]
    assert stat.S_IMODE((trash / "files").stat().st_mode) == 0o700
    assert undone(journal).ok
    assert state(photos) == before


def test_on_a_mac_the_finder_takes_files_to_the_trash(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in takes the place of the library, which is installed on macOS only."""
    finder = SimpleNamespace(send2trash=lambda path: shutil.move(os.fsdecode(path), tmp_path / "in the finder's trash"))
    monkeypatch.setitem(sys.modules, "send2trash", finder)
    monkeypatch.setattr(forecast, "sys", SimpleNamespace(platform="darwin"))
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, tally, journal = followed(one(keep, remove), "trash", tmp_path)
    assert tally.done == 1
    assert (tmp_path / "in the finder's trash").read_bytes() == b"same"
    assert "restore the file there" in str(undone(journal).refused)
    (tmp_path / "in the finder's trash").rename(remove)
    assert undone(journal).ok


@pytest.mark.parametrize("taken", ["files/1.jpg", "info/1.jpg.trashinfo", None])
def test_a_place_in_the_trash_is_free_of_files_notes_and_earlier_acts(taken: str | None, tmp_path: Path) -> None:
    if taken:
        (tmp_path / taken).parent.mkdir()
        (tmp_path / taken).touch()
    first = tmp_path / "files/1.jpg"
    assert (
        place_in(tmp_path, Path("/1.jpg"), lambda place: not taken and place == first) == tmp_path / "files/1 (2).jpg"
    )
    assert place_in(tmp_path, Path("/2.jpg"), lambda place: False) == tmp_path / "files/2.jpg"
    long = place_in(tmp_path, Path(f"/{'x' * 251}.jpg"), lambda place: False)
    assert len(f"{long.name}{INFO_SUFFIX}") == 255


def test_a_file_in_place_of_a_shared_trash_is_none(disk: Path, photos: Path) -> None:
    (disk / ".Trash").touch()
    (disk / ".Trash").chmod(0o1777)
    assert trash_for(photos / "a/1.jpg") == disk / f".Trash-{USER}"


def trashed(photos: Path, tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """Move a file to the trash; return its path, its place in the trash, the note, and the journal."""
    remove = photos / "b/1.jpg"
    _, _, journal = followed(one(photos / "a/1.jpg", remove), "trash", tmp_path)
    home = tmp_path / "data/Trash"
    return remove, home / "files/1.jpg", home / f"info/1.jpg{INFO_SUFFIX}", journal


def test_without_its_trash_a_file_that_is_back_needs_nothing(photos: Path, tmp_path: Path) -> None:
    remove, place, _, journal = trashed(photos, tmp_path)
    place.rename(remove)
    shutil.rmtree(tmp_path / "data")
    assert undone(journal).ok


def test_the_note_of_a_file_in_the_trash_is_kept(photos: Path, tmp_path: Path) -> None:
    _, place, note, journal = trashed(photos, tmp_path)
    place.write_bytes(b"else")
    assert not undone(journal).ok
    assert note.exists()


def test_the_note_of_another_file_is_kept(photos: Path, tmp_path: Path) -> None:
    remove, place, note, journal = trashed(photos, tmp_path)
    place.rename(remove)
    note.write_text("[Trash Info]\nPath=/somebody/else.jpg\n")
    assert undone(journal).ok
    assert note.exists()


def test_notes_with_any_content_are_read(photos: Path, tmp_path: Path) -> None:
    """A name that is not UTF-8, percent signs, no note at all, and the empty note that a killed command leaves."""
    _, _, note, journal = trashed(photos, tmp_path)
    act = trash.ToTrash(read_journal(journal).acts[0], Folders())
    assert act._is_note(note) is True
    note.write_text("")
    assert act._is_note(note) is True
    for text in ("[Trash Info]\n", "Path=/1.jpg", "[Trash Info]\nPath=/2.jpg\n"):
        note.write_text(text)
        assert act._is_note(note) is False
    assert act._is_note(note / "none") is False
    act.path = act.path.with_name(os.fsdecode(b"b\xe9%.jpg"))
    note.write_text("[Trash Info]\nPath=/x/b%E9%25.jpg\n")
    assert act._is_note(note) is True


def test_the_finder_gets_no_file_whose_keeper_has_changed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = SimpleNamespace(send2trash=lambda path: pytest.fail("its keeper has changed"))
    monkeypatch.setitem(sys.modules, "send2trash", finder)
    monkeypatch.setattr(forecast, "sys", SimpleNamespace(platform="darwin"))
    keep, do = photos / "a/1.jpg", applying.do
    plan = one(keep, photos / "b/1.jpg")
    monkeypatch.setattr(applying, "do", lambda acts, folders: (keep.write_bytes(b"else"), do(acts, folders))[1])
    _, tally, _ = followed(plan, "trash", tmp_path)
    assert list(tally.refused) == ["no kept image is present and unchanged"]
