"""Decode the bytes of an image into a thumbnail and facts, or raise Unreadable."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from stages.decoding import memory, pixels, problems, salvage
from stages.decoding.borders import Box, picture_box
from stages.decoding.colour import conversion_of
from stages.decoding.encoding import encoding, was_jpeg
from stages.decoding.formats import jpeg, png
from stages.decoding.formats.opening import is_unsupported, open_image
from stages.decoding.formats.reducing import DRAFT, reduce
from stages.decoding.formats.registry import LOSSLESS
from stages.decoding.metadata import UNDONE_BY, UPRIGHT, frames, orientation, origin, pages
from stages.decoding.options import DecodeOptions
from stages.decoding.problems import Problem, Unreadable

ODD_FILE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""Warning filter that hides Pillow's warnings about odd files; Pillow's exceptions are recorded anyway."""
REDUCING_GAP = 4.0
AMBIGUOUS = (problems.NO_IMAGE, problems.TRUNCATED, problems.UNSUPPORTED)
"""Problems that a decoder may report although the cause is exhausted memory."""
LEFT_OUT = "comments, or a colour profile, were too large to be read"


class Facts(NamedTuple):
    """Facts about an image besides its pixels.

    width, height  of the upright image
    scale          the image was decoded at 1/scale of its width and height
    note           remark on anything unusual about the file
    camera …       origin and encoding: see `metadata.Origin` and `encoding.Encoding`
    box_left …     the picture inside uniform borders, in pixels of the upright image; None: borders are not cut"""

    width: int
    height: int
    format: str
    mode: str
    decoder: str
    scale: int = 1
    alpha: float = 0.0
    frames: int | None = 1
    taken: datetime | None = None
    note: str = ""
    camera: str | None = None
    software: str | None = None
    gps: bool = False
    orientation: int = 1
    quality: int | None = None
    tables: str | None = None
    subsampling: str | None = None
    progressive: bool | None = None
    was_jpeg: bool | None = None
    annotations: str | None = None
    box_left: int | None = None
    box_top: int | None = None
    box_right: int | None = None
    box_bottom: int | None = None


def decode(data: bytes, options: DecodeOptions, name: bytes = b"") -> tuple[bytes, Facts]:
    """Return the thumbnail of an encoded image, and facts.

    The thumbnail is bytes in C order (H, W, C).

    name  the file's name, which only tells camera RAW from TIFF

    Raises:
        Unreadable: the image can't be decoded."""
    keep_quiet()
    # Pillow raises at twice this number, which matters for images inside icons; `open_image` checks `max_pixels`.
    Image.MAX_IMAGE_PIXELS = options.max_pixels
    memory.forget()
    try:
        return _decode(data, options, name)
    except Unreadable as error:
        if error.problem in AMBIGUOUS and memory.ran_out(error):
            raise Unreadable(problems.MEMORY) from error
        raise
    except Exception as error:  # hostile bytes cause errors of any kind; an error concerns one image only
        if memory.ran_out(error):
            raise Unreadable(problems.MEMORY) from error
        is_png = data.startswith(png.SIGNATURE)
        if is_png and isinstance(error, ValueError) and (short := png.without_comments(data)) != data:
            thumbnail, facts = decode(short, options, name)
            return thumbnail, facts._replace(note="; ".join(filter(None, (facts.note, LEFT_OUT))))
        raise Unreadable(_problem_of(error)) from error


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Image.DecompressionBombError):
        return problems.MANY_PIXELS
    return problems.UNSUPPORTED if is_unsupported(error) else problems.TRUNCATED


