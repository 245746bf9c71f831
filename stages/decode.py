"""Decode one file to a thumbnail and what is known of it, or to an error code, whatever the file holds."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile

ODD_FILE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""The filter that keeps quiet what Pillow finds odd about a file; it decodes it or raises, and that is recorded."""
DRAFT = 4
"""`decode: fast` decodes no smaller than so many times the thumbnail; less makes distances of hundreds (README)."""
REDUCING_GAP = 4.0
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image of each EXIF orientation upright; those from 5 on swap width and height."""
UNDONE_BY = {6: 8, 8: 6}
"""Orientations that undo each other; every other one undoes itself."""
LEVELS = {"I;12": 4_095}
"""Largest value of 16-bit images that are stored with fewer bits, by Pillow's raw mode."""
KEY_SCALE = {"L;2": (85, 0), "L;4": (17, 0), "RGB;16B": (1, 8)}
"""How a PNG's transparent colour becomes the 8-bit one that Pillow decodes: times, then shifted right by."""

DETAILS = {
    "missing": "the file was gone when it was to be read",
    "permission": "the file may not be read: permission denied",
    "changed": "the file changed between the scan and its reading",
    "io": "the file could not be read: input/output error",
    "out-of-memory": "there was not enough memory to decode the image",
    "too-large": "the image is larger than thumbnail.max_bytes or thumbnail.max_pixels allows",
    "not-an-image": "the bytes are no image of a known format",
    "truncated": "the image's data is cut short or broken",
    "unsupported": "the image uses a feature that can't be decoded",
}
PASSING = frozenset({"missing", "permission", "changed", "io", "out-of-memory"})
"""Errors that the next run tries again; the others are final until the file changes."""


class Unreadable(Exception):
    """An error of one image; `code` is one of DETAILS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Expected:
    """A file as the scan found it."""

    path: bytes
    size: int
    stamp: str


@dataclass(frozen=True)
class Options:
    """What changes the pixels; see the thumbnail stage's parameters. `background` is RGB."""

    size: tuple[int, int]
    mode: str
    fast: bool
    background: tuple[int, int, int]
    upright: bool
    max_bytes: int
    max_pixels: int
    trust: str


@dataclass(frozen=True)
class Decoded:
    """One image: pixels uint8 (H, W, C), dimensions as it is to be looked at, and what the file says of itself."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    mode: str


def read(file: Expected, options: Options) -> tuple[bytes, str]:
    """The file's bytes and their SHA-256 in hex; opened once, read once. Raises Unreadable."""
    try:
        with open(file.path, "rb", opener=_open_without_waiting) as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Unreadable("io")
            if found.st_size != file.size:
                raise Unreadable("changed")
            if file.size > options.max_bytes:
                raise Unreadable("too-large")
            data = opened.read(file.size)
            found = os.fstat(opened.fileno())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unreadable("missing") from error
    except PermissionError as error:
        raise Unreadable("permission") from error
    except MemoryError as error:
        raise Unreadable("out-of-memory") from error
    except OSError as error:
        raise Unreadable("io") from error
    digest = hashlib.sha256(data).hexdigest()
    stamps = {"mtime": str(found.st_mtime_ns), "ctime": str(found.st_ctime_ns), "bytes": digest}
    if not len(data) == found.st_size == file.size or stamps[options.trust] != file.stamp:
        raise Unreadable("changed")
    return data, digest


def _open_without_waiting(path: str | bytes, flags: int) -> int:
    """Opens like `os.open`, but a pipe that has taken the file's place does not block."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, options: Options) -> Decoded:
    """The thumbnail of an encoded image. Raises Unreadable, whatever the bytes are."""
    # warnings.catch_warnings swaps state that all threads share; a filter that is there already needs no swap.
    if ODD_FILE not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    # Pillow raises at twice this for images inside the image (icons); `max_pixels` itself is checked here.
    Image.MAX_IMAGE_PIXELS = options.max_pixels
    try:
        return _decode(data, options)
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("out-of-memory") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too-large") from error
    except UnidentifiedImageError as error:
        raise Unreadable(_why_unidentified(data)) from error
    except Exception as error:  # decoders meet bytes made to break them; an image's error stays with it
        raise Unreadable("unsupported" if _is_unsupported(error) else "truncated") from error


def _is_unsupported(error: Exception) -> bool:
    """Whether a decoder gave up for want of a feature; only its words tell that from broken data."""
    words = str(error).lower()
    return isinstance(error, NotImplementedError) or any(
        word in words for word in ("unsupported", "not supported", "not available", "cannot handle")
    )


def _why_unidentified(data: bytes) -> str:
    """Pillow says of a JPEG that it can't handle, one of 12 bits for instance, that it is none."""
    if data.startswith(b"\xff\xd8\xff"):
        try:
            JpegImageFile(io.BytesIO(data))
        except Exception as error:  # it is broken in one way or another; which one is the question
            return "unsupported" if _is_unsupported(error) else "not-an-image"
    return "not-an-image"


