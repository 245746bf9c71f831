"""An open folder: operations on its files, and refused operations."""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply.acts import folder as opening
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, version
from stages.commands.apply.acts.folders import Folders


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An open folder with one file."""
    (tmp_path / "a").write_bytes(b"mine")
    with Folders() as held:
        found = held.find(tmp_path)
        assert found
        yield found


def refuse(number: int) -> Any:
    def refused(*names: Any, **more: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.fixture(params=["links", "renameat2", "renameat2 without flags", "neither"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Abilities of a file system: hard links, renames that never overwrite, or neither."""
    ctypes.set_errno(0)
    if request.param != "links":
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    if request.param == "neither":
        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: object())
    if request.param == "renameat2 without flags":

        class Old:
            @staticmethod
            def renameat2(*given: Any) -> int:
                ctypes.set_errno(errno.EINVAL)
                return -1

        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Old)
    return str(request.param)


def test_a_name_is_claimed_only_where_it_is_free(kind: str, folder: Folder) -> None:
    done: list[str] = []
    (folder.path / "b").write_bytes(b"other")
    with pytest.raises(FileExistsError) as told:
        folder.claim("a", "b")
    assert told.value.errno == errno.EEXIST
    assert (folder.path / "a").read_bytes() == b"mine"
    assert (folder.path / "b").read_bytes() == b"other"
    folder.loose = False
    folder.claim("a", "c", lambda: done.append("before"))
    assert folder.loose
    assert (folder.path / "c").read_bytes() == b"mine"
    assert (folder.path / "a").exists() == (kind == "links")
    assert done == ([] if kind == "links" else ["before"])


