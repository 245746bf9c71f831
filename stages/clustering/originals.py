"""Estimate which image of a family is the original, for the keep rule `original`.

A family is a connected component of matches. An original is not a lossless conversion of a lossy file, has few signs
of re-encoding, and is stored as the camera wrote the image."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.decoding.formats.registry import LOSSLESS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

JPEG = ("JPEG", "MPO")
WEB = ("WEBP", "AVIF", "JXL", "JPEG2000")
"""Lossy formats that no camera writes."""
HEIF_CAMERAS = re.compile(
    r"apple|samsung|huawei|honor|xiaomi|oppo|oneplus|canon eos|sony (?:sony )?il[cm]e|nikon.* z ?\d|fujifilm x|"
    r"panasonic dc",
    re.IGNORECASE,
)
"""Cameras that write HEIF; a HEIF image of another camera, or before HEIF_SINCE, was converted."""
HEIF_SINCE = datetime(2017, 6, 1)
EDITORS = re.compile(
    r"adobe|photoshop|lightroom|gimp|picasa|image ?magick|graphicsmagick|paint|snapseed|affinity|capture one|darktable|"
    r"rawtherapee|irfanview|xnview|acdsee|photoscape|pixelmator|canva|instagram|facebook|"
    r"photo (?:viewer|gallery|editor)",
    re.IGNORECASE,
)
"""Names of programs, other than camera firmware, that write images."""
UNSEEN = 98
"""JPEG quality from which the JPEG's grid may be undetectable in a lossless conversion."""
POOR = 80
"""Least quality at which cameras encode."""


def encoding_order(images: pa.Table) -> Ints:
    """Return the place of each image in the order of encodings, int64 (n,).

    The likeliest original comes first. The order is RAW, HEIF of a camera, JPEG with a camera's tables, lossless
    formats, other JPEGs by their signs of re-encoding, other HEIF, and formats that no camera writes."""
    quality = _quality(images)
    jpeg, heif, has_camera = _form(images, *JPEG), _form(images, "HEIF"), _are(pc.is_valid(images["camera"]), True)
    own = _are(images["tables"], "own")
    editor = np.array([bool(each and EDITORS.search(each)) for each in images["software"].to_pylist()], bool)
    fine, progressive = _are(images["subsampling"], "4:4:4"), _are(images["progressive"], True)
    signs = editor.astype(np.int64) + progressive
    # Cameras halve the chroma; without a known camera, any program may have encoded the original.
    signs += has_camera & fine
    signs += np.where(quality < POOR, (POOR + 9 - quality) // 10, 0)
    by_camera = jpeg & own & ~editor & ~progressive & ~fine
    heif_camera = np.array([bool(each and HEIF_CAMERAS.match(each)) for each in images["camera"].to_pylist()], bool)
    heif_camera &= ~_are(pc.less(images["taken"], pa.scalar(HEIF_SINCE, images["taken"].type)), True)
    order = np.full(len(signs), 3)  # lossless, or unknown
    kinds: list[tuple[Mask, Any]] = [(_form(images, "RAW"), 0), (heif, 4)]
    kinds += [(heif & heif_camera, 1), (heif & has_camera & ~heif_camera, 19), (jpeg, 4 + signs), (by_camera, 2)]
    for which, value in (*kinds, (_form(images, *WEB), 20), (_form(images, "GIF"), 21)):
        order = np.where(which, value, order)
    return order


def conversions(images: pa.Table, family: Ints) -> Mask:
    """Return which lossless images may be conversions of lossy images, bool (n,).

    The lossy image is in the same family, and has at least as many pixels. If a JPEG's grid was found in the lossless
    image, or no search was possible, any lossy image counts. If no grid was found, only lossy images without a
    detectable grid count.

    family  number of each image's family, int64 (n,)"""
    pixels, jpeg, heif = pixels_of(images), _form(images, *JPEG), _form(images, "HEIF")
    lossless = _form(images, *LOSSLESS) & ~_are(pc.match_substring_regex(images["mode"], "^[IF]"), True)
    seen, clear = _are(images["was_jpeg"], True), _are(images["was_jpeg"], False)
    may = np.zeros(len(pixels), bool)
    for made_of, which in ((jpeg | heif, seen | ~clear), (heif | (jpeg & (_quality(images) >= UNSEEN)), clear)):
        largest = np.zeros(int(family.max(initial=-1)) + 1, np.int64)
        np.maximum.at(largest, family[made_of], pixels[made_of])
        may |= which & (largest[family] >= pixels)
    return lossless & may


def pixels_of(images: pa.Table) -> Ints:
    """Return the number of pixels of each image, int64 (n,)."""
    width, height = (np.asarray(images[name].to_numpy(), np.int64) for name in ("width", "height"))
    return width * height


def _are(column: pa.ChunkedArray, value: Any) -> Mask:
    return np.asarray(pc.fill_null(pc.equal(column, value), False).to_numpy(), bool)


def _form(images: pa.Table, *formats: str) -> Mask:
    return _are(pc.is_in(images["format"], pa.array(formats)), True)


def _quality(images: pa.Table) -> Ints:
    """Return the quality of each JPEG by its tables, int64 (n,); 100 without tables."""
    return np.asarray(pc.fill_null(images["quality"].cast(pa.int64()), 100).to_numpy(), np.int64)
