"""The fast path for plain PNGs gives the pixels that Pillow gives, or no pixels."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from stages.decoding.formats import png as module
from stages.decoding.formats.png import END, SIGNATURE, is_whole, open_plain
from tests.stages.decoding.test_decode import EXACT, code, decode

MODES = ("L", "LA", "RGB", "RGBA")
MANY = 10**6


def picture(mode: str, width: int, height: int, seed: int = 1) -> Image.Image:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[: height // 2] //= 64  # compressible data
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
    found = open_plain(SIGNATURE + head + chunk(b"gAMA", bytes(4)) + pieces + END, MANY)
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
def test_pillow_decodes_pngs_that_are_not_plain(what: str) -> None:
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
    """`mended`: with correct checksums all the same, as a faulty program would write wrong pixels."""
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


def with_rows(data: bytes, rows: int | None, interlaced: bool = False) -> bytes:
    """Return a PNG whose compressed data end, well-formed, after some rows, or one byte before the end (None)."""
    head = bytearray(data[:33])
    head[28] = interlaced
    head[29:33] = struct.pack(">I", zlib.crc32(head[12:29]))
    chunks = list(module._chunks(data))
    raw = zlib.decompress(b"".join(data[start:end] for name, start, end in chunks if name == b"IDAT"))
    width = len(raw) // struct.unpack_from(">I", data, 20)[0]
    kept = raw[:-1] if rows is None else raw[: rows * width]
    others = b"".join(chunk(name, data[start:end]) for name, start, end in chunks if name in (b"PLTE", b"tRNS"))
    return bytes(head) + others + chunk(b"IDAT", zlib.compress(kept)) + END


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_data_that_end_before_the_last_row_are_cut_short(mode: str) -> None:
    deep = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    data = png(deep if mode == "I;16" else picture("RGBA", 40, 30).convert(mode))
    assert decode(with_rows(data, 30), EXACT).format == "PNG"
    for rows in (0, 12, 29, None):
        assert code(with_rows(data, rows)) == "truncated"


def test_a_picture_that_happens_to_end_in_the_mark_is_whole() -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"):
        image = Image.new(mode, (20, 10))
        image.putpixel((19, 9), module.MARKS[mode])
        data = png(image)
        assert decode(data, EXACT).height == 10
        assert not is_whole(with_rows(data, 9))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (13, 22)])
def test_of_an_interlaced_one_every_pass_must_be_there(size: tuple[int, int]) -> None:
    width, height = size
    passes = [(range(left, width, across), range(top, height, down)) for left, top, across, down in module.ADAM7]
    rows = [bytes(1 + 3 * len(columns)) for columns, lines in passes if columns for _ in lines]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    for kept, expected in ((rows, True), ([*rows[:-1], rows[-1][:-1]], False)):
        data = SIGNATURE + head + chunk(b"IDAT", zlib.compress(b"".join(kept))) + END
        assert is_whole(data) == expected
        assert decode(data, EXACT).width == width if expected else code(data) == "truncated"


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_comment_or_a_profile_of_any_size_costs_no_picture(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    for place in (module, PngImagePlugin):
        monkeypatch.setattr(place, "MAX_TEXT_CHUNK", 10_000)
    plain = png(picture("RGB", 40, 30).convert(mode))
    much = zlib.compress(bytes(20_000))
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x:xmpmeta xmlns:tiff="t"><r tiff:Orientation="6"/></x:xmpmeta>'
    large = [chunk(b"zTXt", b"Comment\0\0" + much), chunk(b"iTXt", b"Comment\0\1\0\0\0" + much)]
    large += [chunk(b"iCCP", b"Profile\0\0" + much)]
    before = decode(plain, EXACT)
    for each in large:
        for data in (plain[:33] + each + plain[33:], plain[:-12] + each + plain[-12:]):
            if each[4:8] == b"iCCP" and data.endswith(each + END):
                continue  # no profile after the pixels
            found = decode(data, EXACT)
            assert np.array_equal(found.pixels, before.pixels)
            assert found.note == "comments, or a colour profile, were too large to be read"
    turned = decode(plain[:33] + chunk(b"iTXt", xmp) + large[0] + plain[33:], EXACT)
    assert (turned.width, turned.height) == (30, 40)


def test_without_its_last_chunk_a_picture_is_whole() -> None:
    for mode in ("RGB", "P"):
        data = png(picture("RGB", 40, 30).convert(mode))
        assert np.array_equal(decode(data[:-12], EXACT).pixels, decode(data, EXACT).pixels)
