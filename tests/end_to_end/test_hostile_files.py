"""Hostile files: each file is read, or has a row with the reason, and the run ends well."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.cli.main import main
from stages.decoding import problems
from stages.decoding.lanes import Lanes
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from tests.end_to_end.driver import LONG_AGO, Project, make_image
from tests.stages.decoding.samples import png, saved, smooth

PICTURE = Image.fromarray(smooth(120, 90, seed=5))
JPEG = saved(PICTURE, "JPEG", quality=90)
PNG = saved(PICTURE, "PNG")
BMP = saved(PICTURE, "BMP")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def head(width: int, height: int, depth: int, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


@cache
def flat_png(width: int, height: int) -> bytes:
    """Return a black PNG of one bit a pixel: a few bytes for a thousand rows."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return PNG[:8] + head(width, height, 1, 0) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def text_bomb() -> bytes:
    """Return a PNG with a comment of 200 MB."""
    bomb = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    return PNG[:33] + chunk(b"zTXt", bomb) + PNG[33:]


@cache
def endless_exif() -> bytes:
    """Return a JPEG whose EXIF holds a list that points to itself, and claims to hold millions of values."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x9003, 2, 0xFFFFFFF, 8)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entry + struct.pack("<I", 8)
    return saved(PICTURE, "JPEG", exif=exif)


@cache
def circular_tiff() -> bytes:
    """Return a TIFF whose second page is its first page."""
    data = bytearray(saved(PICTURE, "TIFF"))
    start = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[start : start + 2])[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data)


@cache
def many_frames() -> bytes:
    frames = [Image.new("L", (4, 4), number % 256) for number in range(3_000)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


Make = Callable[[], bytes]
FILES: dict[str, tuple[bytes | Make, str | None]] = {
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "truncated.png": (PNG[: len(PNG) // 2], "truncated"),
    "empty.jpg": (b"", "not-an-image"),
    "a png.jpg": (PNG, None),
    "text.jpg": (b"Dear diary,\n" * 50, "not-an-image"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "not-an-image"),
    "zip.png": (b"PK\x03\x04" + bytes(1_000), "not-an-image"),
    "bomb.png": (partial(flat_png, 30_000, 30_000), "too-large"),
    "absurd.png": (
        PNG[:8] + head(2**31 - 1, 2**31 - 1, 16) + chunk(b"IDAT", bytes(9)) + PNG[-12:],
        "too-large",
    ),
    "absurd.bmp": (BMP[:18] + struct.pack("<ii", 2**31 - 1, 9) + BMP[26:], "too-large"),
    "no pixels.png": (PNG[:8] + head(0, 0, 8) + PNG[33:], "any"),
    "comment.png": (text_bomb, None),
    "dot.png": (saved(Image.new("RGB", (1, 1), "red"), "PNG"), None),
    "line.png": (saved(Image.new("L", (1, 50_000), 77), "PNG"), None),
    "endless exif.jpg": (endless_exif, None),
    "circle.tif": (circular_tiff, None),
    "frames.gif": (many_frames, None),
    "twelve bits.jpg": (
        JPEG[: JPEG.index(b"\xff\xc0") + 4] + b"\x0c" + JPEG[JPEG.index(b"\xff\xc0") + 5 :],
        "unsupported",
    ),
    "drawing.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported"),
    "deep.png": (png(3, 1, 16, 2, [bytes(18)]), None),
    "'quote\".png": (PNG, None),
    "line\nbreak.png": (PNG, None),
    "🧊 é.png": (PNG, None),
    "n" * 251 + ".png": (PNG, None),
    "\udcff\udcfe.png": (PNG, None),  # bytes that are not UTF-8
}
"""The content, or a function that makes it, and the error of the file's row: "any" for any error."""


def name_of(path: str | bytes) -> str:
    return Path(os.fsdecode(path)).name


