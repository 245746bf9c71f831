"""Decode one file to a thumbnail and what is known of it, or to an error code; nothing that a file holds can raise here."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.ExifTags import Base

Image.MAX_IMAGE_PIXELS = None  # `max_pixels` decides, before any pixel is decoded
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # what is odd about a file is no news of ours

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
        with open(file.path, "rb") as opened:
            before = os.fstat(opened.fileno())
            if before.st_size > options.max_bytes:
                raise Unreadable("too-large")
            data = opened.read(options.max_bytes + 1)
            after = os.fstat(opened.fileno())
    except FileNotFoundError as error:
        raise Unreadable("missing") from error
    except PermissionError as error:
        raise Unreadable("permission") from error
    except MemoryError as error:
        raise Unreadable("out-of-memory") from error
    except OSError as error:
        raise Unreadable("io") from error
    digest = hashlib.sha256(data).hexdigest()
    stamps = {"mtime": str(after.st_mtime_ns), "ctime": str(after.st_ctime_ns), "bytes": digest}
    if not len(data) == before.st_size == after.st_size == file.size or stamps[options.trust] != file.stamp:
        raise Unreadable("changed")
    return data, digest


def decode(data: bytes, options: Options) -> Decoded:
    """The thumbnail of an encoded image. Raises Unreadable, whatever the bytes are."""
    try:
        return _decode(data, options)
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("out-of-memory") from error
    except UnidentifiedImageError as error:
        raise Unreadable("not-an-image") from error
    except NotImplementedError as error:
        raise Unreadable("unsupported") from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError, KeyError, TypeError) as error:
        raise Unreadable("truncated") from error
    except Exception as error:  # decoders meet bytes made to break them; an image's error stays with it
        raise Unreadable("truncated") from error


def _decode(data: bytes, options: Options) -> Decoded:
    with Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > options.max_pixels:
            raise Unreadable("too-large")
        width, height, mode, kind = *image.size, image.mode, image.format or ""
        orientation = _orientation(image) if options.upright else 1
        size = options.size
        turned = orientation >= 5
        if options.fast:
            _reduce(image, size[::-1] if turned else size)
        image.load()
        whole = image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image
        flat = to_mode(whole, options.mode, options.background)
        small = flat.resize(size, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP if options.fast else None)
    pixels = np.asarray(small, np.uint8).reshape(size[1], size[0], -1)
    return Decoded(pixels, height if turned else width, width if turned else height, kind, mode)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; a broken EXIF block counts as none."""
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except Exception:  # EXIF is metadata of any shape; the picture does not hang on it
        return 1
    return found if found in range(1, 9) else 1


def _reduce(image: ImageFile.ImageFile, size: tuple[int, int]) -> None:
    """Have a JPEG decoded at the least scale that is still DRAFT times the thumbnail."""
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (DRAFT * size[0], DRAFT * size[1]))


def to_mode(image: Image.Image, mode: str, background: tuple[int, int, int]) -> Image.Image:
    """The image as L, RGB or RGBA; where that has no alpha, the image's own is composited on the background.

    16-bit and float images are scaled by their range: 0 to 65,535, or the image's own where it goes beyond 0 to 255."""
    try:
        if image.mode == mode and not image.has_transparency_data:
            return image
        if image.mode.startswith(("I", "F")):
            image = _from_wide(image)
        if not image.has_transparency_data:
            return _opaque(image).convert(mode)
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        if mode == "RGBA":
            return image
        canvas = Image.new("RGBA", image.size, (*background, 255))
        canvas.alpha_composite(image)
        return canvas.convert("RGB").convert(mode)
    except ValueError as error:
        raise Unreadable("unsupported") from error


def _opaque(image: Image.Image) -> Image.Image:
    """An image without alpha as L or RGB, from where Pillow converts to anything."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    return image if image.mode == "L" else image.convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """An image of more than 8 bits a value, as L."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(values.astype(np.float64) / 257).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.finfo(np.float32).max, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        if image.mode == "I" and low >= 0 and high <= 65_535:
            low, high = 0.0, 65_535.0  # 16-bit files that Pillow opens as 32-bit integers
        values = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.round(values).astype(np.uint8))
