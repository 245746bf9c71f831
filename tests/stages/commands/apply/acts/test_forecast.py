"""Checks before an act: room on the disk that receives the file."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.commands.apply.acts import forecast
from stages.commands.apply.acts.act import path_in
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folders import Folders
from stages.commands.plan.plan_file import checked
from tests.stages.commands.apply.acting import followed, plan_for, stat_with


def fake_disk(monkeypatch: pytest.MonkeyPatch, to: Path, free: int, block: int = 1) -> None:
    """Put a folder on a fake disk with a number of free blocks of some size."""
    real = os.stat

    def looked(path: Any, **more: Any) -> os.stat_result:
        found = real(path, **more)
        return stat_with(found, st_dev=found.st_dev + 1) if path == to else found

    monkeypatch.setattr(os, "stat", looked)
    disk = os.statvfs(to)
    values = [block, block, *disk[2:4], free, *disk[5:]]
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))


@pytest.mark.parametrize(("free", "fits"), [(14, 3), (13, 2), (4, 1), (3, 0)])
@pytest.mark.parametrize("yes", [False, True])
def test_no_room_on_the_disk_that_takes_files_is_foreseen(
    yes: bool, free: int, fits: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = checked(plan_for(photos), "plan")
    (tmp_path / "moved").mkdir()
    fake_disk(monkeypatch, tmp_path / "moved", free)
    _, tally, _ = followed(plan, "move", tmp_path, yes)
    assert tally.done == fits
    assert sum(count for why, count in tally.refused.items() if "has no room for" in why) == 3 - fits


def test_a_small_file_takes_a_whole_block(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moved").mkdir()
    fake_disk(monkeypatch, tmp_path / "moved", free=2, block=4096)
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 2


def test_room_on_the_same_disk_is_not_asked_for(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: pytest.fail("a rename takes no room"))
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 3


# the folders that an act changes


def looked(action: str, to: Path | None, photos: Path) -> dict[str, Any]:
    """Check an act, and return its entry for the journal."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    checks = forecast.DryRunChecks(action, to)
    checks.check(remove, remove.stat(), keep)
    with Folders() as folders:
        home = folders.find(remove.parent)
        assert home
        return checks.entry(remove, home, remove.stat(), keep)


def closed(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Make folders unwritable for this process."""

    def access(folder: Path, mode: int, *, effective_ids: bool) -> bool:
        assert mode == os.W_OK | os.X_OK
        assert effective_ids
        return folder not in folders

    monkeypatch.setattr(os, "access", access)


def test_a_relative_target_is_one_of_the_current_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = looked("move", Path("moved"), photos)
    assert path_in(entry["to"]) == tmp_path / "moved" / (photos / "b/1.jpg").relative_to("/")


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_trash_that_takes_nothing_is_no_matter_to_other_acts_and_to_the_finder(
    system: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "sys", SimpleNamespace(platform=system))
    closed(monkeypatch, tmp_path)
    assert "to" not in looked("delete", None, photos)
    if system == "darwin":
        assert "to" not in looked("trash", None, photos)
    else:
        with pytest.raises(ActRefused, match=r"the trash .* can't be written to"):
            looked("trash", None, photos)


def test_a_file_in_place_of_a_folder_is_foreseen_for_every_mode(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved").touch()
    closed(monkeypatch)
    with pytest.raises(ActRefused, match=r"--to: .* can't be written to"):
        looked("move", tmp_path / "moved", photos)
