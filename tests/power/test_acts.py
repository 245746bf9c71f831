"""`apply` and `undo` after power cuts: no file is lost, and `undo` restores all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from stages.commands.apply.acts.folders import Folders
from tests.power.acts import LONG_AGO, TO_ANOTHER_DISK, WITH_METADATA, apply, before, files_for, surroundings, undo
from tests.power.disk import Disk
from tests.power.harness import cuts, record
from tests.power.recorder import Recording

ACTIONS = ("move", WITH_METADATA, TO_ANOTHER_DISK, "trash", "hardlink", "symlink", "delete")


@dataclass
class Acts:
    """One recorded `apply` and `undo`."""

    top: Path
    recording: Recording

    @property
    def action(self) -> str:
        return self.top.name

    def look(self, disk: Disk, done: Sequence[str], random: Random) -> str:
        """Return what is wrong after a cut, and after `undo`, or after `apply` and `undo`."""
        disk.write(self.top / "disk")
        wanted = files_for(self.action)
        if not self._to_keep() <= self._bytes():
            return "the bytes of a file are nowhere"
        if not done and not self._has_journal():
            return "" if self._photos() == wanted else "a file was touched, and there is no journal of it"
        if not done and random.random() < 0.5:
            apply(self.top)
            if not self._to_keep() <= self._bytes():
                return "apply has lost the bytes of a file"
        code, found = undo(self.top), self._photos()
        if self.action == "delete":
            return (
                "" if found.items() <= wanted.items() else f"undo leaves {', '.join(sorted(set(found) - set(wanted)))}"
            )
        wrong = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
        return f"undo ends with {code}, and differs in {', '.join(wrong)}" if wrong or code else ""

    def _to_keep(self) -> set[bytes]:
        files = files_for(self.action)
        return {data for name, data in files.items() if self.action != "delete" or "kept" in name}

    def _has_journal(self) -> bool:
        path = self.top / "disk" / "journal.jsonl"
        return path.is_file() and b'"begin"' in path.read_bytes()

    def _bytes(self) -> set[bytes]:
        return {path.read_bytes() for path in (self.top / "disk").rglob("*") if path.is_file()}

    def _photos(self) -> dict[str, bytes]:
        """Return bytes by path, and the kind of each entry that is not a plain file with one name."""
        photos = self.top / "disk" / "photos"
        found: dict[str, bytes] = {}
        for path in photos.rglob("*"):
            stat = path.lstat()
            if path.is_symlink() or (stat.st_nlink > 1 and not path.is_dir()):
                found[str(path.relative_to(photos))] = b"a link"
            elif path.is_file():
                found[str(path.relative_to(photos))] = path.read_bytes()
        return found


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Acts]:
    top = tmp_path_factory.mktemp("power")
    tops = [top / action for action in ACTIONS]
    return {
        top.name: Acts(top, recording) for top, recording in zip(tops, record("tests.power.acts", *tops), strict=True)
    }


@pytest.fixture(params=ACTIONS)
def acts(
    request: pytest.FixtureRequest,
    recordings: dict[str, Acts],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Acts]:
    """Record the acts without waiting for this machine's disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)
    with surroundings(recordings[request.param].top):
        yield recordings[request.param]


@pytest.mark.quick(3)
def test_no_file_is_lost_and_all_are_put_back(acts: Acts) -> None:
    assert cuts(acts.recording, 15, 1, acts.look).wrong == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hundreds_of_disks(acts: Acts) -> None:
    assert cuts(acts.recording, 150, 2, acts.look).wrong == []


def test_without_syncs_a_file_is_lost(acts: Acts) -> None:
    """The model detects missing syncs."""
    if acts.action != "delete":  # kept files are only read
        assert cuts(acts.recording.without(lambda sync: True), 500, 3, acts.look, enough=1).wrong


def test_a_file_that_was_acted_on_twice_is_taken_back(tmp_path: Path) -> None:
    """As after a cut: the first act did not end, and the same command ran once more."""
    top = tmp_path / "move"
    before(top)
    with surroundings(top):
        assert apply(top) == 0
        far = top / "disk" / "far" / "away"
        for name, data in files_for("move").items():
            (top / "disk" / "photos" / name).write_bytes(data)
            os.utime(top / "disk" / "photos" / name, ns=(LONG_AGO, LONG_AGO))
        for path in [path for path in far.rglob("*") if path.is_file()]:
            path.unlink()
        assert apply(top) == 0
        assert undo(top) == 0
    assert Acts(top, Recording())._photos() == files_for("move")


@pytest.mark.parametrize(
    ("left", "goes"), [(b"", True), (b"tw", True), (b"t\0\0", True), (b"tx", False), (b"two!", False)]
)
def test_a_partial_copy_is_recognised_after_a_cut(tmp_path: Path, left: bytes, goes: bool) -> None:
    (tmp_path / "whole").write_bytes(b"two")
    (tmp_path / "copy").write_bytes(left)
    with Folders() as folders:
        folder = folders.find(tmp_path)
        assert folder
        assert folder.begins_like("copy", folder, "whole") is goes
