"""The open folders of a group of acts are made, synced and removed."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply.acts.folders import Folders


def test_folders_are_made_and_taken_away_while_they_are_empty(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/c"
    with Folders() as held:
        assert held.find(deep) is None
        held.make(deep, 0o700)
        assert deep.stat().st_mode & 0o777 == 0o700
        (tmp_path / "a/mine").write_bytes(b"")
        held.remove_empty(deep.parents[:1])
        assert deep.exists()
        held.remove_empty([deep, *deep.parents[:2]])
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "mine"]
        again = held.make(deep)
        assert again.is_at_path()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(again.descriptor)


def test_new_names_are_synced_at_once_and_stale_names_on_request_or_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    (tmp_path / "old").mkdir()
    for name in ("x", "y"):
        (tmp_path / "old" / name).write_bytes(b"")
    with Folders() as held:
        old = held.find(tmp_path / "old")
        assert old
        held.make(tmp_path / "new/deep")
        old.remove("x")
        held.sync(stale=False)
        assert {tmp_path, tmp_path / "new", *tmp_path.parents} <= set(synced)
        assert tmp_path / "old" not in synced
        synced.clear()
        held.make(tmp_path / "new/deep")
        held.sync()
        assert synced == [tmp_path / "old"]
        synced.clear()
        held.sync()
        assert synced == []
        old.remove("y")
        old.remove("y")
        held.close()
        assert synced == []
    assert synced == [tmp_path / "old"]


def test_a_disk_that_fails_above_new_folders_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def failing(number: int) -> None:
        if Path(f"/proc/self/fd/{number}").readlink() == tmp_path:
            raise OSError(errno.EIO, "Input/output error")
        fsync(number)

    monkeypatch.setattr(os, "fsync", failing)
    with Folders() as held:
        held.make(tmp_path / "new/deep")
        with pytest.raises(OSError, match="Input/output error"):
            held.sync()


def test_only_folders_are_opened_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with Folders() as held, pytest.raises(NotADirectoryError):
        held.find(tmp_path / "a")


@pytest.mark.parametrize("what", ["link", "file"])
def test_an_entry_that_appears_where_a_folder_is_made_is_not_opened(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").mkdir()
    new = tmp_path / "new"

    def late(*_: Any, **more: Any) -> None:
        new.symlink_to(tmp_path / "precious") if what == "link" else new.write_bytes(b"")
        raise FileExistsError

    monkeypatch.setattr(os, "mkdir", late)
    with Folders() as held, pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        held.make(new)


def test_a_new_folder_is_open_to_all_whom_the_user_lets_in(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with Folders() as held:
            held.make(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o750


def test_new_names_are_synced_wherever_their_folder_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder was found before, made before, closed in between, or emptied."""
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    (tmp_path / "old").mkdir()
    with Folders() as held:
        assert held.find(tmp_path / "old")
        held.make(tmp_path / "old")
        held.sync()
        assert tmp_path in synced
        synced.clear()
        held.make(tmp_path / "old/deep")
        held.sync()
        assert synced == [tmp_path / "old"]
        held.close()
        deep, old = held.make(tmp_path / "old/deep"), held.find(tmp_path / "old")
        assert old
        synced.clear()
        held.remove_empty([tmp_path / "old/deep"])
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(deep.descriptor)
        held.sync()
        assert synced == [tmp_path / "old"]
        synced.clear()
        with held.make(tmp_path / "old").created("new"):
            pass
        synced.clear()
        held.close()
    assert synced == [tmp_path / "old"]
