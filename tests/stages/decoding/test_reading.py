"""A file is read once, and only if it is the one that was scanned."""

import os
from pathlib import Path

import pytest

from stages.decoding import problems
from stages.decoding.problems import Problem, Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected

DATA = bytes(range(256)) * 40
LIMIT = 1 << 28


def expected(path: Path, trust: str = "mtime") -> Expected:
    found = path.stat()
    return Expected(os.fsencode(path), found.st_size, str(getattr(found, f"st_{trust}_ns")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jpg"
    path.write_bytes(DATA)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def refused(file: Expected, trust: str = "mtime", max_bytes: int = LIMIT) -> Problem:
    with pytest.raises(Unreadable) as caught:
        read(file, trust, max_bytes)
    return caught.value.problem


def test_a_file_that_is_not_as_scanned_has_changed(file: Path) -> None:
    scanned = expected(file)
    data, digest = read(scanned, "mtime", LIMIT)
    assert data == DATA
    assert refused(scanned._replace(stamp="1")) == problems.CHANGED
    assert refused(scanned._replace(size=len(DATA) - 1)) == problems.CHANGED
    assert refused(scanned._replace(size=len(DATA) + 1)) == problems.CHANGED
    assert read(expected(file, "ctime"), "ctime", LIMIT) == (DATA, digest)
    assert refused(scanned, "ctime") == problems.CHANGED
    assert read(scanned._replace(stamp=digest), "bytes", LIMIT) == (DATA, digest)
    assert refused(scanned._replace(stamp=""), "bytes") == problems.CHANGED


def test_a_file_that_changes_while_it_is_read_has_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned, fstat = expected(file), os.fstat

    def touched(number: int) -> os.stat_result:
        found = fstat(number)
        os.utime(file, (1, 1))
        return found

    monkeypatch.setattr(os, "fstat", touched)
    assert refused(scanned) == problems.CHANGED


def test_a_file_that_comes_in_pieces_is_read_whole_and_a_short_one_has_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned, pieces = expected(file), os.read
    monkeypatch.setattr(os, "read", lambda number, size: pieces(number, min(size, 999)))
    assert read(scanned, "mtime", LIMIT)[0] == DATA
    monkeypatch.setattr(os, "read", lambda number, size: pieces(number, size)[:5_000] if size > 5_240 else b"")
    assert refused(scanned) == problems.CHANGED


def test_a_file_that_is_too_large_is_not_read_and_one_that_grew_has_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(expected(file), "mtime", len(DATA))[0] == DATA
    scanned = expected(file)
    assert refused(scanned._replace(size=len(DATA) + 1), max_bytes=len(DATA)) == problems.CHANGED
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda *_: pytest.fail("read"))
        assert refused(scanned, max_bytes=len(DATA) - 1) == problems.MANY_BYTES
    file.write_bytes(DATA * 2)
    assert refused(scanned, max_bytes=len(DATA)) == problems.CHANGED


def test_files_that_can_not_be_opened(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = expected(file)
    assert refused(scanned._replace(path=os.fsencode(tmp_path))) == problems.NO_FILE
    assert refused(scanned._replace(path=os.fsencode(tmp_path / "gone.png"))) == problems.GONE
    assert refused(scanned._replace(path=os.fsencode(file / "below.png"))) == problems.GONE
    os.mkfifo(tmp_path / "pipe")
    assert refused(scanned._replace(path=os.fsencode(tmp_path / "pipe"), size=0)) == problems.NO_FILE
    errors = {
        PermissionError(13, "no"): problems.FORBIDDEN,
        OSError(5, "disk"): problems.BROKEN_DISK,
        MemoryError(): problems.MEMORY,
    }
    for error, problem in errors.items():
        monkeypatch.setattr(os, "open", lambda *_, error=error: (_ for _ in ()).throw(error))
        assert refused(scanned) == problem


def test_no_descriptor_is_left_open(file: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(expected(file), "mtime", LIMIT)
    refused(expected(file)._replace(size=1))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
