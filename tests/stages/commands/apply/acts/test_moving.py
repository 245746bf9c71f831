"""Moves: how a file reaches its new folder, on this disk or another, and what `undo` finds in that folder."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply.acts import moving
from stages.commands.apply.acts.act import path_in
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.moving import Move, attributes, carry, copy, set_attributes
from stages.commands.apply.journal import read_journal
from tests.stages.commands.apply.acting import followed, leftovers, one, other_disk, state, syncs, undone

TIME = 10**18 + 7
ENTRY = {"bytes": 4, "digest": sha256(b"mine").hexdigest()}


@pytest.fixture
def ways(tmp_path: Path) -> Iterator[tuple[Folder, Folder]]:
    """A folder with a file, and an empty folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/a").write_bytes(b"mine")
    (tmp_path / "one/a").chmod(0o640)
    os.utime(tmp_path / "one/a", ns=(TIME, TIME))
    with Folders() as folders:
        source, target = folders.find(tmp_path / "one"), folders.find(tmp_path / "two")
        assert source
        assert target
        yield source, target


def refuse(number: int) -> Callable[..., None]:
    """Return a system call that fails with this error."""

    def refused(*_: Any, **more: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def test_a_file_is_linked_into_its_new_folder(ways: tuple[Folder, Folder]) -> None:
    source, target = ways
    carry(source, target, "a", ENTRY)
    assert (source.path / "a").samefile(target.path / "a")
    assert (source.loose, target.loose) == (False, True)


def test_a_symbolic_link_is_carried_as_such(ways: tuple[Folder, Folder]) -> None:
    source, target = ways
    (source.path / "link").symlink_to("a")
    carry(source, target, "link", ENTRY)
    assert (target.path / "link").is_symlink()


def test_nothing_is_carried_to_a_name_that_is_taken(ways: tuple[Folder, Folder]) -> None:
    source, target = ways
    (target.path / "a").write_bytes(b"other")
    with pytest.raises(FileExistsError, match=str(target.path / "a")):
        carry(source, target, "a", ENTRY)
    assert (target.path / "a").read_bytes() == b"other"


def test_without_hard_links_a_file_is_renamed(ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = ways
    inode = (source.path / "a").stat().st_ino
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    carry(source, target, "a", ENTRY)
    assert not (source.path / "a").exists()
    assert (target.path / "a").stat().st_ino == inode
    assert source.loose


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM])
def test_on_another_disk_a_file_is_copied_once_its_own_name_is_on_disk(
    ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    source, target = ways
    happened = syncs(monkeypatch)
    monkeypatch.setattr(os, "link", refuse(number))
    if number == errno.EPERM:
        monkeypatch.setattr(os, "rename", refuse(errno.EXDEV))
    carry(source, target, "a", ENTRY)
    assert [(path / "a").read_bytes() for path in (source.path, target.path)] == [b"mine", b"mine"]
    assert happened == [f"sync {source.path}", f"sync {target.path / 'a'}"]


def test_a_file_that_can_be_renamed_to_another_folder_is_not_taken_for_one_on_another_disk(
    ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = ways
    assert moving._renamed(source, target, "a") is True
    monkeypatch.setattr(os, "rename", refuse(errno.EXDEV))
    assert moving._renamed(target, source, "a") is False


def test_other_errors_of_links_and_renames_are_reported(
    ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = ways
    for number in (errno.EIO, errno.EPERM):
        monkeypatch.setattr(os, "link", refuse(number))
        if number == errno.EPERM:
            monkeypatch.setattr(os, "rename", refuse(errno.EIO))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            carry(source, target, "a", ENTRY)
        assert not list(target.path.iterdir())


def test_a_copy_with_wrong_bytes_is_removed(ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = ways
    monkeypatch.setattr(os, "link", refuse(errno.EXDEV))
    monkeypatch.setattr(shutil, "copyfileobj", lambda source, target, size: target.write(b"torn"))
    with pytest.raises(ActRefused) as told:
        carry(source, target, "a", ENTRY)
    place = target.path / "a"
    assert str(told.value) == f"the copy on the other disk ({place}) differs from the file; the file stays"
    assert not place.exists()


def test_a_copy_has_mode_time_owner_and_tags(ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = ways
    owners: list[tuple[int, int]] = []
    tags: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(os, "fchown", lambda number, user, group: owners.append((user, group)))
    monkeypatch.setattr(os, "setxattr", lambda number, name, value: tags.append((name, value)), raising=False)
    monkeypatch.setattr(os, "listxattr", lambda number: ["user.tags"], raising=False)
    monkeypatch.setattr(os, "getxattr", lambda number, name: b"beach", raising=False)
    copy(source, "a", target, "b")
    made = (target.path / "b").stat()
    assert (target.path / "b").read_bytes() == b"mine"
    assert (stat.S_IMODE(made.st_mode), made.st_mtime_ns) == (0o640, TIME)
    assert owners == [(os.getuid(), os.getgid())]
    assert tags == [(b"user.tags", b"beach")]


def test_a_file_gets_no_rights_of_its_owner_and_no_owner_where_none_is_known(ways: tuple[Folder, Folder]) -> None:
    source, _ = ways
    with source.opened("a") as file:
        set_attributes(file.fileno(), [], {}, 0o106755, TIME + 1)
    found = (source.path / "a").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o755, TIME + 1)


def test_owners_and_tags_that_may_not_be_set_are_left_out(
    ways: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = ways
    for name in ("fchown", "setxattr", "listxattr"):
        monkeypatch.setattr(os, name, refuse(errno.EPERM), raising=False)
    with source.opened("a") as file:
        set_attributes(file.fileno(), [0, 0], {b"user.tags".hex(): b"beach".hex()}, 0o600, TIME)
        assert attributes(file.fileno()) == {}


# files at the new place and at the old place


def moved(photos: Path, tmp_path: Path, action: str = "move") -> tuple[Path, Path, Path, Path, Path]:
    """Move a file; return its old path, its new path, the temporary names beside both, and the journal."""
    remove = photos / "b/1.jpg"
    _, tally, journal = followed(one(photos / "a/1.jpg", remove), action, tmp_path)
    assert tally.ok
    (act,) = read_journal(journal).acts
    to, spare = path_in(act["to"]), path_in(act["temporary"])
    return remove, to, spare, to.with_name(spare.name), journal


@pytest.mark.parametrize("foreign", [False, True])
def test_a_file_whose_new_name_fails_is_put_back(
    foreign: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file may have taken the new name: this file stays."""
    before, name = state(photos), Move.name

    def late(act: Move) -> None:
        if not foreign:
            raise OSError(errno.EIO, "no name")
        act._to.write_bytes(b"other")
        name(act)

    monkeypatch.setattr(Move, "name", late)
    to = tmp_path / "moved" / (photos / "b/1.jpg").relative_to("/")
    _, tally, _ = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    assert list(tally.refused) == [f"another program made {to} meanwhile" if foreign else "no name"]
    assert state(photos) == before
    assert (to.read_bytes() if to.exists() else b"") == (b"other" if foreign else b"")
    assert not leftovers(tmp_path)


def test_without_links_a_source_is_removed_on_disk_before_its_copy_is_renamed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither disk has hard links, and no link reaches from one disk to the other."""
    happened = syncs(monkeypatch)
    free = Folder._rename_to_free

    def link(*names: str, src_dir_fd: int, dst_dir_fd: int, **more: Any) -> None:
        refuse(errno.EPERM if src_dir_fd == dst_dir_fd else errno.EXDEV)()

    monkeypatch.setattr(os, "link", link)

    def noted(folder: Folder, name: str, new: str) -> None:
        happened.append(f"free {folder.path / new}")
        free(folder, name, new)

    monkeypatch.setattr(Folder, "_rename_to_free", noted)
    _, to, spare, _, _ = moved(photos, tmp_path)
    gone, named = happened.index(f"unlink {spare}"), happened.index(f"free {to}")
    assert f"sync {spare.parent}" in happened[gone:named]


@pytest.mark.parametrize("with_its_folder", [False, True])
def test_a_changed_moved_file_is_reported(with_its_folder: bool, photos: Path, tmp_path: Path) -> None:
    """The file is reported even if its old folder is gone."""
    remove, to, _, _, journal = moved(photos, tmp_path)
    shutil.rmtree(to.parent) if with_its_folder else to.write_bytes(b"else")
    shutil.rmtree(remove.parent)
    assert list(undone(journal).refused) == [f"{to} is no longer the file that was moved there"]
    assert with_its_folder or to.read_bytes() == b"else"


def test_a_file_that_was_brought_back_by_hand_needs_nothing(photos: Path, tmp_path: Path) -> None:
    remove, to, _, _, journal = moved(photos, tmp_path)
    to.rename(remove)
    shutil.rmtree(tmp_path / "moved")
    back = undone(journal)
    assert (back.done, back.ok) == (0, True)
    assert remove.read_bytes() == b"same"


def test_both_names_of_a_moved_file_go_once_it_is_back(photos: Path, tmp_path: Path) -> None:
    """`undo` was killed before it removed both names."""
    remove, to, _, aside, journal = moved(photos, tmp_path)
    os.link(to, aside)
    shutil.copy2(to, remove)
    assert undone(journal).ok
    assert not (tmp_path / "moved").exists()
    assert remove.read_bytes() == b"same"


def test_a_copy_back_that_was_begun_is_made_anew(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_disk(monkeypatch)
    remove, _, spare, _, journal = moved(photos, tmp_path)
    spare.write_bytes(b"sa")
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


def test_both_names_of_a_file_on_another_disk_go(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The move was killed before it removed the temporary name."""
    other_disk(monkeypatch)
    remove, to, _, aside, journal = moved(photos, tmp_path)
    os.link(to, aside)
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"
    assert not (tmp_path / "moved").exists()


def test_both_names_of_a_moved_file_stay_while_another_file_has_its_old_name(photos: Path, tmp_path: Path) -> None:
    remove, to, _, aside, journal = moved(photos, tmp_path)
    os.link(to, aside)
    remove.write_bytes(b"other")
    assert list(undone(journal).refused) == ["another file has the name now"]
    assert to.read_bytes() == aside.read_bytes() == b"same"
    assert remove.read_bytes() == b"other"


def test_a_new_name_whose_removal_was_lost_in_a_power_cut_is_removed(photos: Path, tmp_path: Path) -> None:
    remove, to, spare, _, journal = moved(photos, tmp_path)
    os.link(to, spare)
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"
    assert not (tmp_path / "moved").exists()


@pytest.mark.parametrize("content", [None, b"same", b"other"])
def test_another_file_under_the_new_name_is_kept(content: bytes | None, photos: Path, tmp_path: Path) -> None:
    """The moved file is still beside its old name, since the move was interrupted earlier."""
    remove, to, spare, _, journal = moved(photos, tmp_path)
    to.rename(spare)
    if content is not None:
        to.write_bytes(content)
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"
    assert (to.read_bytes() if to.exists() else None) == content


def test_another_file_under_the_temporary_name_is_kept(photos: Path, tmp_path: Path) -> None:
    remove, to, _, aside, journal = moved(photos, tmp_path)
    to.rename(remove)
    aside.write_bytes(b"other")
    assert undone(journal).ok
    assert aside.read_bytes() == b"other"


def test_a_move_to_the_trash_has_a_note_and_leaves_its_folders(photos: Path, tmp_path: Path) -> None:
    _, to, _, _, journal = moved(photos, tmp_path, "trash")
    assert [note.name for note in (to.parent.parent / "info").iterdir()] == [f"{to.name}.trashinfo"]
    assert undone(journal).done == 1
    assert to.parent.is_dir()
