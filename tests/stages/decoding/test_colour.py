"""Colours are converted to sRGB by the image's profile."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from stages.decoding.options import DecodeOptions
from tests.stages.decoding.samples import saved, smooth, tiff
from tests.stages.decoding.test_decode import decode

OPTIONS = DecodeOptions((16, 12), "RGB", False, (255, 255, 255), True, 1 << 28, 500_000_000, "mtime")
RAW = replace(OPTIONS, srgb=False)
PICTURE = Image.fromarray(smooth(160, 120, seed=9) // 2 + 60)
SMALL = np.asarray(PICTURE.resize((16, 12), Image.Resampling.BICUBIC)).astype(int)


def wide_gamut() -> bytes:
    """Return a profile of an RGB space with other primaries than sRGB: red and blue are swapped."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(srgb[128:132], "big")
    tags = {bytes(srgb[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    srgb[red : red + 4], srgb[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(srgb)


SWAPPED = wide_gamut()


def grey_profile(gamma: float) -> bytes:
    """Return a grey profile: the required fields, and a curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    point = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(79)
    parts = {b"desc": text + bytes(-len(text) % 4), b"wtpt": point, b"kTRC": curve}
    table, data = struct.pack(">I", len(parts)), b""
    for name, part in parts.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(parts) + len(data), len(part))
        data += part
    head = struct.pack(">I4sI4s4s4s", 132 + 12 * len(parts) + len(data), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_applied_unless_raw_is_asked_for(kind: str) -> None:
    data = saved(PICTURE, kind, icc_profile=SWAPPED, quality=95)
    got = decode(data, OPTIONS).pixels.astype(int)
    assert np.abs(got - SMALL[..., ::-1]).max() <= 8
    assert np.abs(decode(data, RAW).pixels.astype(int) - SMALL).max() <= 8


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_every_mode_of_thumbnail(mode: str) -> None:
    data = saved(PICTURE, "PNG", icc_profile=SWAPPED)
    swapped = Image.fromarray(SMALL[..., ::-1].astype(np.uint8)).convert(mode)
    got = decode(data, replace(OPTIONS, mode=mode)).pixels.astype(int)
    assert np.abs(got - np.asarray(swapped).reshape(got.shape)).max() <= 2


def test_colours_are_converted_before_they_lie_on_the_background() -> None:
    picture = Image.new("RGBA", (16, 12), (200, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 8, 12))
    data = saved(picture, "PNG", icc_profile=SWAPPED)
    got = decode(data, replace(OPTIONS, background=(10, 200, 30))).pixels
    assert got[0, 0].tolist() == [10, 200, 30]
    assert np.abs(got[0, 15].astype(int) - (0, 0, 200)).max() <= 2


@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_grey_with_alpha_has_the_colours_of_grey(gamma: float) -> None:
    """A grey profile describes one channel."""
    grey = PICTURE.convert("L")
    with_alpha = grey.copy()
    with_alpha.putalpha(255)
    profile = grey_profile(gamma)
    expected = decode(saved(grey, "PNG", icc_profile=profile), OPTIONS).pixels
    assert np.abs(expected.astype(int) - decode(saved(grey, "PNG"), OPTIONS).pixels).max() > 10
    for data in (
        saved(with_alpha, "PNG", icc_profile=profile),
        saved(grey, "PNG", icc_profile=profile, transparency=3),
    ):
        assert np.abs(decode(data, OPTIONS).pixels.astype(int) - expected).max() <= 1


def test_a_profile_counts_where_tifffile_reads() -> None:
    tag = (34675, "B", len(SWAPPED), SWAPPED, True)
    deep = np.asarray(PICTURE).astype(np.uint16) * 257
    for data in (
        tiff(np.moveaxis(deep, 2, 0), photometric="rgb", planarconfig="separate", extratags=[tag]),
        tiff((deep / 65535).astype(np.float32), photometric="rgb", extratags=[tag]),
    ):
        got = decode(data, OPTIONS)
        assert got.decoder.startswith("tifffile")
        assert np.abs(got.pixels.astype(int) - SMALL[..., ::-1]).max() <= 8


def test_an_srgb_profile_of_any_name_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(
        decode(saved(PICTURE, "PNG", icc_profile=profile), OPTIONS).pixels,
        decode(saved(PICTURE, "PNG"), OPTIONS).pixels,
    )


def test_grey_and_cmyk_without_a_profile_of_theirs_stay_as_they_are() -> None:
    for mode in ("L", "CMYK"):
        plain = PICTURE.convert(mode)
        with_profile = saved(plain, "TIFF", icc_profile=SWAPPED)  # the profile is for RGB
        assert np.array_equal(decode(with_profile, OPTIONS).pixels, decode(saved(plain, "TIFF"), OPTIONS).pixels)


@pytest.mark.parametrize("profile", [b"rubbish", SWAPPED[:200], SWAPPED[:128] + bytes(400)])
def test_a_broken_profile_is_a_note(profile: bytes) -> None:
    got = decode(saved(PICTURE, "PNG", icc_profile=profile), OPTIONS)
    assert np.array_equal(got.pixels, decode(saved(PICTURE, "PNG"), OPTIONS).pixels)
    assert got.note == "its colour profile can't be used: colours are taken as they are"
