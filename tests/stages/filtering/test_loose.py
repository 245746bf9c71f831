"""Loose files: links, copies, and the companions of images."""

import errno
import os
from pathlib import Path

import pytest

from stages.decoding.sources import Expected
from stages.filtering.loose import FolderImages, companion_files, put
from stages.filtering.manifest import NAME
from stages.filtering.outcome import Refused
from stages.filtering.result_paths import ResultPaths

AGE = 1_600_000_000


def expected(path: Path) -> Expected:
    found = path.stat()
    return Expected(bytes(path), found.st_size, str(found.st_mtime_ns))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"image")
    os.utime(path, (AGE, AGE))
    return path


def test_a_second_call_writes_nothing(image: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "d" / "a.jpg"
    for linked in (True, False, False, True):
        put(expected(image), "mtime", target, linked)
        first = target.stat()
        put(expected(image), "mtime", target, linked)
        assert target.stat() == first
        assert target.read_bytes() == b"image"
        assert first.st_mtime == AGE
        assert [path.name for path in target.parent.iterdir()] == ["a.jpg"]
    assert not target.samefile(image), "a copy that is there stays"


def test_where_links_are_impossible_files_are_copied(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(os, "link", link)
    put(expected(image), "mtime", tmp_path / "a.jpg", True)
    first = (tmp_path / "a.jpg").stat()
    assert first.st_nlink == image.stat().st_nlink == 1
    put(expected(image), "mtime", tmp_path / "a.jpg", True)
    assert (tmp_path / "a.jpg").stat() == first
    monkeypatch.setattr(os, "link", lambda source, target: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        put(expected(image), "mtime", tmp_path / "b.jpg", True)
    assert not (tmp_path / "b.jpg").exists()


def test_a_changed_image_is_refused(image: Path, tmp_path: Path) -> None:
    known = expected(image)
    target = tmp_path / "a.jpg"
    image.write_bytes(b"other")
    with pytest.raises(Refused):
        put(known, "mtime", target, True)
    os.utime(image, (AGE, AGE))
    put(known, "mtime", target, True)
    digest = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    with pytest.raises(Refused):
        put(known._replace(stamp="0" * 64), "bytes", target, True)
    image.write_bytes(b"image")
    put(known._replace(stamp=digest), "bytes", target, True)


def test_a_link_of_a_link_leads_to_the_file(image: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jpg"
    link.symlink_to(image)
    put(expected(link), "mtime", tmp_path / "a.jpg", True)
    assert (tmp_path / "a.jpg").samefile(image)
    assert not (tmp_path / "a.jpg").is_symlink()


def test_companions_of_images() -> None:
    images = FolderImages(b"/d", {b"a.jpg": Expected(b"/d/a.jpg", 1, "")}, {b"b.jpg", b"c.x.jpg", b"a.png"})
    images.companions = {b"a.jpg": [b"IMG_a.xmp"], b"b.jpg": [b"IMG_b.xmp", b"IMG_a.xmp"]}
    others = {b"a.txt", b"b.txt", b"b.tar.gz", b"c.json", b"x.json", b"b", b"IMG_a.xmp", b"IMG_b.xmp", b"B.txt"}
    assert companion_files(images, others) == (
        {b"a.txt", b"IMG_a.xmp"},
        {b"b.txt", b"b.tar.gz", b"c.json", b"IMG_b.xmp"},
    )


def test_hidden_files_are_no_sample() -> None:
    """Otherwise all hidden files would belong to each hidden image, also the manifest of an earlier result."""
    images = FolderImages(b"/d", {b".a.jpg": Expected(b"/d/.a.jpg", 1, "")}, {b".b.jpg"}, {b".a.jpg": [b".a.xmp"]})
    assert companion_files(images, {NAME.encode(), b".secret", b".a.xmp"}) == ({b".a.xmp"}, set())


def test_paths_of_results() -> None:
    names = ResultPaths([b"/data/x", b"/data/x/y"])
    assert names.path(b"/data/x/y/0.tar") == Path("y/0.tar")
    assert names.path(b"/data/x/\xff.jpg") == Path("\udcff.jpg")
    assert ResultPaths([b"/data/x"]).path(b"/data/x/0.tar") == Path("0.tar")
    assert ResultPaths([b"/data/xy", b"/data/xz"]).path(b"/data/xz/0.tar") == Path("xz/0.tar")
    mixed = ResultPaths([b"/data", b"s3://bucket/data"])
    assert mixed.path(b"/data/0.tar") == Path("data/0.tar")
    assert mixed.path(b"s3://bucket/data/..//./0.tar") == Path("s3:/bucket/data/%2E%2E/%2F/%2E/0.tar")
