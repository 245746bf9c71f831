"""Acts and undos are killed before each step that touches a disk: no file is ever lost, and `undo` restores all."""

import contextlib
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import follow as applying
from stages.commands.apply.acts import linking
from stages.commands.plan.plan_file import checked
from tests.stages.commands.apply.acting import accompany, followed, merging_alone, other_disk, plan_for, state, undone

STEPS = ("rename", "link", "symlink", "unlink", "mkdir", "rmdir", "open")
"""Functions of `os` that change a disk; `open` where it makes a file."""


class Dead(BaseException):
    """Signal that the simulated process has died."""


def killed_at(step: int, work: Callable[[], Any], really: bool = False) -> bool:
    """Let work end before its so manyth step that touches a disk; return whether it got there.

    From there on nothing touches the disk, whatever cleans up; `really`: in a process of its own, which is killed."""
    done = 0

    def counted(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def deadly(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += name != "open" or bool(arguments[1] & os.O_CREAT)
            if done >= step:
                if really:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise Dead
            return call(*arguments, **named)

        return deadly

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(name))
        if not really:
            with contextlib.suppress(Dead):
                work()
            return done >= step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process that has threads
            child = os.fork()
        if not child:
            try:
                work()
            finally:
                os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip syncs: processes die here but no disk does, so written data stay."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def photos(photos: Path) -> Path:
    accompany(photos)
    return photos


def cloned(source: int, target: int) -> None:
    """Emulate a file system with reflinks."""
    os.write(target, os.pread(source, 1 << 20, 0))


MERGING = "move with metadata"
WAYS = [MERGING, "move", "trash", "hardlink", "symlink", "reflink", "move to another disk"]


def prepare(way: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(linking, "clone", cloned)
    merging_alone(monkeypatch)
    if way.endswith("disk"):
        other_disk(monkeypatch)
    return way.split()[0]


def everywhere(folder: Path) -> list[bytes]:
    """Return the bytes of all files below a folder, whatever their names are."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("way", "together", "really"),
    [("move", 1, False), (MERGING, 1, False), ("move", 100, True), *((way, 100, False) for way in WAYS)],
)
def test_wherever_it_is_killed_no_file_is_lost_and_all_can_be_taken_back(
    way: str, together: int, really: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = prepare(way, monkeypatch)
    monkeypatch.setattr(applying, "GROUP", together)
    before, data = state(photos), plan_for(photos)
    steps = 0
    came_to_it = True
    while came_to_it:
        steps += 1
        came_to_it = killed_at(
            steps, lambda: followed(checked(data, "plan"), action, tmp_path, merge=way == MERGING), really
        )
        found = everywhere(tmp_path)
        assert found.count(b"nearly") >= 1
        assert found.count(b"same") >= 3
        assert {b"sidecar", b"another album", b"a film, too", b"edits"} <= set(found)
        journal = tmp_path / f"{action}.jsonl"
        if journal.exists() and journal.read_text():
            assert undone(journal).ok, f"killed at step {steps}"
            assert state(photos) == before, f"killed at step {steps}"
            assert not list(tmp_path.rglob(".fast-diff*"))
            assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
            assert not (tmp_path / "moved").exists()
            journal.unlink()
    assert steps > 10


@pytest.mark.quick(1)
@pytest.mark.parametrize("way", WAYS)
def test_wherever_undo_is_killed_no_file_is_lost_and_it_can_be_done_again(
    way: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = prepare(way, monkeypatch)
    before, data = state(photos), plan_for(photos)
    steps = 0
    came_to_it = True
    while came_to_it:
        steps += 1
        journal = followed(checked(data, "plan"), action, tmp_path, merge=way == MERGING)[2]
        came_to_it = killed_at(steps, lambda journal=journal: undone(journal))
        found = everywhere(tmp_path)
        assert found.count(b"nearly") >= 1
        assert found.count(b"same") >= 3
        assert {b"sidecar", b"another album", b"a film, too", b"edits"} <= set(found)
        assert undone(journal).ok, f"killed at step {steps}"
        assert state(photos) == before, f"killed at step {steps}"
        assert not list(tmp_path.rglob(".fast-diff*"))
        assert not (tmp_path / "moved").exists()
        journal.unlink()
    assert steps > (0 if action == "reflink" else 6)


@pytest.mark.parametrize("together", [1, 100])
def test_a_deletion_that_is_killed_deletes_or_can_be_taken_back(
    together: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "GROUP", together)
    before, data = state(photos), plan_for(photos)
    files = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in files}
    steps = 0
    came_to_it = True
    while came_to_it:
        steps += 1
        came_to_it = killed_at(steps, lambda: followed(checked(data, "plan"), "delete", tmp_path))
        assert (photos / "a/1.jpg").read_bytes() == b"same"
        assert (photos / "c/x.jpg").read_bytes() == b"near"
        journal = tmp_path / "delete.jsonl"
        if journal.exists():
            if journal.read_text():
                refused = undone(journal).refused
                assert set(refused) <= {"the file was deleted and can't be restored"}
                assert len(state(photos)) == len(before) - refused.total()
            journal.unlink()
        assert not list(tmp_path.rglob(".fast-diff*"))
        for path, content in files.items():
            path.write_bytes(content)
            os.utime(path, ns=(times[path], times[path]))
    assert state(photos) == before
    assert steps > 5
