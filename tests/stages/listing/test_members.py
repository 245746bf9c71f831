"""The listing of a container holds every member once, and the container's damage."""

import io
import os
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from stages.decoding.opened_file import OpenedFile
from stages.listing import members as listing
from stages.listing.members import Member, members
from tests.stages.packing import pack

FILES = {f"d/{number}.jpg": bytes([number]) * (700 + number) for number in range(5)}
BOTH = pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])


def listed(path: Path, wanted: object = None) -> list[Member]:
    opened = OpenedFile(os.fsencode(path))
    try:
        return [member for member, _ in members(opened, wanted or (lambda name: name.endswith(b".jpg")))]  # type: ignore[arg-type]
    finally:
        opened.close()


def problems(found: list[Member]) -> dict[bytes, str]:
    return {member.name: member.at for member in found if member.kind == "broken"}


@BOTH
def test_wanted_members_with_their_sizes(ending: str, tmp_path: Path) -> None:
    path = pack(tmp_path / f"a.{ending}", FILES | {"notes.txt": b"text"})
    assert {member.name.decode(): member.size for member in listed(path)} == {
        name: len(data) for name, data in FILES.items()
    }
    assert not problems(listed(path))


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_truncated_tar_lists_its_whole_members(ending: str, tmp_path: Path) -> None:
    path = pack(tmp_path / f"a.{ending}", {name: os.urandom(5_000) for name in FILES})
    path.write_bytes(path.read_bytes()[: 3 * 5_632 + 1_000])
    found = listed(path)
    assert {b"": "ends"}.items() <= problems(found).items()
    assert [member.name for member in found if member.kind != "broken"][:2] == [b"d/0.jpg", b"d/1.jpg"]
    if ending == "tar":
        assert problems(found) == {b"d/3.jpg": "cut", b"": "ends"}


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_second_tar_after_the_first_is_reported(ending: str, tmp_path: Path) -> None:
    path = pack(tmp_path / f"a.{ending}", FILES)
    second = pack(tmp_path / f"b.{ending}", {"second.jpg": b"2"})
    path.write_bytes(path.read_bytes() + second.read_bytes())
    found = listed(path)
    assert problems(found) == {b"": "more"}
    assert len(found) == len(FILES) + 1


def test_a_tar_without_its_end_mark_is_damaged(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", FILES)
    path.write_bytes(path.read_bytes()[: 2 * 1_536])
    assert problems(listed(path)) == {b"": "ends"}


@pytest.mark.parametrize(("ending", "at"), [("tar.gz", -8), ("tar.bz2", -4), ("tar.xz", -20)])
def test_a_wrong_checksum_of_a_compressed_tar_is_reported(ending: str, at: int, tmp_path: Path) -> None:
    """A damaged name may no longer end like an image's name: only the checksum shows the damage."""
    path = pack(tmp_path / f"a.{ending}", FILES)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    found = listed(path)
    assert problems(found) == {b"": "ends"}
    assert len(found) == len(FILES) + 1


def test_a_broken_header_in_the_middle_is_reported(tmp_path: Path) -> None:
    """The standard library ends its listing silently at a broken header."""
    path = pack(tmp_path / "a.tar", FILES)
    data = bytearray(path.read_bytes())
    data[2 * 1_536 : 2 * 1_536 + 512] = os.urandom(512)
    path.write_bytes(data)
    found = listed(path)
    assert [member.name for member in found] == [b"d/0.jpg", b"d/1.jpg", b""]
    assert problems(found) == {b"": "ends"}


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
@pytest.mark.parametrize("data", [b"", b"no container", os.urandom(2_000), b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_not_a_container_is_one_member_without_name(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    (member,) = listed(tmp_path / name)
    assert (member.name, member.kind) == (b"", "broken")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../evil.jpg", b"%2E%2E/%2E%2E/evil.jpg"),
        ("/etc/evil.jpg", b"%2Fetc/evil.jpg"),
        ("./plain.jpg", b"plain.jpg"),
        ("a//b/./c.jpg", b"a/b/c.jpg"),
        ("..a/b...jpg", b"..a/b...jpg"),
        ("ä ö.jpg", "ä ö.jpg".encode()),
    ],
)
@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_names_lead_nowhere(name: str, shown: bytes, ending: str, tmp_path: Path) -> None:
    assert [member.name for member in listed(pack(tmp_path / f"a.{ending}", {name: b"x"}))] == [shown]


def test_long_names_are_cut_and_stay_different(tmp_path: Path) -> None:
    names = ["x" * 9_000 + f"{number}.jpg" for number in range(2)]
    found = [member.name for member in listed(pack(tmp_path / "a.tar", dict.fromkeys(names, b"x")), lambda _: True)]
    assert len(set(found)) == 2
    assert max(map(len, found)) < 4_200


@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_members_of_one_name_get_different_names(ending: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = pack(tmp_path / f"a.{ending}", [("a.jpg", b"1"), ("a.jpg#2", b"2"), ("a.jpg", b"33")])
    found = listed(path, lambda _: True)
    assert {member.name: member.size for member in found} == {b"a.jpg": 1, b"a.jpg#2": 1, b"a.jpg#3": 2}


def test_links_of_a_tar(tmp_path: Path) -> None:
    """A hard link counts as a second name, as on a disk; a symbolic link is left out."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("a.jpg")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"bytes"))
        for kind, name in ((tarfile.LNKTYPE, "hard.jpg"), (tarfile.SYMTYPE, "soft.jpg")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "a.jpg"
            tar.addfile(link)
    first, second = listed(tmp_path / "a.tar")
    assert (second.name, second[1:]) == (b"hard.jpg", first[1:])


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> None:
    """Change a field of the first header with this signature."""
    data = bytearray(path.read_bytes())
    at = data.index(signature) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)


def test_encrypted_members_and_unknown_methods(tmp_path: Path) -> None:
    for field, value, problem in ((8, b"\x01\x00", "encrypted"), (10, struct.pack("<H", 14), "method")):
        path = pack(tmp_path / "a.zip", {"a.jpg": b"1", "b.jpg": b"2"})
        patched(path, b"PK\x01\x02", field, value)
        found = listed(path)
        assert problems(found) == {b"a.jpg": problem}
        assert [member.kind for member in found] == ["broken", "zip"]


def test_a_directory_that_points_beyond_the_file(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.jpg": b"1", "b.jpg": b"2"})
    patched(path, b"PK\x01\x02", 20, struct.pack("<L", 10**9))
    assert problems(listed(path)) == {b"a.jpg": "cut"}


def test_a_header_cannot_ask_for_the_whole_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "HEADER", 10_000)
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"comment": "x" * 20_000}
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.PAX_FORMAT) + bytes(1_024))
    assert problems(listed(tmp_path / "a.tar")) in ({b"": "ends"}, {b"": "container"})


def test_a_zip_without_members_is_no_error(tmp_path: Path) -> None:
    assert listed(pack(tmp_path / "a.zip", {})) == []


def test_a_zip_in_other_compressions(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES, zipfile.ZIP_BZIP2)
    assert {member.kind for member in listed(path)} == {"zip"}