@pytest.fixture
def hostile(tmp_path: Path) -> Project:
    """Make a folder of every hostile file."""
    project = Project(tmp_path / "project")
    folder = tmp_path / "project" / "images"
    for seed in range(3):
        make_image(folder / f"good-{seed}.jpg", seed)
    for name, (data, _) in FILES.items():
        path = folder / name
        path.write_bytes(data if isinstance(data, bytes) else data())
        os.utime(path, (LONG_AGO, LONG_AGO))
    (folder / "folder.jpg").mkdir()
    (folder / "nowhere.jpg").symlink_to(folder / "missing")
    (folder / "myself.jpg").symlink_to(folder / "myself.jpg")
    (folder / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket.jpg"))
    return project


@pytest.mark.quick(1)
@pytest.mark.parametrize("follow", ["false", "true"])
def test_every_file_is_accounted_for(hostile: Project, capsys: pytest.CaptureFixture[str], follow: str) -> None:
    assert hostile.run(f"scan.follow_links={follow}", options=()) == 0
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    rows = pd.read_parquet(hostile.run_folder / "thumbnail")
    names = [name_of(true or path) for true, path in zip(rows["path_bytes"], rows["path"], strict=True)]
    codes = dict(zip(names, rows["error"], strict=True))
    expected = {name: code for name, (_, code) in FILES.items()} | {f"good-{seed}.jpg": None for seed in range(3)}
    assert codes.keys() == expected.keys()
    for name, code in expected.items():
        if code != "any":
            assert (None if pd.isna(codes[name]) else codes[name]) == code, name
    failed = int(rows["error"].notna().sum())
    assert f"{len(rows)}, {failed} of them unreadable" in said.out
    assert "2 truncated" in said.out
    record = hostile.record()
    assert sum(record["errors"].values()) == record["images"]["failed"] == failed
    assert rows["frames"][names.index("frames.gif")] == 3_000
    assert hostile.run(f"scan.follow_links={follow}") == 0
    assert not hostile.ran()
    copies = {"a png.jpg", "'quote\".png", "line\nbreak.png", "🧊 é.png"}
    clusters = pd.read_parquet(hostile.run_folder / "cluster")
    of = dict(zip(clusters["path"].map(name_of), clusters["cluster"], strict=True))
    assert len({of[name] for name in copies}) == 1


@pytest.mark.slow
def test_want_of_memory_is_tried_again_under_a_higher_limit_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path / "project")
    folder = project.folder / "images"
    make_image(folder / "good.jpg", 1)
    Image.new("L", (5_000, 5_000)).save(folder / "large.png")
    os.utime(folder / "large.png", (LONG_AGO, LONG_AGO))
    for number, (limit, ran, failed) in enumerate((("8MiB", True, 1), ("8MiB", False, 1), ("2GiB", True, 0))):
        assert project.run(f"thumbnail.max_memory={limit}", options=("--quiet", "--strict")) == failed
        assert ("thumbnail" in project.ran()) == ran, number
        assert project.record()["errors"] == ({"memory": 1} if failed else {})
        capsys.readouterr()
        assert main(["failures", str(project.yaml)]) == 0
        said = (
            "memory: 1 image; tried again once thumbnail.max_memory is higher"
            if failed
            else "every image could be read"
        )
        assert capsys.readouterr().out.splitlines()[0] == said
    assert project.run("thumbnail.max_memory=8MiB") == 0
    assert not project.ran()  # the file is known already


def test_an_image_whose_sharpness_can_not_be_measured_just_now_is_measured_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path / "project", {"cluster": {"keep": ["sharpness", "path"]}})
    folder = project.folder / "images"
    folder.mkdir(parents=True, exist_ok=True)
    sharp = Image.fromarray(
        smooth(200, 150, seed=5) // 2 + np.indices((150, 200)).sum(0)[..., None].astype(np.uint8) % 9
    )
    sharp.resize((100, 75)).resize((200, 150)).save(folder / "blurred.png")
    sharp.save(folder / "sharp.png")
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))

    def away(*given: object) -> object:
        (folder / "sharp.png").rename(tmp_path / "sharp.png")
        yield from Lanes(*given)  # type: ignore[arg-type]
        (tmp_path / "sharp.png").rename(folder / "sharp.png")

    def keeper() -> str:
        rows = pd.read_parquet(project.run_folder / "cluster")
        return name_of(rows.loc[rows["keeper"], "path"].item())

    with monkeypatch.context() as patched:
        patched.setattr("stages.clustering.focus.Lanes", away)
        assert project.run(options=()) == 0
        assert "1 image, for whose clusters the rule sharpness could not decide" in capsys.readouterr().out
        assert (project.record()["unmeasured"], keeper()) == (1, "blurred.png")
        assert project.run(options=("--quiet", "--strict")) == 1
    assert project.run(options=("--quiet", "--strict")) == 0
    assert (project.record()["unmeasured"], keeper()) == (0, "sharp.png")
    assert project.run() == 0
    assert not project.ran()


