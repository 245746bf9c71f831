"""The readable part of a truncated file is known exactly, and is used if it is most of the picture."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stages.decoding.options import DecodeOptions
from tests.stages.decoding.samples import saved, smooth
from tests.stages.decoding.test_decode import code, decode

REJECT = DecodeOptions((32, 24), "RGB", False, (255, 0, 255), True, 1 << 28, 500_000_000, "mtime")
ACCEPT = replace(REJECT, salvage=True)
PICTURE = Image.fromarray(smooth(640, 480, seed=3) // 2)  # dark, so that the colour does not show missing rows


def cut(kind: str, share: float, **arguments: object) -> bytes:
    data = saved(PICTURE, kind, **arguments)
    return data[: int(len(data) * share)]


@pytest.mark.parametrize(
    ("kind", "arguments"), [("JPEG", {"quality": 95}), ("PNG", {"compress_level": 0}), ("BMP", {})]
)
@pytest.mark.parametrize("fast", [False, True])
def test_most_of_a_picture_is_kept_on_the_background(kind: str, arguments: dict[str, object], fast: bool) -> None:
    data = cut(kind, 0.8, **arguments)
    assert code(data, REJECT) == "truncated"
    got = decode(data, replace(ACCEPT, fast=fast))
    assert got.note.startswith("cut short: ")
    share = int(got.note.split()[2])
    assert 55 <= share <= 90
    whole = decode(saved(PICTURE, kind, **arguments), replace(REJECT, fast=fast))
    rows = 24 * share // 100 - 2
    there, lost = (slice(0, rows), slice(24 - rows, 24)) if kind != "BMP" else (slice(24 - rows, 24), slice(0, rows))
    assert np.abs(got.pixels[there].astype(int) - whole.pixels[there]).max() <= 8
    edge = got.pixels[-1 if kind != "BMP" else 0]
    assert np.abs(edge.astype(int) - (255, 0, 255)).max() <= 8
    assert lost != there


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_the_readable_part_equals_the_same_part_of_the_whole_picture(mode: str) -> None:
    grey = PICTURE.convert("L")
    picture = grey.convert("I").point(lambda value: value * 257).convert("I;16") if mode == "I;16" else None
    whole = saved(picture or PICTURE.convert(mode), "PNG", compress_level=0)
    kept = decode(whole[: int(len(whole) * 0.8)], ACCEPT)
    rows = 24 * int(kept.note.split()[2]) // 100 - 2
    assert rows > 12
    assert np.abs(kept.pixels[:rows].astype(int) - decode(whole, REJECT).pixels[:rows]).max() <= 1


def test_less_than_half_is_no_picture() -> None:
    assert code(cut("JPEG", 0.3, quality=95), ACCEPT) == "truncated"
    assert code(cut("BMP", 0.4), ACCEPT) == "truncated"


def test_a_whole_file_and_one_that_is_no_image_are_not_concerned() -> None:
    whole = saved(PICTURE, "JPEG")
    assert decode(whole, ACCEPT).note == ""
    assert np.array_equal(decode(whole, ACCEPT).pixels, decode(whole, REJECT).pixels)
    assert code(b"no image", ACCEPT) == "not-an-image"


def test_palettes_transparency_and_turns_survive() -> None:
    data = saved(PICTURE.convert("P"), "PNG", compress_level=0)
    assert decode(data[: int(len(data) * 0.8)], ACCEPT).note
    alpha = PICTURE.copy()
    alpha.putalpha(0)
    data = saved(alpha, "PNG", compress_level=0)
    got = decode(data[: int(len(data) * 0.8)], ACCEPT)
    assert np.abs(got.pixels.astype(int) - (255, 0, 255)).max() <= 1
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PICTURE, "JPEG", quality=95, exif=exif)
    got = decode(data[: int(len(data) * 0.8)], ACCEPT)
    assert (got.width, got.height) == (480, 640)
    assert np.abs(got.pixels[:, 0].astype(int) - (255, 0, 255)).max() <= 8  # the bottom edge is now on the left


def test_a_progressive_jpeg_shows_all_that_its_scans_have_reached() -> None:
    got = decode(cut("JPEG", 0.7, quality=95, progressive=True), ACCEPT)
    assert got.note == "cut short: 100 % of the picture is there"
    whole = decode(saved(PICTURE, "JPEG", quality=95), REJECT)
    assert np.square(got.pixels.astype(float) - whole.pixels).sum(axis=2).mean() < 200
    assert code(cut("JPEG", 0.04, quality=95, progressive=True), ACCEPT) == "truncated"


@pytest.mark.parametrize("progressive", [False, True])
def test_an_end_marker_after_the_cut_changes_nothing(progressive: bool) -> None:
    data = cut("JPEG", 0.8, quality=95, progressive=progressive)
    assert code(data + b"\xff\xd9", REJECT) == "truncated"
    bare, ended = decode(data, ACCEPT), decode(data + b"\xff\xd9", ACCEPT)
    assert bare.note == ended.note != ""
    assert np.array_equal(bare.pixels, ended.pixels)
