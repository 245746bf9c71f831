"""Detect truncated JPEGs, whose missing parts libjpeg paints grey.

A truncated file either lacks scans, or its last scan is cut. Scans are missing if the present scans do not send all
bits of each coefficient. To find a cut scan, `load` appends stuffing bytes: after a complete scan the decoder skips
stuffing bytes; within a cut scan the decoder consumes stuffing bytes and waits for more. Neither check decodes the
image twice."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from stages.decoding import problems
from stages.decoding.problems import Unreadable

MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker other than the markers that may occur within a scan."""
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
START_OF_SCAN, RESTARTS, END = 0xDA, 0xDD, b"\xff\xd9"
FRAMES = {0xC0: False, 0xC1: False, 0xC2: True}
"""Frames with Huffman codes, and whether each is progressive; libjpeg can't pause within other frames."""
STUFFING = b"\xff\0"
"""Bytes that begin no Huffman code: within a block the decoder consumes many; elsewhere the decoder skips all."""
LEAD, STEPS = 8, 12
"""Repetitions of STUFFING in the first step, since libjpeg looks eight bytes ahead; number of further steps."""
ZEROS = 8
"""Zero bytes that a scan without an end marker may end with; more zeros are the missing rest of a download."""
VALUES = 3
"""Coefficients allowed per pixel of `max_pixels`: as many as an RGB image has at full resolution."""


class Layout(NamedTuple):
    """The layout of a JPEG's scans.

    end           end of the last scan's data
    ended         whether an end marker follows
    buffered      whether a decoder holds all `coefficients` at once, at any scale, as several scans require
    complete      whether the scans together send every bit of every coefficient
    next_restart  number of the next restart marker in the last scan, if any"""

    end: int
    ended: bool
    buffered: bool
    coefficients: int
    complete: bool
    next_restart: int | None


def layout(data: bytes) -> Layout | None:
    """Return the layout of a JPEG.

    Returns None for an unsupported frame or a JPEG without a scan."""
    at, start, end, ended, restarts, scans = 2, 0, 0, False, False, 0
    frame: _Frame | None = None
    while (found := MARKER.search(data, at)) is not None:
        at, kind = found.end(), data[found.end() - 1]
        if scans and end < start:
            end = found.start()
        if kind == END[1]:
            ended = True
            break
        try:
            if kind == START_OF_SCAN and frame:
                scans, start = scans + 1, at
                frame.take(data[at + 2 : at + 6 + 2 * data[at + 2]])
            elif kind in FRAMES:
                frame = _Frame(data, at, FRAMES[kind])
            elif kind == RESTARTS:
                restarts = data[at + 2 : at + 4] != b"\0\0"
            at += data[at] << 8 | data[at + 1]
        except (IndexError, KeyError, ValueError, ZeroDivisionError):
            break
    if not scans or not frame:
        return None
    end = end if end >= start else len(data)
    if not ended:
        end = min(end, len(data[:end].rstrip(b"\0")) + ZEROS)
    buffered = frame.progressive or scans > 1 or not frame.complete
    next_restart = len(RESTART.findall(data, start, end)) % 8 if restarts and buffered else None
    return Layout(end, ended, buffered, frame.coefficients, frame.complete, next_restart)


class _Frame:
    """The header of a frame, and the unsent bits of each coefficient."""

    def __init__(self, data: bytes, at: int, progressive: bool) -> None:
        height, width = data[at + 3] << 8 | data[at + 4], data[at + 5] << 8 | data[at + 6]
        sampled = data[at + 8 : at + 8 + 3 * data[at + 7]]
        across, down = [each >> 4 for each in sampled[1::3]], [each & 15 for each in sampled[1::3]]
        samples = sum(map(operator.mul, across, down))
        self.progressive = progressive
        self.coefficients = width * height * samples // (max(across) * max(down))
        self._missing = {name: bytearray(b"\x10" * 64 if progressive else b"\x10") for name in sampled[::3]}

    def take(self, scan: bytes) -> None:
        """Record the bits that a scan sends, by the scan's header."""
        names, (first, last, bits) = scan[1:-3:2], scan[-3:]
        for name in names:
            if self.progressive:
                self._missing[name][first : last + 1] = bytes([bits & 15]) * (last + 1 - first)
            else:
                self._missing[name][0] = 0

    @property
    def complete(self) -> bool:
        """Return whether the scans have sent every bit."""
        return not any(map(max, self._missing.values()))


def check_size(image: JpegImageFile, known: Layout | None, full: int, max_pixels: int) -> None:
    """Raise Unreadable if decoding a JPEG takes more than `max_pixels`.

    image  has the size at which the JPEG is decoded
    full   pixels at full resolution"""
    if full <= max_pixels:
        return
    held = known is None or (known.buffered and known.coefficients > VALUES * max_pixels)
    if held or image.width * image.height > max_pixels:
        raise Unreadable(problems.MANY_PIXELS)


def load(image: JpegImageFile, data: bytes, known: Layout) -> None:
    """Decode the pixels of a JPEG.

    Raises:
        Unreadable: pixels are missing.
        OSError: the data is broken."""
    if not known.complete:
        raise Unreadable(problems.TRUNCATED)
    ((name, box, _, arguments),) = image.tile
    image.load_prepare()
    decoder = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
    try:
        decoder.setimage(image.im, box)
        whole = _decoded(decoder, memoryview(data)[: known.end], known)
    finally:
        decoder.cleanup()
    if not whole:
        raise Unreadable(problems.TRUNCATED)
    image.tile = []
    image.load_end()


def _decoded(decoder: Any, data: memoryview, known: Layout) -> bool:
    """Decode all scans; return whether the scans hold the whole picture.

    Raises:
        OSError: the data is broken."""
    used, error = decoder.decode(data)
    rest, waits = bytes(data[max(0, used) :]), False
    for step, more in enumerate(_stuffing(known.next_restart)):
        if used < 0:
            break
        used, error = decoder.decode(rest + more)
        rest = (rest + more)[max(0, used) :]
        waits |= bool(step and (rest or used < 0))
    if used >= 0:
        waits |= not known.buffered  # rows are missing
        used, error = decoder.decode(rest + END)
    if error < 0:
        raise OSError(f"libjpeg ended with {error}")
    return used < 0 and not waits


def _stuffing(next_restart: int | None) -> Iterator[bytes]:
    """Yield meaningless bytes to append to the last scan.

    Within a cut scan, a decoder may first wait for one of the next two restart markers."""
    yield STUFFING * LEAD
    yield from [STUFFING] * STEPS
    for number in () if next_restart is None else (next_restart, next_restart + 1):
        yield bytes([0xFF, 0xD0 + number % 8])
        yield from [STUFFING] * STEPS
