"""Read the header of a JPEG XL file, ISO/IEC 18181-1, before decoding.

Pillow's plugin decodes a file on opening. The plugin applies the codestream's orientation, but not EXIF's."""

from __future__ import annotations

from dataclasses import dataclass

SIGNATURE = b"\xff\x0a"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Ratios of width to height, where the width is not stored."""


@dataclass(frozen=True)
class JxlHeader:
    """The header of a JPEG XL.

    width, height  as stored, in pixels
    orientation    of the codestream, 1 to 8"""

    width: int
    height: int
    orientation: int


class _Bits:
    """A reader of bit fields, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def size(self, small: int) -> int:
        if small:
            return 8 * (1 + self.take(5))
        return 1 + self.take((9, 13, 18, 30)[self.take(2)])


def read_head(data: bytes) -> JxlHeader:
    """Return the header of a file, bare or in a container.

    Raises:
        ValueError: the file has no codestream."""
    stream = data if data.startswith(SIGNATURE) else _codestream(data)
    if not stream.startswith(SIGNATURE) or len(stream) < 16:
        raise ValueError("no codestream")
    bits = _Bits(stream[2:24])
    small = bits.take(1)
    height = bits.size(small)
    ratio = bits.take(3)
    width = bits.size(small) if not ratio else height * RATIOS[ratio - 1][0] // RATIOS[ratio - 1][1]
    all_default = bits.take(1)
    has_orientation = not all_default and bits.take(1)
    return JxlHeader(width, height, 1 + bits.take(3) if has_orientation else 1)


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream in a container of boxes."""
    place = 0
    while place + 8 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        start = place + head + (4 if kind == b"jxlp" else 0)
        if kind in (b"jxlc", b"jxlp"):
            return data[start : start + 64]
        if size < head:
            break  # 0 means: to the end of the file
        place += size
    return b""