def keep_quiet() -> None:
    """Suppress Pillow's warnings about odd files.

    `warnings.catch_warnings` would swap state that all threads share, so a permanent filter is added once."""
    if ODD_FILE not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _decode(data: bytes, options: DecodeOptions, name: bytes, zoom: float = 1.0) -> tuple[bytes, Facts]:
    """Return the thumbnail and the facts of an image, or raise any exception of a decoder.

    zoom  factor by which the decoder's target size exceeds the thumbnail's size in both directions"""
    opened = open_image(data, name, options.max_pixels, options.fast)
    kind, raw = opened.format, _raw_mode(opened.image)
    # Decoding a TIFF removes its EXIF. Reading a PNG's EXIF decodes the pixels, and an error in the pixels would look
    # like an error in the EXIF.
    early = kind in ("JPEG", "MPO", "TIFF")
    turn = opened.turn or (orientation(opened.image) if early else 1)
    early_source, coding = origin(opened.image) if early else None, encoding(opened.image)
    size = options.size[::-1] if options.upright and turn >= 5 else options.size
    size = math.ceil(zoom * size[0]), math.ceil(zoom * size[1])

    halvings = reduce(opened.image, data, size) if options.fast else 0
    known = jpeg.layout(data) if isinstance(opened.image, JpegImageFile) else None
    if isinstance(opened.image, JpegImageFile):
        jpeg.check_size(opened.image, known, opened.width * opened.height, options.max_pixels)
    scale = max(1, round(max(opened.width, opened.height) / max(opened.image.size))) << halvings

    def again() -> Image.Image:
        whole = data[: known.end] if known else data  # no end marker, since libjpeg then paints missing parts grey
        fresh = open_image(whole, name, options.max_pixels, options.fast).image
        if options.fast:
            reduce(fresh, data, size)
        return fresh

    image, cut = _loaded(opened.image, data, known, options, again)
    stored = turn if opened.turn or kind == "TIFF" else orientation(image)  # a PNG may hold EXIF after its pixels
    if kind == "TIFF" and not opened.turn:  # Pillow returns TIFFs upright
        turn = 1 if options.upright else UNDONE_BY.get(turn, turn)
    else:
        turn = stored if options.upright else 1
    conversion, odd = conversion_of(image) if options.srgb else (None, "")
    target = pixels.Target(options.mode, options.background, conversion)
    if options.fast and image.width * image.height >= pixels.LARGE and not pixels.is_plain(image, target):
        flat = pixels.flatten_large(image, target, raw, size)
    else:
        flat = pixels.flatten(image, target, raw)
    upright = flat.image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else flat.image
    seen, box = upright.size, picture_box(upright) if options.trim else None
    if box and (cut_off := max(upright.width / (box.right - box.left), upright.height / (box.bottom - box.top))) > 1:
        if options.fast and scale > 1 and zoom == 1:  # the cropped picture has too few pixels for a thumbnail
            return _decode(data, options, name, cut_off)
        upright = upright.crop(box)
    gap = REDUCING_GAP if options.fast else None
    if conversion and not flat.converted:
        enough = (DRAFT * options.size[0], DRAFT * options.size[1])
        if options.fast and upright.width > enough[0] and upright.height > enough[1]:
            upright = upright.resize(enough, Image.Resampling.BICUBIC, reducing_gap=gap)
        upright = conversion(upright)
    small = upright.resize(options.size, Image.Resampling.BICUBIC, reducing_gap=gap)
    width, height = (opened.height, opened.width) if turn >= 5 else (opened.width, opened.height)
    source = early_source or origin(image)
    facts = Facts(
        width,
        height,
        kind,
        opened.mode,
        opened.decoder,
        scale,
        flat.transparent,
        pages(data) if kind == "TIFF" else frames(opened.image),
        source.taken,
        "; ".join(filter(None, (cut, odd))),
        source.camera,
        source.software,
        source.gps,
        stored,
        coding.quality,
        coding.tables,
        coding.subsampling,
        coding.progressive,
        was_jpeg(image) if kind in LOSSLESS else None,
        source.annotations,
        *(_in_full_size(box, seen, (width, height)) if box else ()),
    )
    return pixels.finish(small, target).tobytes(), facts


def _in_full_size(box: Box, size: tuple[int, int], full: tuple[int, int]) -> Box:
    """Return a box of a reduced image in pixels of the full image."""
    across, down = full[0] / size[0], full[1] / size[1]
    return Box(round(box.left * across), round(box.top * down), round(box.right * across), round(box.bottom * down))


def _loaded(
    image: Image.Image, data: bytes, known: jpeg.Layout | None, options: DecodeOptions, again: Callable[[], Image.Image]
) -> tuple[Image.Image, str]:
    """Return the image with decoded pixels, and a note if only a part of the pixels is readable."""
    try:
        if known and isinstance(image, JpegImageFile):
            jpeg.load(image, data, known)
        elif isinstance(image, PngImageFile):
            png.load(image, data)
        else:
            image.load()
    except Exception as error:
        if memory.ran_out(error) or not options.salvage or image.format not in salvage.ALLOWED or is_unsupported(error):
            raise
    else:
        return image, ""
    left, share = salvage.salvage(again, options.background)
    return left, f"cut short: {int(100 * share)} % of the picture is there"


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's raw mode, the layout of samples in the file; empty where unknown."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return first if isinstance(first, str) else ""
