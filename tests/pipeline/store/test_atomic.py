import errno
import os
import time
from pathlib import Path
from random import Random

import pytest

from pipeline.store.atomic import atomic_write, sweep, sync_folder
from pipeline.store.backends.files import SETTLED, LocalFiles
from pipeline.store.backends.locations import place
from tests.power.disk import cut
from tests.power.recorder import Names, Recorder, Sync, Write


def test_the_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with atomic_write(target) as file:
        file.write(b"all")
        assert not target.exists()
    assert target.read_bytes() == b"all"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_write(target) as file:
        file.write(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_sweep_removes_only_files_that_writers_left(tmp_path: Path) -> None:
    keep = [tmp_path / "a.tmp", tmp_path / ".hidden", tmp_path / "b.parquet"]
    for path in [*keep, tmp_path / ".b.parquet.0123.tmp"]:
        path.touch()
    assert sweep(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted(keep)


def test_sweep_leaves_a_folder_whose_name_is_that_of_a_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / ".b.parquet.0123.tmp"
    folder.mkdir()
    assert sweep(tmp_path) == 0
    assert folder.is_dir()


def test_sweep_passes_over_a_file_that_another_process_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits for the lock removes its own temporary files."""
    (tmp_path / ".lock.0123.tmp").touch()

    def removed(path: Path) -> bool:
        path.unlink()
        return True

    monkeypatch.setattr(Path, "is_file", removed)
    assert sweep(tmp_path) == 1


def test_sweep_has_nothing_to_do_on_an_object_store() -> None:
    assert sweep(place("memory://swept")) == 0


def test_bytes_are_on_disk_before_the_name_and_nothing_is_written_in_place(tmp_path: Path) -> None:
    """Readers with the old file open, and hard links to the old file, keep the old bytes."""
    target, other = tmp_path / "file", tmp_path / "other"
    target.write_bytes(b"old")
    other.hardlink_to(target)
    recorder = Recorder(tmp_path)
    with recorder(), atomic_write(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), other.read_bytes()) == (b"new", b"old")
    made, wrote, synced, named = recorder.recording.steps
    assert isinstance(made, Names)
    assert isinstance(wrote, Write)
    assert synced == Sync(wrote.file)
    assert isinstance(named, Names)
    assert [(name, node) for _, name, node in named.entries] == [("file", wrote.file), (made.entries[0][1], None)]


@pytest.mark.parametrize("durable", [False, True])
def test_a_durable_name_is_on_disk_with_those_of_new_folders(tmp_path: Path, durable: bool) -> None:
    recorder = Recorder(tmp_path)
    with recorder(), atomic_write(tmp_path / "new" / "er" / "file", durable) as file:
        file.write(b"all")
    disks = [cut(recorder.recording, len(recorder.recording.steps), Random(seed), "none", "none") for seed in range(3)]
    there = {name for disk in disks for name, _ in disk.walk()}
    assert there == ({"new", "new/er", "new/er/file"} if durable else set())


def test_a_folder_that_cannot_be_synced_is_let_be_and_a_disk_that_fails_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(number: int) -> None:
        raise OSError(wrong, "wrong")

    sync_folder(tmp_path / "gone")
    monkeypatch.setattr(os, "fsync", fsync)
    wrong = errno.EINVAL
    sync_folder(tmp_path)
    wrong = errno.EIO
    with pytest.raises(OSError, match="wrong"):
        sync_folder(tmp_path)


def test_a_file_is_not_synced_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "fsync", lambda number: pytest.fail("a file"))
    sync_folder(tmp_path / "file")


def test_a_synced_folder_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(os, "fsync", opened.append)
    sync_folder(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_folders_that_were_left_alone_since_the_last_run_are_not_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("pipeline.store.backends.files.sync_folder", synced.append)
    run = tmp_path / "out" / "run"
    for name in ("scan", "scan/.retired", "report/deep"):
        (run / name).mkdir(parents=True)
    own = [run, run / "scan", run / "report", run / "report" / "deep"]
    LocalFiles(run).sync_all("run.json")
    assert set(synced) == {*own, *run.parents}
    (run / "run.json").touch()
    for path in (*own[1:], tmp_path / "out"):
        os.utime(path, (0, time.time() - 2 * SETTLED))
    os.utime(run / "report" / "deep", (0, time.time() - SETTLED / 2))
    synced.clear()
    LocalFiles(run).sync_all("run.json")
    assert {path for path in synced if path.is_relative_to(tmp_path / "out")} == {run, run / "report" / "deep"}
