"""Truncated JPEGs, whole JPEGs that look truncated, and huge JPEGs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.decoding.formats import jpeg
from stages.decoding.formats.jpeg import END, layout
from tests.stages.decoding.samples import saved, smooth
from tests.stages.decoding.test_decode import EXACT, FAST, code, decode

PICTURE = Image.fromarray(smooth(160, 120, seed=3))
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))
COMMENT = b"\xff\xfe\0\6late"
KINDS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"quality": 95, "subsampling": 0},
    {"quality": 30, "progressive": True, "optimize": True},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
]


def in_scans(picture: Image.Image) -> bytes:
    """Return a sequential JPEG with one scan a component: a progressive JPEG without its later scans."""
    grey = saved(picture.convert("L"), "JPEG")
    head, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    frame, tables = bytearray(grey[head : head + 13]), grey[head + 13 : scan]
    frame[3], frame[9] = 17, 3
    frame += bytes([2, 0x11, 0, 3, 0x11, 0])
    data = grey[scan + 10 : -2]
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([number, 0, 0, 63, 0]) + data for number in (1, 2, 3))
    return grey[:head] + bytes(frame) + tables + scans + END


@pytest.mark.parametrize("picture", [PICTURE, NOISE, NOISE.convert("L"), PICTURE.convert("CMYK")], ids=lambda p: p.mode)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_truncated_file_is_distinguished_from_a_whole_one(picture: Image.Image, kind: dict[str, Any]) -> None:
    data = saved(picture, "JPEG", **kind)
    whole = decode(data, EXACT)
    for same in (
        data[:-2] + COMMENT + END,
        data[:-2],
        data[:-2] + bytes(500),
        data + b"what a camera adds" + bytes(99),
        data + data,
    ):
        assert np.array_equal(decode(same, EXACT).pixels, whole.pixels)
    scan = data.index(b"\xff\xda")
    for share in (0.1, 0.4, 0.7, 0.9, 0.96):
        cut = scan + int(share * (len(data) - scan))
        for rest in (b"", END, bytes(len(data) - cut), END + bytes(99), data[-2:] + data, COMMENT + END):
            for options in (EXACT, FAST):
                assert code(data[:cut] + rest, options) == "truncated", (share, rest[:4])


def test_components_in_scans_of_their_own_are_all_needed() -> None:
    data = in_scans(PICTURE)
    known = layout(data)
    assert known is not None
    assert (known.complete, known.buffered, known.coefficients) == (True, True, 160 * 120 * 3)
    assert decode(data, EXACT).mode == "RGB"
    last = data.rindex(b"\xff\xda")
    assert code(data[:last] + END) == "truncated"
    assert code(data[: last + 200] + END) == "truncated"


def test_whole_files_are_decoded_as_pillow_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        data = saved(PICTURE, "JPEG", **kind)
        for options in (EXACT, FAST):
            found = decode(data, options).pixels
            with monkeypatch.context() as patched:
                patched.setattr(jpeg, "layout", lambda _: None)
                assert np.array_equal(found, decode(data, options).pixels)


def test_pillow_reports_the_error_of_invalid_frames() -> None:
    data = saved(PICTURE, "JPEG")
    frame = data.index(b"\xff\xc0")
    assert layout(b"\xff\xd8") is None
    assert layout(data[: frame + 4]) is None
    assert layout(data[:frame] + data[frame + 19 :]) is None
    arithmetic = data[: frame + 1] + b"\xc9" + data[frame + 2 :]
    assert layout(arithmetic) is None
    grey = saved(PICTURE.convert("L"), "JPEG")
    frame = grey.index(b"\xff\xc0")
    assert layout(grey[: frame + 11] + b"\0" + grey[frame + 12 :]) is None  # a component without samples


def test_a_huge_one_is_decoded_where_a_reduced_scale_is_small_enough() -> None:
    picture = Image.fromarray(smooth(640, 480, seed=3))  # at an eighth, 80 x 60
    options = replace(FAST, size=(16, 12), max_pixels=4_800)
    data = saved(picture, "JPEG")
    found = decode(data, options)
    assert (found.width, found.height, found.scale) == (640, 480, 8)
    assert np.array_equal(found.pixels, decode(data, replace(FAST, size=(16, 12))).pixels)
    assert code(data, replace(options, max_pixels=4_799)) == "too-large"
    assert code(data, replace(options, fast=False)) == "too-large"
    assert code(saved(picture, "PNG"), options) == "too-large"


def test_the_count_of_coefficients_is_bounded() -> None:
    picture = Image.fromarray(smooth(640, 480, seed=3))
    for quarter, pixels in ((True, 640 * 480 // 2), (False, 640 * 480)):  # a pixel counts three coefficients
        data = saved(picture, "JPEG", progressive=True, subsampling=2 if quarter else 0)
        assert decode(data, replace(FAST, max_pixels=pixels)).scale == 8
        assert code(data, replace(FAST, max_pixels=pixels - 1)) == "too-large"
    assert code(in_scans(picture), replace(FAST, max_pixels=640 * 480 - 1)) == "too-large"
