"""Members are read in place, together with their neighbours; damage and changes have different error codes."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from stages.decoding import containers as reading
from stages.decoding import problems
from stages.decoding.containers import OpenContainers, reading_order
from stages.decoding.opened_file import OpenedFile
from stages.decoding.problems import Problem, Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.listing.files import find
from stages.listing.rules import ListingRules
from stages.listing.stamps import stamps
from tests.stages.packing import pack

DATA = {f"{number:02}.jpg": os.urandom(900 + 100 * number) for number in range(20)}
ENDINGS = pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip", "deflated.zip", "bzip2.zip"])
METHODS = {"deflated.zip": zipfile.ZIP_DEFLATED, "bzip2.zip": zipfile.ZIP_BZIP2}


def packed(folder: Path, ending: str) -> Path:
    return pack(folder / f"a.{ending}", DATA, METHODS.get(ending, zipfile.ZIP_STORED))


def expected(path: Path, trust: str = "mtime") -> list[Expected]:
    found = find([str(path)], ListingRules())
    assert found.locations is not None
    columns = found.paths.to_pylist(), found.sizes.tolist(), stamps(found, trust).to_pylist()
    return [Expected(*row) for row in zip(*columns, found.locations.to_pylist(), strict=True)]


def problem_of(file: Expected, trust: str = "mtime", most: int = 10**6) -> Problem:
    with pytest.raises(Unreadable) as raised:
        read(file, trust, most)
    return raised.value.problem


@ENDINGS
@pytest.mark.parametrize("trust", ["mtime", "ctime", "bytes"])
def test_members_are_read_in_any_order(ending: str, trust: str, tmp_path: Path) -> None:
    files = expected(packed(tmp_path, ending), trust)
    cached = OpenContainers()
    for order in (files, files[::-1]):
        cached.expect(order, 10**6)
        for file in order:
            data, digest = read(file, trust, 10**6, cached)
            assert data == DATA[file.path.decode().rpartition("!/")[2]]
            assert digest == hashlib.sha256(data).hexdigest()
    cached.close()
    assert read(files[3], trust, 10**6)[0] == DATA["03.jpg"]


@pytest.mark.parametrize("ending", ["tar", "deflated.zip"])
def test_neighbours_are_read_together(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = expected(packed(tmp_path, ending))
    reads: list[tuple[int, int]] = []
    fetched = OpenedFile._fetched
    monkeypatch.setattr(OpenedFile, "_fetched", lambda self, a, b: reads.append((a, b)) or fetched(self, a, b))
    cached = OpenContainers()
    cached.expect(files, 10**6)
    for file in files:
        read(file, "mtime", 10**6, cached)
    assert len(reads) == 1
    reads.clear()
    cached.close()
    monkeypatch.setattr(reading, "WINDOW", 8_000)
    cached.expect(files, 10**6)
    for file in files:
        read(file, "mtime", 10**6, cached)
    assert 4 < len(reads) < 10
    assert all(b - a <= 8_000 for a, b in reads)
    cached.close()


def test_a_member_over_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenedFile, "_fetched", lambda *_: pytest.fail("nothing is read"))
    for location in ("raw:1:512", "stream:1:512", "zip:1:0:9:8:1"):
        assert problem_of(Expected(b"/big.jpg", 10**10, f"1/1 {location}", location)) is problems.MANY_BYTES


@ENDINGS
def test_a_changed_container_is_reported(ending: str, tmp_path: Path) -> None:
    path = packed(tmp_path, ending)
    files = expected(path)
    os.utime(path, (1, 1))
    assert problem_of(files[0]) is problems.CHANGED
    path.unlink()
    assert problem_of(files[0]) is problems.GONE


@ENDINGS
def test_by_its_digest_a_member_is_found_after_a_touch(ending: str, tmp_path: Path) -> None:
    """Readers that show an image of an earlier run look for the digest."""
    path = packed(tmp_path, ending)
    file = expected(path)[5]
    digest = hashlib.sha256(DATA["05.jpg"]).hexdigest()
    os.utime(path, (1, 1))
    assert read(file._replace(stamp=digest), "bytes", 10**6)[0] == DATA["05.jpg"]
    assert problem_of(file._replace(stamp="0" * 64), "bytes") is problems.CHANGED


@pytest.mark.parametrize("ending", ["tar.gz", "zip", "deflated.zip", "bzip2.zip"])
def test_damaged_bytes_are_damage(ending: str, tmp_path: Path) -> None:
    """A zip has a checksum for each member; a compressed tar has one at its end, which a reader may not reach."""
    path = packed(tmp_path, ending)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 400):
        data[place] ^= 0x5A
    files = expected(path)
    path.write_bytes(data)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    found, whole = [], 0
    for file, data_of in zip(files, DATA.values(), strict=True):
        try:
            whole += read(file, "mtime", 10**6)[0] == data_of or ending != "tar.gz"
        except Unreadable as error:
            found.append(error.problem)
    assert whole < len(files)
    assert set(found) <= {problems.MEMBER_BROKEN, problems.MEMBER_CUT}


def test_a_bomb_fills_no_memory(tmp_path: Path) -> None:
    """The member unpacks to more bytes than its directory states."""
    path = pack(tmp_path / "a.zip", {"a.jpg": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    (file,) = expected(path)
    assert problem_of(file) is problems.MANY_BYTES
    assert problem_of(file._replace(size=1_000)) is problems.MEMBER_BROKEN


def test_files_are_ordered_as_they_lie(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", dict(reversed(DATA.items())))
    files = [Expected(b"/0.jpg", 1, ""), *expected(path), Expected(b"/z.jpg", 1, "")]
    assert reading_order(files) == [0, *range(20, 0, -1), 21]
