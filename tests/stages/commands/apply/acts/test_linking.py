"""Links and clones in place of files: how a file is replaced, and how the file gets its own bytes back."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import follow as applying
from stages.commands.apply.actions import LINKS
from stages.commands.apply.acts import linking
from stages.commands.apply.acts.act import path_in
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.acts.linking import FICLONE, NEW, Link
from stages.commands.apply.journal import read_journal
from tests.stages.commands.apply.acting import followed, leftovers, one, state, tampered, undone

pytestmark = pytest.mark.usefixtures("reflinks")
CHANGED = "the keeper was changed meanwhile"


def late(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Any]) -> None:
    """Call a function after the files were checked, and before the first is touched."""
    do = applying.do

    def done(acts: Any, held: Any) -> Any:
        what()
        return do(acts, held)

    monkeypatch.setattr(applying, "do", done)


def linked(photos: Path, tmp_path: Path, action: str) -> tuple[Path, Path, Path, Path]:
    """Replace a file; return the keeper, the file, the file's temporary name, and the journal."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, tally, journal = followed(one(keep, remove), action, tmp_path)
    assert tally.ok
    return keep, remove, path_in(read_journal(journal).acts[0]["temporary"]), journal


def renewed(keep: Path) -> None:
    """Save a new version of a keeper, as editors do."""
    keep.rename(keep.with_name("old.jpg"))
    shutil.copy2(keep.with_name("old.jpg"), keep)


def became_link(keep: Path) -> None:
    keep.rename(keep.with_name("old.jpg"))
    keep.symlink_to("old.jpg")


