"""The short way into plain PNGs gives what Pillow gives, or nothing."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from stages.decoding.png import END, START, open_plain

MODES = ("L", "LA", "RGB", "RGBA")
MANY = 10**6


def picture(mode: str, width: int, height: int, seed: int = 1) -> Image.Image:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[: height // 2] //= 64  # something that shrinks
    return Image.fromarray(pixels).convert(mode)


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def by_pillow(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    image.load()
    return image


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (31, 17), (257, 64)])
def test_plain_ones_are_the_same(mode: str, size: tuple[int, int]) -> None:
    for level in (0, 1, 9):
        data = png(picture(mode, *size), compress_level=level, dpi=(72, 72))
        found = open_plain(data, MANY)
        assert found is not None
        expected = by_pillow(data)
        assert (found.mode, found.size, found.tobytes()) == (expected.mode, expected.size, expected.tobytes())


def test_pixels_in_many_chunks_are_put_together() -> None:
    image = picture("RGB", 40, 30)
    packed = zlib.compress(b"".join(b"\0" + image.crop((0, y, 40, y + 1)).tobytes() for y in range(30)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0))
    pieces = b"".join(chunk(b"IDAT", packed[start : start + 100]) for start in range(0, len(packed), 100))
    found = open_plain(START + head + chunk(b"gAMA", bytes(4)) + pieces + END, MANY)
    assert found is not None
    assert found.tobytes() == image.tobytes()


def with_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    return png(picture("RGB", 9, 7), pnginfo=info)


PLAIN = png(picture("RGB", 9, 7))
OTHERS = {
    "a palette": png(picture("RGB", 9, 7).quantize(8)),
    "one bit": png(picture("L", 9, 7).convert("1")),
    "16 bits": png(Image.fromarray(np.arange(60, dtype=np.uint16).reshape(6, 10) * 999)),
    "a transparent colour": png(picture("RGB", 9, 7), transparency=(1, 2, 3)),
    "a profile": png(picture("RGB", 9, 7), icc_profile=b"whatever"),
    "EXIF": png(picture("RGB", 9, 7), exif=b"Exif\0\0II*\0"),
    "text": with_text(),
    "frames": png(picture("RGB", 9, 7), save_all=True, append_images=[picture("RGB", 9, 7, seed=2)]),
    "nothing behind the head": PLAIN[:33],
    "no end": PLAIN[:-12],
    "something behind the end": PLAIN + b"x",
    "another end": PLAIN[:-12] + chunk(b"tIME", bytes(7)) + END,
    "nothing": b"",
    "not a PNG": b"\xff\xd8\xff" + PLAIN,
    "no columns": PLAIN[:16] + bytes(4) + PLAIN[20:],
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_plain_is_left_to_pillow(what: str) -> None:
    assert open_plain(OTHERS[what], MANY) is None


def test_a_large_one_is_not_decoded() -> None:
    assert open_plain(PLAIN, 62) is None
    assert open_plain(PLAIN, 63) is not None


@settings(max_examples=400, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 12),
    mended=st.booleans(),
)
def test_a_broken_one_is_never_another_picture(
    mode: str, places: list[tuple[int, int]], cut: int, mended: bool
) -> None:
    """`mended`: with checksums that are right all the same, as a program writes them that errs in the pixels."""
    broken = bytearray(png(picture(mode, 20, 15)))
    for place, value in places:
        broken[place % len(broken)] = value
    data = bytes(broken[: len(broken) - cut if cut > 9 else None])
    if mended:
        data = with_checksums(data)
    found = open_plain(data, MANY)
    if found is not None:
        expected = by_pillow(data)
        assert (found.mode, found.size, found.tobytes()) == (expected.mode, expected.size, expected.tobytes())


def with_checksums(data: bytes) -> bytes:
    made, at = data[:8], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        made += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return made
