"""The order of steps: what is on disk before a file is removed, and what is put back after an interrupt."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import follow as applying
from stages.commands.apply.actions import ACTIONS
from stages.commands.apply.acts import KINDS, moving
from stages.commands.apply.acts.act import Act
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.follow import Tally
from stages.commands.apply.journal import Journal, read_journal
from stages.commands.plan.plan_file import checked
from tests.stages.commands.apply.acting import (
    folder_of,
    followed,
    leftovers,
    one,
    other_disk,
    plan_for,
    state,
    syncs,
    undone,
)

pytestmark = pytest.mark.usefixtures("reflinks")


def test_a_moved_file_and_all_folders_above_it_are_on_disk_before_its_source_is_removed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, "move", tmp_path)[1].ok
    target = tmp_path / "moved" / remove.parent.relative_to("/")
    there = next(n for n, what in enumerate(happened) if what.startswith(f"link {target}/.fast-diff-"))
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {remove.parent}/.fast-diff-"))
    on_disk = {what for what in happened[there:gone] if what.startswith("sync ")}
    wanted = [target, *(folder for folder in target.parents if folder.is_relative_to(tmp_path))]
    assert {f"sync {folder}" for folder in wanted} <= on_disk
    named = happened.index(f"link {target}/1.jpg")
    assert gone < named
    after = happened[named:]
    assert f"sync {target}" in after
    assert f"sync {remove.parent}" in after
    assert after.index(f"sync {target}") < next(n for n, what in enumerate(after) if what.startswith("unlink "))


def test_a_copy_on_another_disk_is_on_disk_before_its_source_is_removed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_disk(monkeypatch)
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, "move", tmp_path)[1].ok
    target = tmp_path / "moved" / remove.parent.relative_to("/")
    copied = next(n for n, what in enumerate(happened) if what.startswith(f"sync {target}/.fast-diff-"))
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {remove.parent}/.fast-diff-"))
    assert copied < happened.index(f"sync {target}") < gone


@pytest.mark.parametrize("action", ["hardlink", "symlink", "reflink"])
def test_a_link_is_on_disk_before_the_file_is_removed(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, action, tmp_path)[1].ok
    named = happened.index(f"link {remove}")
    gone = next(n for n, what in enumerate(happened) if what.startswith("unlink "))
    assert f"sync {remove.parent}" in happened[named:gone]


@pytest.mark.parametrize("action", ACTIONS)
def test_where_a_disk_fails_to_sync_no_file_is_removed(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(photos)
    plan = one(photos / "a/1.jpg", photos / "b/1.jpg")
    fsync = os.fsync

    def failing(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode) and photos in folder_of(number).parents:
            raise OSError(errno.EIO, "Input/output error")
        fsync(number)

    monkeypatch.setattr(os, "fsync", failing)
    _, tally, journal = followed(plan, action, tmp_path)
    ends = "; the file is gone already" if action == "delete" else ""
    assert str(next(iter(tally.refused))).startswith(f"Input/output error{ends}")
    assert [act["state"] for act in read_journal(journal).acts] != ["done"]
    monkeypatch.undo()
    if action != "delete":
        undone(journal)
        assert state(photos) == before


def test_file_systems_that_sync_no_folder_are_none_that_fail(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def unable(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(number)

    monkeypatch.setattr(os, "fsync", unable)
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 3


@pytest.mark.parametrize("step", ["lift", "drop", "name", "clear"])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_interrupt_puts_back_files_of_unfinished_acts(
    action: str, step: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(photos)
    kind = KINDS[action]
    real, calls = getattr(kind, step), []

    def interrupted(act: Act) -> None:
        calls.append(act)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(act)

    with monkeypatch.context() as patch:
        patch.setattr(kind, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert not leftovers(tmp_path)
    if action != "delete" or step == "lift":
        assert state(photos) == before
        assert not (tmp_path / "moved").exists()
        assert undone(tmp_path / f"{action}.jsonl") == Tally()


def test_temporary_names_are_removed_on_disk_before_an_act_counts_as_failed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(moving, "carry", full)
    plan = one(photos / "a/1.jpg", photos / "b/1.jpg")
    happened, end = syncs(monkeypatch), Journal.end
    monkeypatch.setattr(
        Journal, "end", lambda self, *words, **more: (happened.append("end"), end(self, *words, **more))
    )
    assert list(followed(plan, "move", tmp_path)[1].refused) == ["no room"]
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {photos}/b/.fast-diff-"))
    assert f"sync {photos}/b" in happened[gone : happened.index("end")]


def test_a_file_restored_from_another_disk_has_its_name_on_disk_before_the_moved_file_is_removed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_disk(monkeypatch)
    remove = photos / "b/1.jpg"
    _, _, journal = followed(one(photos / "a/1.jpg", remove), "move", tmp_path)
    happened = syncs(monkeypatch)
    assert undone(journal).done == 1
    copied = next(n for n, what in enumerate(happened) if what.startswith(f"sync {remove.parent}/.fast-diff-"))
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {tmp_path}/moved"))
    assert f"sync {remove.parent}" in happened[copied:gone]


def test_temporary_names_that_cannot_be_removed_are_reported(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, journal = followed(one(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)

    def broken(act: Act) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(KINDS["move"], "tidy", broken)
    assert list(undone(journal).refused) == ["Input/output error"]


def test_a_failing_disk_is_not_the_reason_of_earlier_failures(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = checked(plan_for(photos), "plan")
    sync, failed = Folders.sync, []

    def fails_once(folders: Folders, stale: bool = True) -> None:
        if not failed:
            failed.append(folders)
            raise OSError(errno.EIO, "Input/output error")
        sync(folders, stale)

    do = applying.do
    monkeypatch.setattr(Folders, "sync", fails_once)
    monkeypatch.setattr(
        applying, "do", lambda acts, folders: ((photos / "c/y.jpg").write_bytes(b"worked on"), do(acts, folders))[1]
    )
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"Input/output error": 2, "the file was changed meanwhile": 1}
