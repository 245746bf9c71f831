"""Borders are found where a picture lies on a plain ground, and nowhere else."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages.decoding import borders
from stages.decoding.borders import Box, picture_box
from stages.decoding.decode import decode
from stages.decoding.options import DecodeOptions
from tests.pairwise import pairwise
from tests.stages.decoding.samples import saved

OPTIONS = DecodeOptions((64, 64), "RGB", True, (255, 255, 255), True, 1 << 28, 500_000_000, "mtime", trim=True)
COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128)}


def picture(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Return stripes and patches whose edges differ from every plain colour."""
    random = np.random.default_rng(seed)
    grid = random.integers(0, 2, (6, 8, 3)) * 130 + random.integers(40, 80, (6, 8, 3))
    return Image.fromarray(grid.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def framed(image: Image.Image, frame: tuple[int, int, int, int], colour: object) -> Image.Image:
    """Return an image on a ground that is visible at the left, top, right and bottom."""
    left, top, right, bottom = frame
    found = Image.new(image.mode, (image.width + left + right, image.height + top + bottom), colour)
    found.paste(image, (left, top))
    return found


def inside(image: Image.Image, frame: tuple[int, int, int, int]) -> Box:
    return Box(frame[0], frame[1], frame[0] + image.width, frame[1] + image.height)


FRAMES = [(0, 40, 0, 40), (60, 0, 60, 0), (10, 20, 30, 40), (0, 0, 0, 25), (1, 0, 0, 0), (3, 3, 3, 3), (0, 300, 0, 400)]


@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("colour", COLOURS)
def test_the_picture_inside_a_frame(frame: tuple[int, int, int, int], colour: str) -> None:
    image = picture()
    assert picture_box(framed(image, frame, COLOURS[colour])) == inside(image, frame)


@pytest.mark.parametrize(("mode", "colour"), [("L", 0), ("RGBA", (9, 9, 9, 255)), ("CMYK", (0, 0, 0, 0))])
def test_every_mode(mode: str, colour: object) -> None:
    image = picture().convert(mode)
    assert picture_box(framed(image, (7, 8, 9, 10), colour)) == inside(image, (7, 8, 9, 10))


def test_frames_in_frames() -> None:
    image = picture()
    inner = framed(image, (12, 12, 12, 12), "white")
    whole = framed(framed(inner, (40, 0, 40, 0), "black"), (0, 9, 0, 9), "grey")
    assert picture_box(whole) == inside(image, (52, 21, 52, 21))


def test_a_picture_without_borders_is_not_cut() -> None:
    image = picture()
    assert picture_box(image) == Box(0, 0, *image.size)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (200, 150), (130, 70)])
def test_a_picture_of_one_colour_is_not_cut(size: tuple[int, int]) -> None:
    assert picture_box(Image.new("RGB", size, (10, 200, 30))) == Box(0, 0, *size)


@pytest.mark.parametrize(("width", "cut"), [(90, True), (70, False)])
def test_a_small_object_on_a_blank_page_keeps_its_page(width: int, cut: bool) -> None:
    """At most four fifths of a side are cut."""
    page = Image.new("RGB", (400, 400), "white")
    page.paste(picture(width, width), (100, 120))
    expected = Box(100, 120, 100 + width, 120 + width) if cut else Box(0, 0, 400, 400)
    assert picture_box(page) == expected


def test_a_ground_that_fades_into_the_picture_is_no_border() -> None:
    """Skies and studio backdrops are examples: where their border would end depends on the quality of the file."""
    shade = np.clip(np.arange(240) - 60, 0, 120)[:, None].repeat(320, 1)
    image = Image.fromarray((shade[..., None] + np.zeros(3)).astype(np.uint8))
    assert picture_box(image) == Box(0, 0, 320, 240)


def test_an_object_that_begins_with_a_tip_is_not_cut_out() -> None:
    page = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(page).polygon([(150, 60), (240, 150), (150, 240), (60, 150)], "black")
    assert picture_box(page) == Box(0, 0, 300, 300)


