"""Decode plain PNGs without Pillow's reader, and detect truncated PNGs.

Most icons and screenshots are plain: 8 bits a value, not interlaced, valid checksums, no chunk that affects the
picture besides the pixels. For a small plain PNG, Pillow's reader takes longer for the chunks than for the pixels.
All other PNGs go to Pillow, which reads every kind of PNG and reports errors."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image, PngImagePlugin
from PIL.PngImagePlugin import PngImageFile

from stages.decoding import problems
from stages.decoding.problems import Unreadable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4sIIBBBBBI")
"""The first chunk: length, name, width, height, bits, colour, compression, filter, interlacing, checksum."""
CHUNK = struct.Struct(">I4s")
PLAIN = {(8, 0): "L", (8, 2): "RGB", (8, 4): "LA", (8, 6): "RGBA"}
"""Pillow's mode by bits and colour type."""
SILENT = frozenset({b"pHYs", b"tIME", b"bKGD", b"hIST", b"sBIT", b"gAMA", b"cHRM", b"sRGB"})
"""Chunks that change no pixel and hold no value that the table of thumbnails records."""
END = b"\0\0\0\0IEND\xaeB`\x82"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced image: first column, first row, and the steps between columns and rows."""
MARKS: dict[str, int | tuple[int, ...]]
MARKS = {"1": 255, "P": 91, "L": 91, "LA": (91, 45), "RGB": (91, 165, 60), "RGBA": (91, 165, 60, 45), "I;16": 23_456}
"""Value of the last pixel before decoding, by mode; if unchanged after decoding, the data may be truncated."""
MAX_TEXT_CHUNK = 1 << 26
"""Greatest size in bytes of a comment or profile. Pillow's limit of 1 MiB would reject files of drawing programs."""
COMMENTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
METADATA = frozenset({b"Raw profile type exif", b"XML:com.adobe.xmp"})
PIECE = 1 << 20
"""Bytes that are decompressed at a time."""
PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT_CHUNK


def open_plain(data: bytes, max_pixels: int) -> Image.Image | None:
    """Return the image of a plain PNG, with the same pixels as Pillow decodes.

    Returns None if the PNG is truncated, too large or not plain."""
    if not data.startswith(SIGNATURE) or not data.endswith(END) or len(data) < len(SIGNATURE) + HEAD.size:
        return None
    length, name, width, height, bits, colour, *ways, checksum = HEAD.unpack_from(data, len(SIGNATURE))
    mode = PLAIN.get((bits, colour))
    if length != 13 or name != b"IHDR" or mode is None or any(ways) or not 0 < width * height <= max_pixels:
        return None
    at = len(SIGNATURE) + HEAD.size
    if zlib.crc32(data[len(SIGNATURE) + 4 : at - 4]) != checksum:
        return None
    packed = _packed(data, at)
    if not packed:
        return None
    image = Image.new(mode, (width, height), None)
    last = width - 1, height - 1
    image.putpixel(last, MARKS[mode])
    try:
        image.frombytes(packed, "zip", mode)
    except (ValueError, OSError):
        return None
    if image.getpixel(last) == MARKS[mode] and not is_whole(data):
        return None
    image.format = "PNG"
    return image


def load(image: PngImageFile, data: bytes) -> None:
    """Decode the pixels of a PNG with Pillow.

    Raises:
        Unreadable: pixels are missing, which Pillow leaves black.
        Exception: any exception of Pillow."""
    last = image.width - 1, image.height - 1
    mark = None if image.info.get("interlace") else MARKS.get(image.mode)
    if mark is not None:
        marked = Image.new(image.mode, image.size)
        marked.putpixel(last, mark)
        image.im = marked.im
    image.load()
    if mark in (None, image.getpixel(last)) and not is_whole(data):
        raise Unreadable(problems.TRUNCATED)


def is_whole(data: bytes) -> bool:
    """Return whether a PNG holds as many bytes of pixels as its header demands."""
    width, height, depth, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", data, len(SIGNATURE) + CHUNK.size)
    bits = depth * SAMPLES.get(colour, 1)
    missing = 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        missing += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    unpacker = zlib.decompressobj()
    for name, start, end in _chunks(data):
        piece = data[start:end] if name == b"IDAT" else b""
        while piece and missing > 0:
            try:
                missing -= len(unpacker.decompress(piece, PIECE))
            except zlib.error:
                return False
            piece = unpacker.unconsumed_tail
    return missing <= 0


def without_comments(data: bytes) -> bytes:
    """Return a PNG without comments and without an oversized colour profile.

    Pillow rejects images for oversized comments and profiles. EXIF and XMP stay."""
    kept = [data[: len(SIGNATURE)]]
    for name, start, end in _chunks(data):
        keyword, _, rest = data[start:end].partition(b"\0")
        if name in COMMENTS and keyword not in METADATA:
            continue
        if name == b"iCCP" and _is_huge(rest[1:]):
            continue
        kept.append(data[start - CHUNK.size : end + 4])
    return b"".join(kept)


def _is_huge(packed: bytes) -> bool:
    try:
        return len(zlib.decompressobj().decompress(packed, MAX_TEXT_CHUNK)) >= MAX_TEXT_CHUNK
    except zlib.error:
        return False  # Pillow reports the error


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each complete chunk, and the start and end of its content."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, name = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if at + length + 4 > len(data):
            return
        yield name, at, at + length
        at += length + 4


def _packed(data: bytes, at: int) -> bytes:
    """Return the compressed pixels; empty where a chunk is not plain, or broken."""
    pieces: list[bytes] = []
    while at + 12 <= len(data):
        length, name = CHUNK.unpack_from(data, at)
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return b""
        if name == b"IDAT":
            pieces.append(data[at + 8 : end])
        elif name == b"IEND":
            return b"".join(pieces) if end + 4 == len(data) else b""
        elif pieces or name not in SILENT:
            return b""
        at = end + 4
    return b""
