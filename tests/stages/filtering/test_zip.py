"""Zips without some members: 64-bit offsets, comments, flags, damage."""

import io
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from stages.decoding.opened_file import OpenedFile
from stages.filtering import zip as filtering_zip
from stages.filtering.outcome import Refused, Removal, Rewritten
from stages.filtering.zip import count_zip, rewrite_zip


def rewritten(data: bytes, tmp_path: Path, *names: str) -> tuple[Rewritten, zipfile.ZipFile]:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    opened, out = OpenedFile(bytes(path)), io.BytesIO()
    try:
        removal = Removal(frozenset(name.encode() for name in names), lambda name: name.endswith(b".jpg"))
        done = rewrite_zip(opened, removal, out)
    finally:
        opened.close()
    (tmp_path / "out.zip").write_bytes(out.getvalue())
    assert count_zip(tmp_path / "out.zip") == done.kept
    return done, zipfile.ZipFile(out)


class _NoSeek(io.BytesIO):
    """A pipe, for which zipfile writes sizes behind each member."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def made(file: io.BytesIO, force: bool = False) -> bytes:
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"of the whole"
        for number, name in enumerate(["d/", "d/a.jpg", "d/ä.jpg", "b.jpg", "b.txt", "c.txt"]):
            info = zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6))
            info.comment, info.external_attr = name.encode(), 0o640 << 16
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)[number % 3]
            with archive.open(info, "w", force_zip64=force) as member:
                member.write(name.encode() * 99 if not name.endswith("/") else b"")
    return file.getvalue()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", [io.BytesIO, _NoSeek])
def test_entries_stay_as_they_are(kind: type[io.BytesIO], force: bool, tmp_path: Path) -> None:
    data = made(kind(), force)
    done, archive = rewritten(data, tmp_path, "d/a.jpg", "b.jpg")
    assert done == Rewritten(6, 3, 2, 1)
    before = {info.filename: info for info in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    assert archive.namelist() == ["d/", "d/ä.jpg", "c.txt"]
    assert archive.comment == b"of the whole"
    assert archive.testzip() is None
    for info in archive.infolist():
        old = before[info.filename]
        for field in (
            "date_time",
            "comment",
            "extra",
            "external_attr",
            "compress_type",
            "CRC",
            "flag_bits",
            "file_size",
        ):
            assert getattr(info, field) == getattr(old, field)
        assert archive.read(info) == (info.filename.encode() * 99 if info.filename != "d/" else b"")


def test_in_front_of_the_zip_there_may_be_a_program(tmp_path: Path) -> None:
    done, archive = rewritten(b"#!/bin/sh\n" * 50 + made(io.BytesIO()), tmp_path, "d/a.jpg")
    assert done.kept == 5
    assert archive.testzip() is None


def test_places_beyond_four_gigabytes() -> None:
    entry = filtering_zip.ENTRY.pack(b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, 5, 0xFFFFFFFF, 1, 32, 0, 0, 0, 0, 0xFFFFFFFF)
    extra = struct.pack("<HHL", 7, 4, 9) + struct.pack("<HHQQ", 1, 16, 1 << 33, 1 << 34)
    entry = entry[:30] + struct.pack("<H", len(extra)) + entry[32:] + b"x" + extra
    moved = filtering_zip._moved(entry, 1 << 32)
    assert moved[:-8] == entry[:-8]
    assert moved[-8:] == struct.pack("<Q", 1 << 32)
    end = filtering_zip._end(70_000, 100, 1 << 33, b"")
    assert zipfile._EndRecData64(io.BytesIO(end), -22, [0] * 10)[3:7] == [70_000, 70_000, 100, 1 << 33]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_many_members(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.jpg"), b"")
    done, archive = rewritten(out.getvalue(), tmp_path, "7.jpg", "65999.jpg")
    assert done.kept == len(archive.infolist()) == 65_998


def test_members_with_one_name(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in (("../a.jpg", b"1"), ("../a.txt", b"2"), ("../a.jpg", b"3"), ("../a.txt", b"4")):
            archive.writestr(name, data)
    done, archive = rewritten(out.getvalue(), tmp_path, "%2E%2E/a.jpg#2")
    assert done == Rewritten(4, 2, 1, 1)
    assert [archive.read(info) for info in archive.infolist()] == [b"1", b"2"]
    assert set(archive.namelist()) == {"../a.jpg", "../a.txt"}


def test_unreadable_files_are_reported(tmp_path: Path) -> None:
    data = bytearray(made(io.BytesIO()))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # the entry of d/a.jpg
    data[at + 42 : at + 46] = (3).to_bytes(4, "little")
    done, archive = rewritten(bytes(data), tmp_path, "b.jpg")
    assert done.members == 6
    assert done.unreadable >= 1
    assert "can't be read" in done.note
    assert archive.testzip() is None
    for junk in (b"no zip" * 50, bytes(data)[:400]):
        with pytest.raises(Refused, match="directory of the zip can't be read"):
            rewritten(junk, tmp_path, "b.jpg")
    with pytest.raises(Refused, match="not in the container"):
        rewritten(made(io.BytesIO()), tmp_path, "d.jpg")
