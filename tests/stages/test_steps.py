"""The order of steps: what is on disk before a file goes, and what an interrupt puts back."""

import errno
import os
import stat
from pathlib import Path

import pytest

from stages.commands.acts import KINDS
from stages.commands.acts.act import Act
from stages.commands.apply import Tally
from stages.commands.choices import ACTIONS
from stages.commands.journal import read_journal
from stages.commands.plan import checked
from tests.stages.acting import folder_of, followed, leftovers, one, other_disk, plan_for, state, syncs, undone

pytestmark = pytest.mark.usefixtures("reflinks")


def test_a_moved_file_and_all_folders_above_it_are_on_disk_before_its_source_goes(
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


def test_a_copy_on_another_disk_is_on_disk_before_its_source_goes(
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
def test_a_link_is_on_disk_before_the_file_goes(
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
def test_where_a_disk_fails_to_sync_nothing_goes(
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
    ends = "; it has gone already" if action == "delete" else ""
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
def test_an_interrupt_puts_back_what_was_begun(
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