def test_failures_are_listed_a_line_each_and_strict_makes_them_count(
    hostile: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hostile.run(options=("--quiet", "--strict")) == 1
    capsys.readouterr()
    assert main(["failures", str(hostile.yaml)]) == 0
    out = capsys.readouterr().out
    assert "not-an-image: 5 images\n" in out
    assert f"  {hostile.folder / 'images' / 'empty.jpg'}: the file is empty\n" in out
    assert main(["failures", str(hostile.run_folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["error"] for row in rows} == {"truncated", "not-an-image", "too-large", "unsupported"}


def test_a_name_with_a_line_break_is_printed_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path / "project")
    make_image(project.folder / "images" / "good.jpg", 1)
    (project.folder / "images" / "evil\n\x1b[31mname.jpg").write_bytes(b"nothing")
    assert project.run() == 0
    assert main(["failures", str(project.yaml)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [f"  {project.folder}/images/evil\\n\\x1b[31mname.jpg: not a recognised image format"]


def test_a_path_that_is_too_long_for_the_system_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path / "project")
    make_image(project.folder / "images" / "good.jpg", 1)
    opened = os.open(project.folder / "images", os.O_RDONLY)
    name = "d" * 250
    for _ in range(20):  # the names below are relative, so the system accepts them
        os.mkdir(name, dir_fd=opened)
        below = os.open(name, os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = below
        os.close(os.open("x.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
    os.close(opened)
    assert project.run(options=()) == 0
    said = capsys.readouterr().err
    assert "File name too long" in said
    assert "left out" in said
    assert 10 < project.record()["images"]["total"] < 21
    assert project.run(options=("--quiet", "--strict")) == 1


def test_files_without_permission_to_read(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == Path("~").expanduser().owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    path = tmp_path / "secret.jpg"
    path.write_bytes(JPEG)
    path.chmod(0)
    found = path.stat()
    file = Expected(os.fsencode(path), found.st_size, str(found.st_mtime_ns))
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root may read every file
    try:
        with pytest.raises(Unreadable) as caught:
            read(file, "mtime", 1 << 20)
    finally:
        os.seteuid(before)
    assert caught.value.problem == problems.FORBIDDEN


MEASURE = """
import os, resource, sys
from stages.decoding.children import idle
from stages.decoding.lanes import decode_one
from stages.decoding.sources import Expected
from stages.decoding.options import DecodeOptions, Limits
found = os.stat(sys.argv[1])
file = Expected(os.fsencode(sys.argv[1]), found.st_size, str(found.st_mtime_ns))
seen, _ = decode_one(file, DecodeOptions((64, 64), "RGB", True, (255,) * 3, True, 1 << 30, 10**9, "mtime"), Limits())
idle._close(0)
print(seen.problem, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


@pytest.mark.quick(1)
@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "I;16"])
def test_a_large_image_stands_in_memory_once(tmp_path: Path, mode: str) -> None:
    side = {"1": 10_000, "P": 10_000, "I;16": 8_000}.get(mode, 5_000)
    size = {"1": 1, "P": 1, "I;16": 2}.get(mode, 4) * side * side
    path = tmp_path / "large.png"
    Image.new(mode, (side, side)).save(path, compress_level=1)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    problem, peak = done.stdout.split()
    assert problem == "None"
    assert int(peak) << 20 < 1.4 * size + (160 << 20)


@pytest.mark.slow
def test_a_run_leaves_no_process_behind(hostile: Project) -> None:
    mark = f"FAST_DIFF_TEST={hostile.folder}"
    environment = {**os.environ, "FAST_DIFF_TEST": str(hostile.folder)}
    assert hostile.spawn("scheduler.kind=local", "scheduler.workers=2", env=environment).returncode == 0
    for _ in range(100):
        left = [path for path in Path("/proc").glob("[0-9]*/environ") if mark.encode() in environ(path)]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {[path.with_name('cmdline').read_text() for path in left]}")


def environ(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process has ended, or is another user's
