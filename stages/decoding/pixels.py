"""Convert an image of any mode to 8 bits a value: L, RGB or RGBA.

In L and RGB, a background shows through transparent pixels."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from stages.decoding import problems
from stages.decoding.problems import Unreadable
from stages.decoding.scaling import ValueRange, bands, range_of, scaled

if TYPE_CHECKING:
    from stages.decoding.colour import Conversion

KEY_SCALE = {"L;2": (85, 0), "L;4": (17, 0), "RGB;16B": (1, 8)}
"""How a PNG's transparent colour becomes Pillow's 8-bit colour: factor, then right shift."""
LARGE = 1 << 24
"""Pixels above which an image is converted in bands; converting the whole takes two to four times its memory."""
SMALL = 1 << 16
"""Pixels up to which the background under transparent images is cached: icons come in few sizes."""
OVERSAMPLING = 32
"""A large image, converted in bands, stays at least OVERSAMPLING times as large as the thumbnail.

A cell at the image's edge may hold fewer pixels than other cells; at this size such a cell moves no edge by more
than a thirtieth of a thumbnail's pixel."""


class Flat(NamedTuple):
    """An image of 8 bits a value.

    transparent  share of the area that is transparent, 0 to 1
    converted    whether the colours are sRGB already"""

    image: Image.Image
    transparent: float = 0.0
    converted: bool = False


class Target(NamedTuple):
    """The wanted result of a conversion.

    mode        Pillow's mode
    background  RGB under transparent pixels
    conversion  conversion of colours to sRGB; None: colours stay"""

    mode: str
    background: tuple[int, int, int]
    conversion: Conversion | None = None


def flatten(image: Image.Image, target: Target, raw: str = "") -> Flat:
    """Return a loaded image as L, RGB or RGBA, or as CMYK if colours are converted later.

    raw  Pillow's raw mode

    Values of more than 8 bits are scaled and rounded: 16-bit integers from 0 to 65,535, floats from the result of
    `wide.ends`, and other integers, if some are outside 0 to 255, from the least to the greatest value.

    Raises:
        Unreadable: no conversion exists."""
    return _flat(image, target, raw, range_of(image, raw))


def flatten_large(image: Image.Image, target: Target, raw: str, size: tuple[int, int]) -> Flat:
    """Return what `flatten` returns, scaled down in bands to save memory.

    Whole squares of pixels are averaged; the result is at least OVERSAMPLING times `size`."""
    wide = range_of(image, raw)
    factor = max(1, min(side // (OVERSAMPLING * least) for side, least in zip(image.size, size, strict=True)))
    flat: Image.Image | None = None
    transparent, converted = 0.0, False
    for top, band in bands(image, factor):
        piece = _flat(band, target, raw, wide)
        small = piece.image.reduce(factor) if factor > 1 else piece.image
        if flat is None:
            flat = Image.new(small.mode, (small.width, -(-image.height // factor)))
        flat.paste(small, (0, top // factor))
        transparent += piece.transparent * band.height / image.height
        converted = piece.converted
    assert flat is not None, "an image has at least one row"
    return Flat(flat, transparent, converted)


def is_plain(image: Image.Image, target: Target) -> bool:
    """Return whether an image needs no conversion, and so no memory beyond its own."""
    return not image.has_transparency_data and (image.mode in ("L", target.mode) or image.mode in _kept(target))


def finish(small: Image.Image, target: Target) -> Image.Image:
    """Return a thumbnail in the target's mode.

    Conversions that commute with scaling happen here."""
    return small if small.mode == target.mode else small.convert(target.mode)


def _kept(target: Target) -> tuple[str, ...]:
    """Return the modes that an image keeps until its colours are converted."""
    return ("RGB", "CMYK") if target.conversion else ()


def _flat(image: Image.Image, target: Target, raw: str, wide: ValueRange | None) -> Flat:
    try:
        if wide:
            image = scaled(image, wide)
        if image.has_transparency_data:
            return _composited(image, target, raw)
        if image.mode in ("1", "L"):
            return Flat(image.convert("L"))
        return Flat(image if image.mode in (target.mode, *_kept(target)) else _opaque(image, target))
    except ValueError as error:
        raise Unreadable(problems.UNSUPPORTED) from error


def _composited(image: Image.Image, target: Target, raw: str) -> Flat:
    if image.mode in ("L", "RGB") and raw in KEY_SCALE:
        image.info["transparency"] = _scaled_key(image.info["transparency"], *KEY_SCALE[raw])
    grey = image.mode in ("L", "LA", "La")
    if image.mode != "RGBA":
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    transparent = 1 - _mean_alpha(image) / 255
    if target.conversion:
        image = _converted(image, grey, target.conversion)
    if target.mode == "RGBA":
        return Flat(image, transparent, converted=True)
    ground = _ground if image.width * image.height <= SMALL else _ground.__wrapped__
    flat = Image.alpha_composite(ground(image.size, target.background), image).convert("RGB")
    return Flat(flat if target.mode == "RGB" else flat.convert(target.mode), transparent, converted=True)


def _converted(image: Image.Image, grey: bool, conversion: Conversion) -> Image.Image:
    """Return an RGBA image in sRGB; a grey profile converts one channel."""
    if grey and (coloured := conversion(image.getchannel("R"))).mode == "RGB":
        coloured.putalpha(image.getchannel("A"))
        return coloured
    return conversion(image)


@functools.lru_cache(maxsize=8)
def _ground(size: tuple[int, int], colour: tuple[int, int, int]) -> Image.Image:
    """Return the background under transparent pixels, a shared image that nothing modifies."""
    return Image.new("RGBA", size, (*colour, 255))


def _mean_alpha(image: Image.Image) -> float:
    """Return the mean of the last channel of an RGBA image.

    For an icon, Pillow's histogram takes longer than decoding."""
    if image.width * image.height > SMALL:
        return mean(image.getchannel("A"))
    alpha = np.frombuffer(image.tobytes(), np.uint8)[3::4]
    return int(alpha.sum(dtype=np.int64)) / alpha.size


def mean(band: Image.Image) -> float:
    """Return the mean of the values of an image of mode L."""
    return float(sum(map(operator.mul, band.histogram(), range(256))) / (band.width * band.height))


def _scaled_key(key: int | tuple[int, ...], times: int, shift: int) -> int | tuple[int, ...]:
    return tuple(each * times >> shift for each in key) if isinstance(key, tuple) else key * times >> shift


def _opaque(image: Image.Image, target: Target) -> Image.Image:
    """Return an image without alpha in the target's mode or as RGB."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    rgb = image.convert("RGB")
    return rgb if target.conversion else rgb.convert(target.mode)
