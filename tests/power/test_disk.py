"""The recorder records every operation, and the rebuilt disks are those that a power cut may leave."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.power.disk import DATA, NAMES, Disk, cut
from tests.power.recorder import Recorder, Recording


def contents(top: Path) -> dict[str, bytes | str]:
    """Return everything below a folder."""
    found: dict[str, bytes | str] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        found[name] = (
            f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        )
    return found


def left(recording: Recording, tries: int = 600, at: int | None = None) -> list[dict[str, bytes]]:
    """Return the possible states of the top folder after all steps, each once."""
    disks = (cut(recording, at or len(recording.steps), Random(seed)) for seed in range(tries))
    unique: dict[str, Disk] = {disk.digest(): disk for disk in disks}
    return [{name: disk.files.get(node, b"") for name, node in disk.walk()} for disk in unique.values()]


def meddle(top: Path) -> None:
    """Apply every kind of operation to files."""
    (top / "a").write_bytes(b"first")
    with (top / "a").open("ab") as file:
        file.write(b" and more")
    with (top / "a").open("r+b") as file:
        file.seek(3)
        file.write(b"XY")
        file.truncate(9)
    (top / "text").write_text("äöü\n" * 3000)
    with (top / "text").open("a+", encoding="utf-8") as lines:
        lines.write("end")
        lines.seek(0)
        assert lines.read(2) == "äö"
    (top / "deep" / "er").mkdir(parents=True)
    shutil.copyfile(top / "text", top / "deep" / "copy")
    (top / "a").rename(top / "deep" / "er" / "b")
    (top / "deep" / "hard").hardlink_to(top / "deep" / "er" / "b")
    (top / "soft").symlink_to("deep/er/b")
    folder = os.open(top / "deep", os.O_RDONLY)
    number = os.open("by-number", os.O_CREAT | os.O_RDWR, 0o600, dir_fd=folder)
    os.write(number, b"12345")
    os.pwrite(number, b"x", 1)
    os.ftruncate(number, 4)
    os.close(number)
    os.rename("by-number", "renamed", src_dir_fd=folder, dst_dir_fd=folder)
    os.unlink("copy", dir_fd=folder)
    os.close(folder)
    (top / "old").unlink()
    (top / "again").write_bytes(b"may have the number of the old one")
    (top / "empty").mkdir()
    (top / "empty").rmdir()
    (top / "held").replace(top / "text")
    shutil.move(top / "folder", top / "elsewhere")


def test_with_nothing_lost_the_disk_is_the_folder(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "folder").mkdir(parents=True)
    outside.mkdir()
    for name in ("old", "held", "folder/inside"):
        (top / name).write_bytes(name.encode())
    recorder = Recorder(top)
    with recorder():
        meddle(top)
        (outside / "x").write_bytes(b"none of ours")
    real = contents(top)
    disk = cut(recorder.recording, len(recorder.recording.steps), Random(0), "all", "all")
    disk.write(top)
    assert contents(top) == real
    assert (top / "deep" / "hard").samefile(top / "soft")


def written(folder: Path, sync_file: bool, sync_folder: bool) -> Recording:
    """Record a file that is replaced as a whole."""
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    recorder = Recorder(folder)
    with recorder():
        with (folder / "new").open("wb") as file:
            file.write(b"n" * 5000)
            file.flush()
            if sync_file:
                os.fsync(file.fileno())
        (folder / "new").replace(folder / "file")
        if sync_folder:
            number = os.open(folder, os.O_RDONLY)
            os.fsync(number)
            os.close(number)
    return recorder.recording


def test_synced_data_is_kept_and_other_data_may_be_lost(tmp_path: Path) -> None:
    old, new = b"old", b"n" * 5000
    assert left(written(tmp_path / "1", True, True)) == [{"file": new}]
    assert {disk["file"] for disk in left(written(tmp_path / "2", True, False))} == {old, new}
    torn = {disk["file"] for disk in left(written(tmp_path / "3", False, True))}
    assert {b"", new, bytes(5000)} < torn
    assert old not in torn
    assert any(data and len(data) < 5000 and set(data) == {ord("n")} for data in torn)


def test_changes_of_names_come_to_disk_in_any_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    with recorder():
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").touch()
    found = {tuple(sorted(disk)) for disk in left(recorder.recording)}
    assert found == {(), ("a",), ("b",), ("a", "a/file"), ("b", "b/file"), ("a", "b")} | {
        ("a", "a/file", "b"),
        ("a", "b", "b/file"),
        ("a", "a/file", "b", "b/file"),
    }


def test_a_file_that_is_moved_is_never_without_a_name(tmp_path: Path) -> None:
    """If only the target folder was synced, the file may have both names."""
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "file").touch()
    recorder = Recorder(tmp_path)
    with recorder():
        (tmp_path / "a" / "file").rename(tmp_path / "b" / "file")
        number = os.open(tmp_path / "b", os.O_RDONLY)
        os.fsync(number)
        os.close(number)
    steps = len(recorder.recording.steps)
    assert {tuple(sorted(disk)) for disk in left(recorder.recording, at=steps - 1)} == {
        ("a", "a/file", "b"),
        ("a", "b", "b/file"),
    }
    assert {tuple(sorted(disk)) for disk in left(recorder.recording)} == {
        ("a", "b", "b/file"),
        ("a", "a/file", "b", "b/file"),
    }


@pytest.mark.parametrize("names", sorted(set(NAMES)))
@pytest.mark.parametrize("data", sorted(set(DATA)))
def test_equal_seeds_give_equal_disks(tmp_path: Path, names: str, data: str) -> None:
    recording = written(tmp_path / "x", False, False)
    disks = {cut(recording, 3, Random(7), names, data).digest() for _ in range(3)}
    assert len(disks) == 1
