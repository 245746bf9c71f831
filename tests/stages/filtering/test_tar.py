"""Tars without some members: links, comments, damage."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.decoding.opened_file import OpenedFile
from stages.filtering.outcome import Refused, Removal, Rewritten
from stages.filtering.tar import MORE, count_tar, read_members, rewrite_tar
from stages.listing.containers import Container, listed
from stages.listing.rules import ListingRules


def is_image(name: bytes) -> bool:
    return name.partition(b"#")[0].endswith(b".jpg")


def rewritten(path: Path, *names: str) -> tuple[Rewritten, Path]:
    opened = OpenedFile(bytes(path))
    out = io.BytesIO()
    done = rewrite_tar(opened, Removal(frozenset(name.encode() for name in names), is_image), out)
    opened.close()
    result = path.with_name(f"out-{path.name}")
    result.write_bytes(out.getvalue())
    return done, result


def made(path: Path, members: list[tuple[str, Any]], mode: str = "w", **options: Any) -> Path:
    """Return a tar of members: name and content, or name and header fields."""
    with tarfile.open(path, mode, **options) as tar:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            for field, value in content.items() if isinstance(content, dict) else ():
                setattr(info, field, value)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def content(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: file.read() if (file := tar.extractfile(info)) else b"" for info in tar}


def hard(target: str) -> dict[str, Any]:
    return {"type": tarfile.LNKTYPE, "linkname": target}


def soft(target: str) -> dict[str, Any]:
    return {"type": tarfile.SYMTYPE, "linkname": target}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_link_whose_target_is_removed_gets_the_content(tmp_path: Path, mode: str, format: int) -> None:
    first = "long/" * 30 + "ä.jpg"
    members = [(first, b"1" * 700), ("b.jpg", hard(first)), ("b.txt", b"b"), ("c.jpg", hard(first)), ("d.jpg", b"4")]
    path = made(tmp_path / "x.tar", members, mode, format=format)
    done, result = rewritten(path, first)
    assert done == Rewritten(5, 4, 1)
    assert content(result) == {"b.jpg": b"1" * 700, "b.txt": b"b", "c.jpg": b"1" * 700, "d.jpg": b"4"}
    done, result = rewritten(path, "b.jpg")
    assert done == Rewritten(5, 3, 1, 1)
    assert content(result) == {first: b"1" * 700, "c.jpg": b"1" * 700, "d.jpg": b"4"}
    done, result = rewritten(path, first, "b.jpg")
    assert content(result) == {"c.jpg": b"1" * 700, "d.jpg": b"4"}


def test_a_link_to_a_link(tmp_path: Path) -> None:
    members = [("a.jpg", b"1"), ("b.bin", hard("a.jpg")), ("c.bin", hard("b.bin")), ("d.bin", hard("nowhere"))]
    done, result = rewritten(made(tmp_path / "x.tar", members), "a.jpg")
    assert done == Rewritten(4, 3, 1)
    with tarfile.open(result) as tar:
        assert [(info.name, info.type, info.size) for info in tar] == [
            ("b.bin", tarfile.REGTYPE, 1),
            ("c.bin", tarfile.REGTYPE, 1),
            ("d.bin", tarfile.LNKTYPE, 0),
        ]


def test_headers_stay_as_they_are(tmp_path: Path) -> None:
    members: list[tuple[str, Any]] = [
        ("d/", {"type": tarfile.DIRTYPE}),
        ("d/a.jpg", b"a"),
        ("d/link.jpg", soft("a.jpg")),
        ("d/" + "x" * 200 + ".jpg", b"long"),
        ("/abs.jpg", {"mode": 0o600, "uname": "someone"}),
        ("b.jpg", b"b" * 512),
    ]
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        some = [each for each in members if format != tarfile.USTAR_FORMAT or len(each[0]) < 100]
        path = made(tmp_path / f"{format}.tar", some, format=format, pax_headers={"comment": "for all"})
        done, result = rewritten(path, "d/a.jpg")
        assert done.kept == len(some) - 1
        expected = made(tmp_path / "expected.tar", [each for each in some if each[0] != "d/a.jpg"], format=format,
                        pax_headers={"comment": "for all"})  # fmt: skip
        assert result.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_headers_for_all_members_go_with_the_last_member(tmp_path: Path, mode: str) -> None:
    members: list[tuple[str, Any]] = [("a.jpg", b"1"), ("b.jpg", b"2")]
    path = made(tmp_path / "x.tar", members, mode, format=tarfile.PAX_FORMAT, pax_headers={"comment": "for all"})
    done, result = rewritten(path, "a.jpg", "b.jpg")
    assert done == Rewritten(2, 0, 2)
    assert count_tar(result) == 0
    done, result = rewritten(path, "b.jpg")
    with tarfile.open(result) as tar:
        assert (tar.getnames(), tar.pax_headers) == (["a.jpg"], {"comment": "for all"})


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("zeros", [0, 5, 70_000])
def test_a_second_tar_after_the_first_is_copied(tmp_path: Path, mode: str, zeros: int) -> None:
    parts = [
        made(tmp_path / f"{name}.tar", [(f"{name}1.jpg", b"1"), (f"{name}2.jpg", b"2")]).read_bytes() for name in "ab"
    ]
    data = parts[0] + bytes(512 * zeros) + parts[1]
    path = tmp_path / "x.tar"
    path.write_bytes(gzip.compress(data) if mode == "w:gz" else data)
    done, result = rewritten(path, "a1.jpg")
    assert done == Rewritten(2, 1, 1, note=MORE)
    with tarfile.open(result, ignore_zeros=True) as tar:
        assert {name: tar.extractfile(name).read() for name in tar.getnames()} == {  # type: ignore[union-attr]
            "a2.jpg": b"2", "b1.jpg": b"1", "b2.jpg": b"2"
        }  # fmt: skip


@pytest.mark.parametrize("folder", ["", "d/"])
def test_hidden_members_are_no_sample(folder: str, tmp_path: Path) -> None:
    members = [(f"{folder}{name}", b"") for name in (".a.jpg", ".gitignore", ".a.txt", "b.jpg", "b.txt")]
    done, result = rewritten(made(tmp_path / "x.tar", members), f"{folder}.a.jpg", f"{folder}b.jpg")
    assert done == Rewritten(5, 2, 2, 1)
    assert list(content(result)) == [f"{folder}.gitignore", f"{folder}.a.txt"]


def test_the_second_of_two_samples_with_one_key(tmp_path: Path) -> None:
    sample = [("a.cls", b"1"), ("a.jpg", b"2"), ("a.json", b"3")]
    path = made(tmp_path / "x.tar", [*sample, ("b.jpg", b""), *((name, data * 2) for name, data in sample)])
    for name, data in (("a.jpg#2", [b"1", b"2", b"3", b""]), ("a.jpg", [b"", b"11", b"22", b"33"])):
        done, result = rewritten(path, name)
        assert done == Rewritten(7, 4, 1, 2)
        with tarfile.open(result) as tar:
            assert [file.read() for info in tar if (file := tar.extractfile(info))] == data


def test_a_sample_of_two_images_keeps_its_labels(tmp_path: Path) -> None:
    members = [("7.left.jpg", b"l"), ("7.right.jpg", b"r"), ("7.json", b"{}"), ("7", b"no ending"), ("77.json", b"{}")]
    path = made(tmp_path / "x.tar", members)
    assert rewritten(path, "7.left.jpg")[0] == Rewritten(5, 4, 1)
    done, result = rewritten(path, "7.left.jpg", "7.right.jpg")
    assert done == Rewritten(5, 2, 2, 1)
    assert content(result) == {"7": b"no ending", "77.json": b"{}"}


def test_names_are_those_of_the_listing(tmp_path: Path) -> None:
    names = ["a.jpg", "../a.jpg", "./a.jpg", "a.jpg", "a.jpg#2.jpg", "/b.jpg", "x//y.jpg", "é.jpg", "no.txt", "a.jpg"]
    path = made(tmp_path / "x.tar", [*((name, b"x") for name in names), ("c.jpg", hard("a.jpg"))])
    found = listed(Container(bytes(path), path.stat().st_size, 0, 0), ListingRules())
    expected = [name.partition(b"!/")[2] for some in found for name in some.paths]
    opened = OpenedFile(bytes(path))
    wanted = ListingRules().below(bytes(path) + b"!")
    entries = read_members(opened, Removal(frozenset(), wanted)).entries
    assert [entry.own for entry in entries if entry.own is not None] == expected
    assert len(set(expected)) == 10


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_members_before_a_damage_stay(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    members = [(f"{number}.jpg", bytes([number]) * 700) for number in range(6)]
    path = made(tmp_path / "x.tar", members)
    whole = path.read_bytes()
    for end, kept in ((5 * 1536 + 512 + 600, 4), (5 * 1536 + 512 + 700, 5), (5 * 1536 + 3, 4), (6 * 1536, 5)):
        packed = compress(whole[:end])
        path.write_bytes(packed)
        done, result = rewritten(path, "0.jpg")
        assert done.kept == kept == count_tar(result), end
        assert content(result) == dict(members[1 : kept + 1])
        assert "can't be read" in done.note
        assert done.members == done.kept + done.images + done.unreadable
    path.write_bytes(compress(whole[: 6 * 1536] + b"junk" * 400))
    done, result = rewritten(path, "0.jpg")
    assert done.kept == 5
    assert done.note


def test_missing_files_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "x.tar", [("a.jpg", b"1"), ("b.txt", b"2")])
    for name in ("b.txt", "c.jpg", "a.jpg#2"):
        with pytest.raises(Refused, match=r"1 of the 1 images to remove are not in the container"):
            rewritten(path, name)
