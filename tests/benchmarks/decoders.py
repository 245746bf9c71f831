"""Make thumbnails with other decoders: functions from a path to uint8 (SIDE, SIDE, 3), RGB."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from stages.decoding.decode import decode
from stages.decoding.options import DecodeOptions

SIDE = 64
FAST = DecodeOptions((SIDE, SIDE), "RGB", True, (255, 255, 255), True, 1 << 40, 1 << 40, "mtime")
EXACT = replace(FAST, fast=False)
REDUCED = 1 << 3
"""Greatest factor by which OpenCV reduces an image while decoding."""


def ours(path: str, options: DecodeOptions = FAST) -> np.ndarray:
    """Decode like `decode: fast`, without the other work of the stage."""
    data, _ = decode(Path(path).read_bytes(), options)
    return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE, 3)


def exact(path: str) -> np.ndarray:
    """Decode every pixel, like `decode: exact`."""
    return ours(path, EXACT)


def draft(path: str, times: int) -> np.ndarray:
    """Decode with Pillow's JPEG draft at `times` times the thumbnail's size or more."""
    image = Image.open(io.BytesIO(Path(path).read_bytes()))
    image.draft("RGB", (times * SIDE, times * SIDE))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(upright.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=4.0))


def draft_1(path: str) -> np.ndarray:
    """Decode at the thumbnail's size or more, which is too small to be near a full decode."""
    return draft(path, 1)


def draft_2(path: str) -> np.ndarray:
    """Decode at twice the thumbnail's size or more."""
    return draft(path, 2)


def vips(path: str) -> np.ndarray:
    """Decode with libvips, at a reduced scale where libvips can."""
    import pyvips

    image = pyvips.Image.thumbnail(path, SIDE, height=SIDE, size="force")
    image = image.flatten(background=255) if image.hasalpha() else image
    pixels = np.frombuffer(image.colourspace("srgb").write_to_memory(), np.uint8)
    return pixels.reshape(SIDE, SIDE, -1)[..., :3]


def opencv_reduced(path: str) -> np.ndarray:
    """Decode with OpenCV at 1/8 to 1/1 of the scale, at least four thumbnails wide and high; scale by INTER_AREA."""
    import cv2

    with Image.open(path) as image:
        factor = min(REDUCED, max(1, min(image.size) // (4 * SIDE)))
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    flag = flags.get(1 << (factor.bit_length() - 1), cv2.IMREAD_REDUCED_COLOR_8)
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), flag)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., ::-1]


def opencv_cubic(path: str) -> np.ndarray:
    """Decode like fast-diff-py's first loop: OpenCV at full scale, INTER_CUBIC without antialiasing."""
    import cv2

    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., ::-1]


DECODERS: dict[str, tuple[Callable[[str], np.ndarray], str]] = {
    "decode: fast": (ours, ""),
    "decode: exact": (exact, ""),
    "draft at 1x": (draft_1, ""),
    "draft at 2x": (draft_2, ""),
    "pyvips thumbnail": (vips, "pyvips"),
    "cv2 reduced": (opencv_reduced, "cv2"),
    "cv2 full, INTER_CUBIC (fast-diff-py)": (opencv_cubic, "cv2"),
}


def missing(module: str) -> bool:
    """Return whether a decoder's library is not installed."""
    return bool(module) and importlib.util.find_spec(module) is None