@pytest.mark.parametrize(("dots", "is_border"), [(4, True), (16, False)])
def test_dust_on_a_margin(dots: int, is_border: bool) -> None:
    """Up to one pixel in fifty of a line may differ."""
    whole = framed(picture(), (40, 0, 0, 0), "white")
    for dot in range(dots):
        whole.putpixel((20, 5 + 7 * dot), (0, 0, 0))
    assert (picture_box(whole).left == 40) == is_border


@pytest.mark.parametrize(("levels", "is_border"), [(24, True), (25, False)])
def test_the_tolerance(levels: int, is_border: bool) -> None:
    whole = np.asarray(framed(picture(), (40, 0, 0, 0), (100, 100, 100))).copy()
    whole[::20, 20, 1] += levels
    assert (picture_box(Image.fromarray(whole)).left == 40) == is_border


@pytest.mark.parametrize("quality", [40, 60, 85, 95])
@pytest.mark.parametrize("frame", [(0, 41, 0, 41), (30, 20, 25, 35)], ids=str)
@pytest.mark.parametrize("colour", COLOURS)
def test_jpeg_moves_no_edge_by_more_than_a_pixel(frame: tuple[int, int, int, int], quality: int, colour: str) -> None:
    image = picture()
    data = saved(framed(image, frame, COLOURS[colour]), "JPEG", quality=quality)
    found = picture_box(Image.open(io.BytesIO(data)))
    assert np.abs(np.subtract(found, inside(image, frame))).max() <= 1


def test_lines_are_read_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture()
    whole = framed(image, (150, 100, 70, 64), "black")
    expected = picture_box(whole)
    monkeypatch.setattr(borders, "STRIP", 3)
    assert picture_box(whole) == expected == inside(image, (150, 100, 70, 64))


def apart(one: bytes, other: bytes) -> float:
    values = (np.frombuffer(data, np.uint8).astype(float) for data in (one, other))
    return float(np.square(next(values) - next(values)).sum()) / 64**2


@pytest.mark.quick(3)
@pairwise(kind=("JPEG", "PNG", "WEBP", "JPEG2000"), orientation=(1, 6, 7), fast=(True, False))
def test_a_framed_copy_has_the_thumbnail_of_the_picture(kind: str, orientation: int, fast: bool) -> None:
    """Decoded in full or reduced, landscape or portrait; the box is in pixels of the upright image."""
    options = replace(OPTIONS, fast=fast)
    image = picture(1500, 1000)
    upright = framed(image, (0, 700, 0, 900), "black")
    undone = {1: None, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}[orientation]
    exif = Image.Exif()
    if kind != "JPEG2000":
        exif[0x0112] = orientation
        stored = upright.transpose(undone) if undone is not None else upright
    else:
        stored = upright
    more = {} if kind == "JPEG2000" else {"exif": exif}
    thumbnail, facts = decode(saved(stored, kind, **more), options)
    expected, own = decode(saved(image, "PNG"), options)
    box = (facts.box_left, facts.box_top, facts.box_right, facts.box_bottom)
    assert np.abs(np.subtract(box, inside(image, (0, 700, 0, 900)))).max() <= 2 * max(1, facts.scale)
    assert (facts.width, facts.height) == upright.size
    assert (own.box_left, own.box_top, own.box_right, own.box_bottom) == (0, 0, 1500, 1000)
    assert apart(thumbnail, expected) < 60


def test_a_reduced_decode_keeps_enough_pixels_inside_the_borders() -> None:
    """A quarter of the lines remains, so the decoder halves the image two times fewer."""
    image = picture(2400, 1200)
    narrow = framed(image, (0, 1800, 0, 1800), "black")
    data, plain = (saved(each, "JPEG", quality=90) for each in (narrow, image))
    assert decode(plain, OPTIONS)[1].scale == 4
    assert decode(data, replace(OPTIONS, trim=False))[1].scale == 8
    found, facts = decode(data, OPTIONS)
    assert facts.scale <= 4
    assert apart(found, decode(plain, OPTIONS)[0]) < 60


def test_without_trim_nothing_is_cut() -> None:
    data = saved(framed(picture(), (0, 40, 0, 40), "black"), "PNG")
    thumbnail, facts = decode(data, replace(OPTIONS, trim=False))
    assert facts.box_left is None
    assert np.frombuffer(thumbnail, np.uint8).reshape(64, 64, 3)[:6].max() == 0