def test_other_errors_of_links_are_reported(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        folder.claim("a", "b")
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    with pytest.raises(FileNotFoundError):
        folder.claim("none", "b")


def test_new_files_are_made_and_no_other_is_opened(folder: Folder) -> None:
    (folder.path / "link").symlink_to(folder.path / "nowhere")
    for name in ("a", "link"):
        with pytest.raises(FileExistsError), folder.created(name) as file:
            file.write(b"x")
    assert (folder.path / "a").read_bytes() == b"mine"
    assert not (folder.path / "nowhere").exists()
    folder.loose = False
    with folder.created("new") as file:
        file.write(b"x")
    assert folder.loose
    assert (folder.path / "new").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_nothing_but_regular_files_is_read(what: str, folder: Folder) -> None:
    place = folder.path / "odd"
    {"link": lambda: place.symlink_to("a"), "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[what]()
    with pytest.raises(ActRefused, match="the path no longer leads to a regular file"):
        folder.digest("odd")
    assert folder.is_whole("odd", place.lstat().st_size, "") is False


def test_a_file_that_is_written_to_while_it_is_read_is_not_taken_for_whole(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = opening.hashlib.file_digest

    def late(file: Any, kind: str) -> Any:
        result = digest(file, kind)
        (folder.path / "a").write_bytes(b"written to")
        return result

    monkeypatch.setattr(opening.hashlib, "file_digest", late)
    with pytest.raises(ActRefused, match="another program is writing to the file"):
        folder.digest("a")


def test_a_file_is_whole_by_size_and_bytes(folder: Folder) -> None:
    found, digest = folder.digest("a")
    assert found.st_size == 4
    assert folder.is_whole("a", 4, digest)
    assert not folder.is_whole("a", 5, digest)
    assert not folder.is_whole("a", 4, digest[::-1])
    assert not folder.is_whole("none", 4, digest)


@pytest.mark.parametrize(
    ("piece", "begins"),
    [
        (b"", True),
        (b"mi", True),
        (b"mine", True),
        (b"mines", False),
        (b"x", False),
        (b"m\0ne", True),
        (b"\1ine", False),
    ],
)
def test_pieces_of_a_file_begin_like_it(
    piece: bytes, begins: bool, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PIECE", 3)
    (folder.path / "piece").write_bytes(piece)
    assert folder.begins_like("piece", folder, "a") == begins


def test_only_the_expected_version_is_set_aside(folder: Folder) -> None:
    expected = version((folder.path / "a").stat())
    (folder.path / "spare").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        folder.set_aside("a", "spare", expected)
    (folder.path / "spare").unlink()
    for place in range(4):
        other = tuple(value + (number == place) for number, value in enumerate(expected))
        with pytest.raises(ActRefused, match=r"the file was changed meanwhile$"):
            folder.set_aside("a", "spare", other)  # type: ignore[arg-type]
        assert [path.name for path in folder.path.iterdir()] == ["a"]
    with pytest.raises(ActRefused, match="the file is gone"):
        folder.set_aside("none", "spare", expected)
    folder.stale = False
    folder.set_aside("a", "spare", expected)
    assert folder.stale
    assert [path.name for path in folder.path.iterdir()] == ["spare"]


def test_a_name_that_is_taken_again_keeps_the_version_before_beside_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def again(name: str, new: str, **more: Any) -> None:
        rename(name, new, **more)
        (folder.path / "a").write_bytes(b"newest")

    monkeypatch.setattr(os, "rename", again)
    with pytest.raises(ActRefused, match=f"twice meanwhile; {folder.path / 'spare'} has the earlier version"):
        folder.set_aside("a", "spare", (0, 0, 0, 0))
    assert (folder.path / "a").read_bytes() == b"newest"
    assert (folder.path / "spare").read_bytes() == b"mine"


def test_a_folder_is_held_as_long_as_its_path_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with Folders() as held:
        folder = held.make(tmp_path / "one")
        assert folder.is_at_path()
        assert held.find(tmp_path / "one") is folder
        (tmp_path / "one").rename(tmp_path / "two")
        assert folder.is_at_path() is False
        (tmp_path / "one").mkdir()
        assert not folder.is_at_path()


def closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def test_an_opened_entry_that_is_not_a_file_is_closed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.path / "odd").mkdir()
    numbers: list[int] = []
    opens = os.open
    monkeypatch.setattr(os, "open", lambda *words, **more: (numbers.append(opens(*words, **more)), numbers[-1])[1])
    with pytest.raises(ActRefused), folder.opened("odd"):
        pytest.fail("a folder")
    assert closed(*numbers)


def test_a_new_file_is_on_disk_when_its_block_ends(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: sizes.append(os.fstat(number).st_size))
    with folder.created("new") as file:
        file.write(b"all")
    assert sizes == [3]


def test_a_file_that_vanishes_as_it_is_set_aside_is_an_error(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "rename", lambda name, new, **more: os.unlink(name, dir_fd=more["src_dir_fd"]))
    with pytest.raises(FileNotFoundError):
        folder.set_aside("a", "spare", version((folder.path / "a").stat()))


def test_a_restored_name_is_on_disk_before_the_other_name_is_removed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    unlink = os.unlink
    monkeypatch.setattr(os, "fsync", lambda number: happened.append(f"sync {(folder.path / 'a').exists()}"))
    monkeypatch.setattr(os, "unlink", lambda name, **more: (happened.append(f"unlink {name}"), unlink(name, **more)))
    with pytest.raises(ActRefused, match="the file was changed meanwhile"):
        folder.set_aside("a", "spare", (0, 0, 0, 0))
    assert happened == ["sync True", "unlink spare"]


def test_a_symbolic_link_is_not_followed(folder: Folder) -> None:
    (folder.path / "link").symlink_to("nowhere")
    found = folder.stat("link")
    assert found
    assert stat.S_ISLNK(found.st_mode)
    assert folder.stat("nowhere") is None


def test_a_symbolic_link_is_claimed_as_such(folder: Folder) -> None:
    (folder.path / "link").symlink_to("a")
    folder.claim("link", "b")
    assert (folder.path / "b").is_symlink()


def test_an_error_of_the_exclusive_rename_is_reported(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @staticmethod
        def renameat2(*given: Any) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Broken)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        folder.claim("a", "b")
    assert [path.name for path in folder.path.iterdir()] == ["a"]