@pytest.mark.parametrize(
    ("action", "change", "said"),
    [
        ("hardlink", renewed, CHANGED),
        ("hardlink", became_link, CHANGED),
        ("reflink", renewed, CHANGED),
        ("reflink", lambda keep: shutil.rmtree(keep.parent), "the keeper is gone"),
    ],
)
def test_a_keeper_that_was_changed_in_between_replaces_nothing(
    action: str,
    change: Callable[[Path], None],
    said: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    plan, inode = one(keep, remove), remove.stat().st_ino
    late(monkeypatch, lambda: change(keep))
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == [said]
    assert (remove.read_bytes(), remove.stat().st_ino) == (b"same", inode)
    assert not leftovers(tmp_path)


def test_a_link_that_vanishes_at_once_replaces_no_file(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def lost(source: Any, name: str, **more: Any) -> None:
        if not name.endswith(NEW):
            link(source, name, **more)

    monkeypatch.setattr(os, "link", lost)
    _, tally, _ = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "hardlink", tmp_path)
    assert list(tally.refused) == [CHANGED]


@pytest.mark.parametrize("action", LINKS)
def test_a_file_that_comes_where_the_link_is_to_lie_is_not_written_over(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, rename = photos / "b/1.jpg", os.rename

    def renamed(name: str, new: str, **more: Any) -> None:
        rename(name, new, **more)
        if name == "1.jpg":
            remove.write_bytes(b"other")

    monkeypatch.setattr(os, "rename", renamed)
    _, tally, _ = followed(one(photos / "a/1.jpg", remove), action, tmp_path)
    (aside,) = leftovers(tmp_path)
    where = f"the bytes of the original file are in {aside}; fast-diff undo puts the file back"
    assert list(tally.refused) == [f"another file has the name now; {where}"]
    assert (remove.read_bytes(), aside.read_bytes()) == (b"other", b"same")


def test_a_clone_has_the_mode_time_and_owner_of_the_file_that_it_replaces(photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    remove.chmod(0o640)
    before = remove.stat()
    owner = (1000, 1001) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(remove, *owner)
    linked(photos, tmp_path, "reflink")
    after = remove.stat()
    assert after.st_ino not in (before.st_ino, keep.stat().st_ino)
    assert remove.read_bytes() == b"same"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert (after.st_uid, after.st_gid) == owner
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EOPNOTSUPP, "a reflink needs one file system, with reflinks, for file and keeper"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failed_clone_is_reported(
    number: int, said: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: int, target: int) -> None:
        raise OSError(number, os.strerror(number))

    before = state(photos)
    monkeypatch.setattr(linking, "clone", refuse)
    _, tally, _ = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "reflink", tmp_path)
    assert list(tally.refused) == [said]
    assert state(photos) == before
    assert not leftovers(tmp_path)


def test_a_clone_is_asked_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *words: asked.append(words))
    linking.clone(3, 4)
    assert asked == [(4, FICLONE, 3)]


@pytest.mark.parametrize("action", LINKS)
def test_where_a_disk_fails_the_file_itself_is_restored(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a copy of the keeper nor the clone takes the file's place."""
    remove = photos / "b/1.jpg"
    inode = remove.stat().st_ino

    sync, failed = Folders.sync, []

    def fails_once(folders: Folders, stale: bool = True) -> None:
        if not failed:
            failed.append(folders)
            raise OSError(errno.EIO, "Input/output error")
        sync(folders, stale)

    monkeypatch.setattr(Folders, "sync", fails_once)
    _, tally, _ = followed(one(photos / "a/1.jpg", remove), action, tmp_path)
    assert len(tally.refused) == 1
    assert remove.stat(follow_symlinks=False).st_ino == inode
    assert not leftovers(tmp_path)


def test_a_clone_is_not_taken_back_since_it_holds_the_bytes(photos: Path, tmp_path: Path) -> None:
    _, remove, _, journal = linked(photos, tmp_path, "reflink")
    inode = remove.stat().st_ino
    back = undone(journal)
    assert (back.done, back.ok, remove.stat().st_ino) == (0, True, inode)


# undo


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_a_file_that_was_put_back_by_hand_needs_nothing(action: str, photos: Path, tmp_path: Path) -> None:
    """Temporary names with the file's bytes are removed."""
    _, remove, spare, journal = linked(photos, tmp_path, action)
    remove.unlink()
    remove.write_bytes(b"same")
    os.link(remove, spare)
    back = undone(journal)
    assert (back.done, back.ok) == (0, True)
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_undo_does_not_need_the_link(action: str, photos: Path, tmp_path: Path) -> None:
    _, remove, _, journal = linked(photos, tmp_path, action)
    remove.unlink()
    assert undone(journal).done == 1
    assert remove.read_bytes() == b"same"


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_another_file_in_place_of_the_link_is_kept(action: str, photos: Path, tmp_path: Path) -> None:
    _, remove, _, journal = linked(photos, tmp_path, action)
    remove.unlink()
    remove.write_bytes(b"other")
    assert list(undone(journal).refused) == ["another file has the name now"]
    assert remove.read_bytes() == b"other"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("how", ["gone", "changed", "changed while it is copied"])
def test_without_the_bytes_of_its_keeper_no_file_is_restored(
    how: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove, _, journal = linked(photos, tmp_path, "symlink")
    match how:
        case "gone":
            shutil.rmtree(keep.parent)
        case "changed":
            keep.write_bytes(b"else")
        case _:
            monkeypatch.setattr(shutil, "copyfileobj", lambda source, target, size: target.write(b"else"))
    said = "was changed meanwhile" if "copied" in how else "no longer has the same bytes"
    assert list(undone(journal).refused) == [f"the keeper {keep} {said}"]
    assert remove.is_symlink()


@pytest.mark.parametrize("content", [b"", b"sa"])
def test_a_copy_that_was_begun_is_made_anew(content: bytes, photos: Path, tmp_path: Path) -> None:
    _, remove, spare, journal = linked(photos, tmp_path, "symlink")
    spare.write_bytes(content)
    assert undone(journal).done == 1
    assert (remove.read_bytes(), remove.is_symlink()) == (b"same", False)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("ending", ["", NEW])
def test_another_file_under_a_temporary_name_is_kept(ending: str, photos: Path, tmp_path: Path) -> None:
    _, _, spare, journal = linked(photos, tmp_path, "symlink")
    other = spare.with_name(spare.name + ending)
    other.write_bytes(b"the only copy")
    assert undone(journal).refused.keys() <= {f"File exists ({other})", f"File exists ({other.name})"}
    assert other.read_bytes() == b"the only copy"


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_a_link_that_was_set_aside_before_is_removed(action: str, photos: Path, tmp_path: Path) -> None:
    """`undo` was killed after renaming the link to its temporary name; another link may have taken the link's place."""
    _, remove, spare, journal = linked(photos, tmp_path, action)
    os.link(remove, spare.with_name(spare.name + NEW), follow_symlinks=False)
    assert undone(journal).done == 1
    assert stat.S_ISREG(remove.lstat().st_mode)
    assert not leftovers(tmp_path)


def test_a_journal_without_tags_is_followed(photos: Path, tmp_path: Path) -> None:
    _, remove, _, journal = linked(photos, tmp_path, "symlink")
    tampered(journal, attributes=None)
    assert undone(journal).done == 1
    assert not remove.is_symlink()


def test_an_unreadable_entry_is_neither_a_link_nor_a_partial_copy(photos: Path, tmp_path: Path) -> None:
    keep, remove, spare, journal = linked(photos, tmp_path, "hardlink")
    keep.unlink()
    with Folders() as folders:
        home = folders.find(remove.parent)
        assert isinstance(home, Folder)
        act = Link(read_journal(journal).acts[0], folders)
        assert act._is_ours(home, remove.name) is act._is_ours(home, "none") is False
        assert linking._begins_like(home, spare.name, home, remove.name) is False
        assert linking._begins_like(home, remove.name, None, remove.name) is False
