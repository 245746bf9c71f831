"""Find uniform borders of a picture: letterboxes, margins, bars of screenshots.

**The rule.** A line is a row or a column of pixels between the borders found so far. A border at an edge has one
colour: the median of its outermost line, channel by channel. The border's lines follow one another from the edge
inward; in each, at least 98 % of the pixels are within TOLERANCE levels of the colour in every channel. The border ends
at a sharp edge: let D be the mean difference of a line from the colour, by the channel that differs most. Among the
WINDOW lines from the first line that is not of the colour, the picture begins where D grows most from one line to the
next. At this place, D must grow by at least JUMP levels over one line or two. So a sky or a backdrop that fades into
the picture is no border, and the blur and the ringing that scaling and JPEG leave along an edge do not move the edge.

The edges are examined in the order top, bottom, left, right, and then again until no edge has a border, since a picture
may have bars inside a margin. If less than 1 - LARGEST of the width or of the height would remain, or all lines have
one colour, the image stays as it is: a small object on a blank page, or a blank page, is not a picture with
borders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TOLERANCE = 24
"""In levels of 256. JPEG of quality 50 leaves ringing of 20 levels beside a sharp edge."""
ODD = 0.02
"""Share of a border line's pixels that may have another colour, such as dust on a scan."""
JUMP = 24
WINDOW = 8
LARGEST = 0.8
"""Largest share of the width or of the height that is cut: a photograph in a portrait screenshot loses 0.74."""
STRIP = 64
"""Lines per read."""

PixelLines = NDArray[np.int16]


class Box(NamedTuple):
    """The picture inside the borders, in pixels.

    `right` and `bottom` are one past the last pixel."""

    left: int
    top: int
    right: int
    bottom: int


def picture_box(image: Image.Image) -> Box:
    """Return the box inside the borders of a loaded image of 8 bits a value."""
    whole = box = Box(0, 0, image.width, image.height)
    while True:
        before = box
        for side in Box._fields[1::2] + Box._fields[::2]:
            box = _cut(image, box, side)
        if box == before:
            break
    least = (1 - LARGEST) * image.width, (1 - LARGEST) * image.height
    return box if box.right - box.left >= least[0] and box.bottom - box.top >= least[1] else whole


def _cut(image: Image.Image, box: Box, side: str) -> Box:
    """Return a box without the border at one side."""
    count = _border(image, box, side)
    return box._replace(**{side: getattr(box, side) + (count if side in ("left", "top") else -count)})


def _border(image: Image.Image, box: Box, side: str) -> int:
    """Return how many lines of a box belong to the border at one side."""
    total = box.bottom - box.top if side in ("top", "bottom") else box.right - box.left
    strip = _lines(image, box, side, 0, min(STRIP, total))
    colour = np.median(strip[0], axis=0).astype(np.int16)
    start = 0
    while True:
        odd = np.flatnonzero((_differences(strip, colour) > TOLERANCE).mean(axis=1) > ODD)
        if len(odd):
            break
        start += len(strip)
        if start >= total:
            return 0
        strip = _lines(image, box, side, start, min(start + STRIP, total))
    first = start + int(odd[0])
    if not first:
        return 0
    around = _lines(image, box, side, first - 1, min(first + WINDOW, total))
    means = _differences(around, colour).mean(axis=1)
    steps = np.diff(means)
    place = int(steps.argmax())
    jump = max(steps[place], means[min(place + 2, len(means) - 1)] - means[place])
    return first + place if jump >= JUMP else 0


def _differences(lines: PixelLines, colour: PixelLines) -> PixelLines:
    """Return each pixel's difference from a colour, the largest over channels, (lines, pixels)."""
    found: PixelLines = np.abs(lines - colour).max(axis=2)
    return found


def _lines(image: Image.Image, box: Box, side: str, start: int, stop: int) -> PixelLines:
    """Return lines of a box from one side inward, int16 (lines, pixels, channels)."""
    left, top, right, bottom = box
    part = {
        "top": (left, top + start, right, top + stop),
        "bottom": (left, bottom - stop, right, bottom - start),
        "left": (left + start, top, left + stop, bottom),
        "right": (right - stop, top, right - start, bottom),
    }[side]
    pixels = np.asarray(image.crop(part)).astype(np.int16)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if side in ("left", "right"):
        pixels = pixels.swapaxes(0, 1)
    return pixels[::-1] if side in ("bottom", "right") else pixels
