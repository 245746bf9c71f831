"""Another program changes files between the check and the act: no other file is touched."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import follow as applying
from stages.commands.apply.actions import ACTIONS
from stages.commands.apply.acts import linking
from stages.commands.apply.acts.act import Act, path_in
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.journal import read_journal
from stages.commands.plan.plan_file import FORMAT, VERSION, checked
from tests.stages.commands.apply.acting import entry, followed, leftovers, odd, one, state, undone

pytestmark = pytest.mark.usefixtures("reflinks")


def between(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Any]) -> None:
    """Call a function after all files of a group were checked, and before the first is touched."""
    do = applying.do

    def late(acts: Any, held: Any) -> Any:
        what()
        return do(acts, held)

    monkeypatch.setattr(applying, "do", late)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("how", ["in place", "by a rename", "by a link", "by a folder"])
def test_a_version_saved_in_between_is_neither_removed_nor_written_over(
    action: str, how: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"

    def save() -> None:
        match how:
            case "in place":
                remove.write_bytes(b"worked on")
            case "by a rename":
                (photos / "b/new").write_bytes(b"worked on")
                (photos / "b/new").replace(remove)
            case "by a link":
                remove.unlink()
                remove.symlink_to(photos / "c/x.jpg")
            case "by a folder":
                remove.unlink()
                remove.mkdir()
                (remove / "mine").write_bytes(b"worked on")

    plan = one(keep, remove)
    between(monkeypatch, save)
    _, tally, journal = followed(plan, action, tmp_path)
    assert set(tally.refused) <= {"the file was changed meanwhile", "the path no longer leads to a regular file"}
    assert tally.refused.total() == 1
    after = state(photos)
    assert (remove / "mine" if how == "by a folder" else remove).read_bytes() == (
        b"near" if how == "by a link" else b"worked on"
    )
    assert remove.is_symlink() == (how == "by a link")
    assert not leftovers(tmp_path)
    assert not (tmp_path / "moved").exists()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert [act["state"] for act in read_journal(journal).acts] == ["failed"]
    undone(journal)
    assert state(photos) == after


@pytest.mark.parametrize("action", ACTIONS)
def test_a_version_saved_while_it_is_set_aside_is_kept_with_it(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old version then has another name, which the message gives; the user decides."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    plan = one(keep, remove)
    rename = os.rename

    def renamed(name: str, new: str, **more: Any) -> None:
        rename(name, new, **more)
        if name == "1.jpg":
            keep.write_bytes(b"else")  # so the file must be put back
            remove.write_bytes(b"worked on")

    monkeypatch.setattr(os, "rename", renamed)
    _, tally, journal = followed(plan, action, tmp_path)
    (aside,) = leftovers(tmp_path)
    assert aside.read_bytes() == b"same"
    assert remove.read_bytes() == b"worked on"
    assert tally.refused.total() == 1
    assert "; fast-diff undo puts the file back" in str(tally.refused)
    monkeypatch.undo()
    monkeypatch.setattr(linking, "clone", lambda *files: None)
    back = undone(journal)
    assert list(back.refused) == [f"another file has the name now; the bytes of the original file are in {aside}"]
    assert remove.read_bytes() == b"worked on"
    remove.unlink()
    assert undone(journal).ok
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_folder_swapped_for_a_link_leads_nowhere(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file behind the link has the same name, bytes and times, and must not be removed."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    shutil.copytree(photos / "b", tmp_path / "precious")
    before = state(tmp_path / "precious")

    def swap() -> None:
        (photos / "b").rename(tmp_path / "was b")
        (photos / "b").symlink_to(tmp_path / "precious")

    plan = one(keep, remove)
    between(monkeypatch, swap)
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == ["the path leads to another folder now"]
    assert state(tmp_path / "precious") == before
    assert (tmp_path / "was b/1.jpg").read_bytes() == b"same"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_undo_works_in_the_folders_that_it_looked_into(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/1.jpg").write_bytes(b"mine")
    fetch = Act.fetch if action in ("move", "trash") else linking.Link.fetch

    def swap(act: Any) -> None:
        fetch(act)
        (photos / "b").rename(tmp_path / "was b")
        (photos / "b").symlink_to(tmp_path / "precious")

    monkeypatch.setattr(Act if action in ("move", "trash") else linking.Link, "fetch", swap)
    undone(journal)
    assert (tmp_path / "precious/1.jpg").read_bytes() == b"mine"
    assert (tmp_path / "was b/1.jpg").read_bytes() == b"same"
    assert not (tmp_path / "was b/1.jpg").is_symlink()


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_undo_writes_over_nothing_that_comes_in_between(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    claim = Folder.claim

    def save(folder: Folder, name: str, new: str, *more: Any) -> None:
        remove.write_bytes(b"new")
        claim(folder, name, new, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "claim", save)
        back = undone(journal)
    assert "another file has the name now; the bytes of the original file are in " in str(back.refused)
    assert remove.read_bytes() == b"new"
    assert keep.read_bytes() == b"same"
    remove.unlink()
    assert undone(journal).ok, "once that is out of the way"
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


# removed and added folders and files


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_a_removed_folder_is_made_again_for_restored_files(action: str, photos: Path, tmp_path: Path) -> None:
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "b/1.jpg")]}
    odd(photos).unlink()
    _, _, journal = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), action, tmp_path)
    (photos / "b/1.jpg").unlink(missing_ok=True)
    (photos / "b").rmdir()
    assert undone(journal).done == 1
    assert (photos / "b/1.jpg").read_bytes() == b"same"


def test_a_deletion_in_a_folder_that_went_is_not_taken_back(photos: Path, tmp_path: Path) -> None:
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "b/1.jpg")]}
    odd(photos).unlink()
    _, _, journal = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "delete", tmp_path)
    (photos / "b").rmdir()
    assert undone(journal).refused == {"the file was deleted and can't be restored": 1}
    assert not (photos / "b").exists()


def test_the_only_bytes_of_a_file_stay_beside_another_one_that_begins_like_it(photos: Path, tmp_path: Path) -> None:
    remove = photos / "b/1.jpg"
    _, _, journal = followed(one(photos / "a/1.jpg", remove), "move", tmp_path)
    (act,) = read_journal(journal).acts
    spare = path_in(act["temporary"])
    path_in(act["to"]).rename(spare)
    remove.write_bytes(b"same and more")
    assert list(undone(journal).refused) == [
        f"another file has the name now; the bytes of the original file are in {spare}"
    ]
    assert (spare.read_bytes(), remove.read_bytes()) == (b"same", b"same and more")
