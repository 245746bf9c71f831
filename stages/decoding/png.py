"""A short way into plain PNGs, of which kind most icons and screenshots are: Pillow's reader takes longer for the
chunks of a small one than for its pixels.

What is plain here: 8 bits a value, no interlacing, one chunk after the other with a checksum that is right, and none
that says more of the picture than its pixels. Everything else goes Pillow's own way, which knows all of PNG and says
what is wrong with a broken one."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

START = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4sIIBBBBBI")
"""Length, name, width, height, bits, colour, compression, filter, interlacing and checksum of the first chunk."""
CHUNK = struct.Struct(">I4s")
PLAIN = {(8, 0): "L", (8, 2): "RGB", (8, 4): "LA", (8, 6): "RGBA"}
"""Pillow's modes by bits and colour type."""
SILENT = frozenset({b"pHYs", b"tIME", b"bKGD", b"hIST", b"sBIT", b"gAMA", b"cHRM", b"sRGB"})
"""Chunks that change no pixel and hold nothing that is asked for."""
END = b"\0\0\0\0IEND\xaeB`\x82"


def open_plain(data: bytes, max_pixels: int) -> Image.Image | None:
    """A PNG with its pixels, as Pillow decodes them; None where it is not plain, not whole, or too large."""
    if not data.startswith(START) or not data.endswith(END) or len(data) < len(START) + HEAD.size:
        return None
    length, name, width, height, bits, colour, *ways, checksum = HEAD.unpack_from(data, len(START))
    mode = PLAIN.get((bits, colour))
    if length != 13 or name != b"IHDR" or mode is None or any(ways) or not 0 < width * height <= max_pixels:
        return None
    at = len(START) + HEAD.size
    if zlib.crc32(data[len(START) + 4 : at - 4]) != checksum:
        return None
    packed = _packed(data, at)
    if not packed:
        return None
    try:
        image = Image.frombytes(mode, (width, height), packed, "zip", mode)
    except (ValueError, OSError):
        return None
    image.format = "PNG"
    return image


def _packed(data: bytes, at: int) -> bytes:
    """The compressed pixels; nothing where a chunk is in the way, or broken."""
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