def _decode(data: bytes, options: Options) -> Decoded:
    with Image.open(io.BytesIO(data)) as image:
        _refuse(image, options)
        mode, kind, raw = image.mode, image.format or "", _raw_mode(image)
        # Of a PNG, asking for EXIF decodes the pixels, and an error in them would pass for one in its EXIF.
        stored = _orientation(image) if kind in ("JPEG", "MPO", "TIFF") else 1
        whole_size = image.size
        if options.fast and kind in ("JPEG", "MPO"):
            _reduce(image, options.size[::-1] if options.upright and stored >= 5 else options.size)
        image.load()
        if kind == "TIFF":  # Pillow has set it upright already
            turn = 1 if options.upright else UNDONE_BY.get(stored, stored)
        else:
            turn = _orientation(image) if options.upright else 1  # a PNG may say so after its pixels
        flat = to_mode(image, options.mode, options.background, raw)
        upright = flat.transpose(UPRIGHT[turn]) if turn in UPRIGHT else flat
        gap = REDUCING_GAP if options.fast else None
        small = upright.resize(options.size, Image.Resampling.BICUBIC, reducing_gap=gap)
    pixels = np.asarray(small, np.uint8).reshape(options.size[1], options.size[0], -1)
    width, height = whole_size[::-1] if turn >= 5 else whole_size
    return Decoded(pixels, width, height, kind, mode)


def _refuse(image: ImageFile.ImageFile, options: Options) -> None:
    """Raise Unreadable for what must not be decoded: too many pixels, or what only another program can draw."""
    if image.width * image.height > options.max_pixels:
        raise Unreadable("too-large")
    if image.format == "EPS" or isinstance(image, ImageFile.StubImageFile):
        raise Unreadable("unsupported")


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the samples lie in the file, in Pillow's words; empty where it does not say."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return first if isinstance(first, str) else ""


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; a broken EXIF block counts as none."""
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except Exception:  # EXIF is metadata of any shape; the picture does not hang on it
        return 1
    return found if found in range(1, 9) else 1


def _reduce(image: ImageFile.ImageFile, size: tuple[int, int]) -> None:
    """Have a JPEG decoded at the least scale that is still DRAFT times the thumbnail."""
    image.draft(None, (DRAFT * size[0], DRAFT * size[1]))


def to_mode(image: Image.Image, mode: str, background: tuple[int, int, int], raw: str = "") -> Image.Image:
    """A loaded image as L, RGB or RGBA; where that has no alpha, the image's own is composited on the background.

    More than 8 bits a value are scaled, never clipped, and rounded: 16-bit integers by 65,535; floats of 0 to 1 by 1;
    other floats and integers, where they go beyond 0 to 255, from their least to their greatest finite value. `raw`
    is Pillow's raw mode. Raises Unreadable where there is no such conversion."""
    try:
        if image.mode.startswith(("I", "F")):
            image = _from_wide(image, raw)
        if not image.has_transparency_data:
            return image if image.mode == mode else _opaque(image).convert(mode)
        if image.mode in ("L", "RGB") and raw in KEY_SCALE:
            image.info["transparency"] = _scaled_key(image.info["transparency"], *KEY_SCALE[raw])
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        if mode == "RGBA":
            return image
        canvas = Image.new("RGBA", image.size, (*background, 255))
        canvas.alpha_composite(image)
        return canvas.convert("RGB").convert(mode)
    except ValueError as error:
        raise Unreadable("unsupported") from error


def _scaled_key(key: int | tuple[int, ...], times: int, shift: int) -> int | tuple[int, ...]:
    return tuple(each * times >> shift for each in key) if isinstance(key, tuple) else key * times >> shift


def _opaque(image: Image.Image) -> Image.Image:
    """An image without alpha as L or RGB, from where Pillow converts to anything."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    return image if image.mode == "L" else image.convert("RGB")


def _from_wide(image: Image.Image, raw: str) -> Image.Image:
    """An image of more than 8 bits a value, as L; as LA where one value stands for transparency."""
    values = np.asarray(image).astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        start, end = 0.0, float(LEVELS.get(raw, 65_535))
    elif image.mode == "F" and low >= 0 and high <= 1:
        start, end = 0.0, 1.0
    elif (low < 0 or high > 255) and high > low:
        start, end = low, high
    else:
        start, end = 0.0, 255.0
    scaled = np.clip(
        (np.nan_to_num(values, nan=start, posinf=high, neginf=low) - start) * (255 / (end - start)), 0, 255
    )
    grey = Image.fromarray(np.rint(scaled).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey
