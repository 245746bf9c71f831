"""Whether a JPEG holds the whole of its picture: libjpeg paints what is missing in grey, and reports nothing.

A file may end early in two ways. Scans may be missing: each coefficient must have been sent with all its bits. And the
last scan may be cut: then the decoder, given all of the scan and some bytes that mean nothing, waits for more bits,
where it would skip them after a whole scan. Neither costs a second decoding."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from stages.decoding import problems
from stages.decoding.problems import Unreadable

MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker other than those that may lie within a scan."""
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
START_OF_SCAN, RESTARTS, END = 0xDA, 0xDD, b"\xff\xd9"
FRAMES = {0xC0: False, 0xC1: False, 0xC2: True}
"""Frames with Huffman codes, and whether they are progressive; libjpeg can't wait for the bytes of others."""
STUFFING = b"\xff\0"
"""Eight bits in a scan that no code begins with, so that a block takes as many of them as can be; skipped elsewhere."""
LEAD, STEPS = 8, 12
"""Stuffing at once, for libjpeg looks eight bytes ahead; then step by step, since it takes up to eight at a time."""
ZEROS = 8
"""Bytes of zeros that a scan without an end marker may end in; more are what a download has left empty."""
VALUES = 3
"""Coefficients of a pixel at `max_pixels`: as many as an RGB image has at full resolution."""


class Layout(NamedTuple):
    """Where the data of a JPEG's last scan end, and whether an end marker follows there. `buffered`: there are several
    scans, so a decoder holds all `coefficients` at once, whatever the scale. `complete`: the scans together send every
    bit of them. `next_restart`: number of the restart marker that would be the next one in the last scan, if any."""

    end: int
    ended: bool
    buffered: bool
    coefficients: int
    complete: bool
    next_restart: int | None


def layout(data: bytes) -> Layout | None:
    """The layout of a JPEG; None where it is of a rare kind, or has no scan."""
    at, start, end, ended, restarts = 2, 0, len(data), False, False
    progressive: bool | None = None
    coefficients, scans = 0, 0
    left: dict[int, list[int]] = {}  # bits of each coefficient that are still to come; of those not begun, all of them
    while (found := MARKER.search(data, at)) is not None:
        at, kind = found.end(), data[found.end() - 1]
        if scans:
            end = found.start()
        if found[0] == END:
            ended = True
            break
        try:
            (size,) = struct.unpack_from(">H", data, at)
            if kind in FRAMES:
                progressive = FRAMES[kind]
                coefficients, left = _frame(data, at)
            elif kind == START_OF_SCAN and progressive is not None:
                count = data[at + 2]
                first, last, bits = data[at + 3 + 2 * count : at + 6 + 2 * count]
                scans, whole = scans + 1, (0, 63, 0)
                first, last, bits = (first, last, bits & 15) if progressive else whole
                for number in range(count):
                    left[data[at + 3 + 2 * number]][first : last + 1] = [bits] * (last + 1 - first)
                start, end = at, len(data)
            elif kind == RESTARTS:
                restarts = data[at + 2 : at + 4] != b"\0\0"
        except (struct.error, IndexError, KeyError, ValueError):
            break
        at += size
    if not scans:
        return None
    if not ended:
        end = min(end, len(data[:end].rstrip(b"\0")) + ZEROS)
    complete = not any(any(bits) for bits in left.values())
    buffered = bool(progressive) or scans > 1 or not complete
    next_restart = len(RESTART.findall(data, start, end)) % 8 if restarts and buffered else None
    return Layout(end, ended, buffered, coefficients, complete, next_restart)


def _frame(data: bytes, at: int) -> tuple[int, dict[int, list[int]]]:
    """How many coefficients a frame has, and for each component the bits of them that are missing before any scan."""
    height, width, count = struct.unpack_from(">xxxHHB", data, at)
    sampled = [(data[at + 9 + 3 * number], data[at + 8 + 3 * number]) for number in range(count)]
    areas = [(factors >> 4) * (factors & 15) for factors, _ in sampled]
    most = max(factors >> 4 for factors, _ in sampled) * max(factors & 15 for factors, _ in sampled)
    return width * height * sum(areas) // most, {name: [16] * 64 for _, name in sampled}


def check_size(image: JpegImageFile, known: Layout | None, full: int, max_pixels: int) -> None:
    """Make sure that a JPEG of `full` pixels, of which `image` shows the size at which it will be decoded, has at most
    `max_pixels` then. Raises Unreadable."""
    if full <= max_pixels:
        return
    held = known is None or (known.buffered and known.coefficients > VALUES * max_pixels)
    if held or image.width * image.height > max_pixels:
        raise Unreadable(problems.MANY_PIXELS)


def load(image: JpegImageFile, data: bytes, known: Layout) -> None:
    """Decode the pixels of a JPEG. Raises Unreadable where they are not all there, and OSError where they are
    broken."""
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
    """Whether a decoder finds all of a picture in its scans. Raises OSError."""
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
    """Bytes that mean nothing after a whole scan; within one that is cut, a decoder may wait for a restart first, or
    for the one after it, once it has taken so many bits."""
    yield STUFFING * LEAD
    yield from [STUFFING] * STEPS
    for number in () if next_restart is None else (next_restart, next_restart + 1):
        yield bytes([0xFF, 0xD0 + number % 8])
        yield from [STUFFING] * STEPS
