"""Decode the first page of TIFFs that Pillow can't read or misreads.

Such TIFFs hold floats of 16 or 64 bits, floats in colour, unsigned integers of 32 bits, or planes of 16 bits."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stages.decoding import problems
from stages.decoding.formats.wide import HUGE, ends, finite, missing_of
from stages.decoding.problems import Unreadable

ASSOCIATED, SEPARATE = (1,), (2,)
"""TIFF's numbers for alpha in the first extra sample.

Associated: colours are multiplied by alpha. Separate: colours are not multiplied by alpha. Other numbers mean no
transparency."""


def decode_tiff(data: bytes, max_pixels: int) -> tuple[Image.Image, str, int]:
    """Return the first page as an image, its sample type, and its orientation.

    The image is L, RGB or RGBA; the orientation is 1 to 8.

    The sample type decides which values become black and white. Unsigned integers: the ends of the type's range.
    Signed integers: the least and the greatest value of the page. Floats: the result of `wide.ends` for the page.

    Raises:
        Unreadable: the page is too large or of an unsupported kind.
        Exception: any exception of tifffile."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > max_pixels:
            raise Unreadable(problems.MANY_PIXELS)
        if page.photometric not in (0, 1, 2):
            raise Unreadable(problems.UNSUPPORTED)
        samples = _samples(page.asarray(), page.axes)
        turned, profile, missing = (page.tags.get(number) for number in (274, 34675, 42113))
        extra, photometric = tuple(page.extrasamples)[:1], int(page.photometric)
    colours = 3 if photometric == 2 else 1
    image = Image.fromarray(_squeezed(_colours(samples[..., :colours], extra, samples, missing, photometric == 0)))
    if extra in (ASSOCIATED, SEPARATE):
        image.putalpha(Image.fromarray(_scaled(samples[..., colours], *_whole(samples.dtype))))
    if profile is not None and isinstance(profile.value, bytes):
        image.info["icc_profile"] = profile.value
    turn = int(turned.value) if turned is not None and turned.value in range(1, 9) else 1
    return image, f"{samples.dtype}", turn


def _colours(
    values: NDArray[np.generic], extra: tuple[int, ...], samples: NDArray[np.generic], missing: Any, inverted: bool
) -> NDArray[np.uint8]:
    """Return the colours of a page as bytes, (height, width, 1 or 3)."""
    start, end = _whole(values.dtype)
    floats = values.astype(np.float64)
    if extra == ASSOCIATED:  # undo the multiplication by alpha
        alpha = samples[..., values.shape[2], np.newaxis].astype(np.float64) / _whole(samples.dtype)[1]
        floats = np.divide(floats, alpha, out=np.zeros_like(floats), where=alpha > 0)
    if values.dtype.kind != "u":
        there = finite(values, missing_of(missing.value) if missing is not None else None)
        low, high = (float(floats[there].min()), float(floats[there].max())) if there.any() else (0.0, 1.0)
        start, end = ends(low, high) if values.dtype.kind == "f" else (low, high)
        floats[~there & ~(np.abs(floats) >= HUGE)] = start  # black
        floats = np.clip(floats, low, high)
    found = _scaled(floats, start, end)
    return 255 - found if inverted else found


def _whole(kind: np.dtype[Any]) -> tuple[float, float]:
    """Return 0 and the greatest value of an integer type; 0 and 1 for floats, as in float alpha."""
    return 0.0, 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)


def _scaled(values: NDArray[Any], start: float, end: float) -> NDArray[np.uint8]:
    scaled = np.clip((values.astype(np.float64) - start) * (255 / ((end - start) or 1.0)), 0, 255)
    return np.ascontiguousarray(np.rint(np.nan_to_num(scaled)).astype(np.uint8))


def _squeezed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values[..., 0] if values.shape[2] == 1 else values


def _samples(values: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """Return a page as (height, width, samples)."""
    kept = values.reshape([size for size, axis in zip(values.shape, axes, strict=True) if axis in "YXS"])
    names = [axis for axis in axes if axis in "YXS"]
    if "S" not in names:
        return kept[..., np.newaxis]
    return np.moveaxis(kept, names.index("S"), -1)
