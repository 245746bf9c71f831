"""TIFFs that Pillow does not read, or reads wrongly: floats of 16 and 64 bits or in colour, unsigned integers of 32
bits, planes of 16 bits. tifffile reads them; the first page counts."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stages.decoding import problems
from stages.decoding.problems import Unreadable


def decode_tiff(data: bytes, max_pixels: int) -> tuple[Image.Image, str, int]:
    """The first page as L, RGB or RGBA, what its samples are, and its orientation, 1 to 8.

    Integers are scaled by their range, floats of 0 to 1 by 1, and others from their least to their greatest finite
    value, over all channels. Raises Unreadable, and what tifffile raises."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > max_pixels:
            raise Unreadable(problems.MANY_PIXELS)
        if page.photometric not in (0, 1, 2):
            raise Unreadable(problems.UNSUPPORTED)
        samples = _samples(page.asarray(), page.axes)
        turned = page.tags.get(274)
        alpha = bool(page.extrasamples) and page.photometric == 2
        inverted = page.photometric == 0
    values = _bytes(samples[..., : (4 if alpha else 3) if page.photometric == 2 else 1])
    if inverted:
        values = 255 - values
    turn = int(turned.value) if turned is not None and turned.value in range(1, 9) else 1
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values), f"{samples.dtype}", turn


def _samples(values: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """A page as (height, width, samples)."""
    kept = values.reshape([size for size, axis in zip(values.shape, axes, strict=True) if axis in "YXS"])
    names = [axis for axis in axes if axis in "YXS"]
    if "S" not in names:
        return kept[..., np.newaxis]
    return np.moveaxis(kept, names.index("S"), -1)


def _bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    floats = values.astype(np.float64)
    if values.dtype.kind == "u":
        start, end = 0.0, float(2 ** (8 * values.dtype.itemsize) - 1)
    else:
        finite = floats[np.isfinite(floats)]
        start, end = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if values.dtype.kind == "f" and start >= 0 and end <= 1:
            start, end = 0.0, 1.0
        floats = np.nan_to_num(floats, nan=start, posinf=end, neginf=start)
    scaled = np.clip((floats - start) * (255 / ((end - start) or 1.0)), 0, 255)
    return np.ascontiguousarray(np.rint(scaled).astype(np.uint8))
