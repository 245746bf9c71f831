"""Recover the readable part of an image whose file is truncated."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageChops, ImageFile

from stages.decoding import problems
from stages.decoding.pixels import mean
from stages.decoding.problems import Unreadable
from stages.decoding.scaling import narrowed

ALLOWED = frozenset({"JPEG", "MPO", "PNG", "BMP", "DIB"})
"""Formats that are decoded row by row into the final picture."""
NO_DATA = 128
LEAST = 0.5
"""Least share of the picture that must be readable."""


def salvage(reopened: Callable[[], Image.Image], background: tuple[int, int, int]) -> tuple[Image.Image, float]:
    """Return the image with its lost pixels in the background's colour, and the readable share.

    The image is decoded twice, on black and on white: pixels that differ were never written. A progressive JPEG
    writes nothing before its end, so an end marker is added; pixels that no scan has reached are then the grey of
    missing data.

    Raises:
        Unreadable: less than LEAST of the picture is readable.
        Exception: any exception of a decoder."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        on_black, on_white = (_decoded(reopened(), fill) for fill in (0, 255))
        ended = reopened()
        if ended.info.get("progressive"):
            ended.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    lost = _lost(on_black, on_white)
    if on_black.info.get("progressive"):
        on_black, lost = ended, _grey(ended)
    share = 1 - mean(lost) / 255
    if share < LEAST:
        raise Unreadable(problems.TRUNCATED)
    narrow = narrowed(on_black)
    left = narrow.convert("RGBA" if narrow.has_transparency_data else "RGB")
    left.paste((*background, 255)[: len(left.mode)], (0, 0), lost)
    return left, share


def _decoded(image: Image.Image, fill: int) -> Image.Image:
    image.im = _filled(image, fill).im
    vars(image)["_ended"] = True  # else Pillow adds an end marker, and libjpeg paints the rest grey
    image.load()
    return image


def _lost(on_black: Image.Image, on_white: Image.Image) -> Image.Image:
    """Return a mask: 255 where two pictures differ, else 0."""
    lost = Image.new("L", on_black.size)
    differences = ImageChops.difference(_raw(on_black), _raw(on_white))
    for band in differences.split():
        lost = ImageChops.lighter(lost, band.point(lambda value: 255 if value else 0))
    return lost


def _grey(image: Image.Image) -> Image.Image:
    """Return a mask: 255 where a JPEG shows the grey of blocks without data, else 0."""
    return ImageChops.invert(_lost(image, _filled(image, NO_DATA)))


def _filled(image: Image.Image, value: int) -> Image.Image:
    """Return an image of the same size and mode whose stored values are all equal."""
    bands = len(image.getbands())
    return Image.new(image.mode, image.size, (value,) * bands if bands > 1 else value)


def _raw(image: Image.Image) -> Image.Image:
    """Return the stored values of an image as 8 bits: a palette image yields its indices."""
    if image.mode == "P":
        return Image.frombytes("L", image.size, image.tobytes())
    return image.convert("L") if image.mode.startswith(("1", "I")) else image
