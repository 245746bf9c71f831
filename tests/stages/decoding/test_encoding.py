"""Columns about an image's origin and encoding."""

import io
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.decoding.decode import Facts, decode
from stages.decoding.encoding import was_jpeg
from stages.decoding.options import DecodeOptions
from tests.photographs import photograph

OPTIONS = DecodeOptions((16, 16), "RGB", True, (255, 255, 255), True, 1 << 30, 1 << 30, "mtime")
TABLE = [3 + n // 9 for n in range(64)]
"""A quantisation table that no quality setting of libjpeg gives."""


def facts(image: Image.Image, form: str, **how: Any) -> Facts:
    file = io.BytesIO()
    image.save(file, form, **how)
    return decode(file.getvalue(), OPTIONS)[1]


def camera_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[272], exif[305] = "Acme\0", "Acme Seven\0", "Firmware\n2.1"
    exif.get_ifd(0x8769)[36867] = "2015:06:07 08:09:10"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 1.0)
    return exif


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_says_when_where_and_with_what(form: str) -> None:
    found = facts(photograph(0), form, exif=camera_exif().tobytes())
    assert (found.taken, found.camera) == (datetime(2015, 6, 7, 8, 9, 10), "Acme Seven")
    assert (found.software, found.gps, found.orientation) == ("Firmware 2.1", True, 1)
    bare = facts(photograph(0), form)
    assert (bare.taken, bare.camera, bare.software, bare.gps, bare.orientation) == (None, None, None, False, 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_the_orientation_is_that_of_the_file(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = facts(photograph(0), form, exif=exif)
    assert (found.orientation, found.width < found.height) == (6, True)


def test_a_make_that_the_model_lacks_comes_before_it() -> None:
    exif = Image.Exif()
    exif[271], exif[272] = "NIKON", "D70"
    assert facts(photograph(0), "JPEG", exif=exif).camera == "NIKON D70"


@pytest.mark.parametrize("quality", [5, 49, 50, 75, 92, 100])
def test_the_quality_of_standard_tables_is_exact(quality: int) -> None:
    found = facts(photograph(0), "JPEG", quality=quality)
    assert (found.quality, found.tables) == (quality, "standard")


def test_tables_sampling_and_scans_of_a_jpeg_are_recorded() -> None:
    own = facts(photograph(0), "JPEG", qtables=[TABLE, TABLE], subsampling=1)
    assert (own.tables, own.subsampling, own.progressive) == ("own", "4:2:2", False)
    assert own.quality == pytest.approx(95, abs=3)
    other = facts(photograph(0), "JPEG", subsampling=2, progressive=True)
    assert (other.subsampling, other.progressive) == ("4:2:0", True)
    assert facts(photograph(0), "PNG").quality is None


@pytest.mark.parametrize("quality", [60, 90, 96])
@pytest.mark.parametrize("size", [(320, 240), (317, 235)])
@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180])
def test_a_lossless_file_that_was_a_jpeg_is_known(
    quality: int, size: tuple[int, int], turn: Image.Transpose | None
) -> None:
    picture = photograph(1, size)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    again = Image.open(file).convert("RGB")
    again = again if turn is None else again.transpose(turn)
    assert [facts(each, form).was_jpeg for each in (picture, again) for form in ("PNG", "TIFF")] == [
        *(False, False, True, True)
    ]


def test_without_a_visible_grid_no_value_is_recorded() -> None:
    assert was_jpeg(Image.new("RGB", (63, 400))) is None
    assert was_jpeg(Image.new("P", (400, 400))) is None
    assert was_jpeg(Image.new("L", (64, 64), 7)) is False, "flat"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    assert was_jpeg(noise) is False
    assert facts(photograph(0), "JPEG").was_jpeg is None
