"""What an image says of itself: which way is up, when it was taken, how many frames it has.

Metadata may be anything; the picture does not hang on it, so what is broken counts as not there."""

from __future__ import annotations

import struct
from datetime import datetime

from PIL import Image
from PIL.ExifTags import IFD, Base

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
TAKEN = (Base.DateTimeOriginal, Base.DateTimeDigitized)


BIG_TIFF = 43
MANY_PAGES = 1_000_000
"""Pages of a TIFF that are counted: more of them fit into a file than into memory."""
EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
"""Where Pillow finds EXIF among what it knows of an image, but for TIFFs, which are made of it."""


def _may_have_exif(image: Image.Image) -> bool:
    return image.format == "TIFF" or not EXIF.isdisjoint(image.info)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8."""
    if not _may_have_exif(image):
        return 1
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except Exception:  # broken metadata count as none
        return 1
    return found if found in range(1, 9) else 1


def taken(image: Image.Image) -> datetime | None:
    """When the photograph was taken, by the camera's clock; EXIF knows no time zone."""
    if not _may_have_exif(image):
        return None
    try:
        exif = image.getexif().get_ifd(IFD.Exif)
        for tag in TAKEN:
            if text := exif.get(tag):
                return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # broken metadata count as none
        return None
    return None


def frames(image: Image.Image) -> int | None:
    """Frames of an animation, pages of a document, layers of a drawing; None where they can't be counted."""
    try:
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # broken metadata count as none
        return None


def pages(data: bytes) -> int | None:
    """Pages of a TIFF; None where they can't be counted. Pillow would read all that each of them says."""
    try:
        return _pages(data)
    except struct.error:
        return None


def _pages(data: bytes) -> int | None:
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(f"{order}H", data, 2) == (BIG_TIFF,)
    place, count = (struct.Struct(order + kind) for kind in ("QQ" if big else "LH"))
    entry = 20 if big else 12
    found: set[int] = set()
    (at,) = place.unpack_from(data, 8 if big else 4)
    while at and at not in found:
        if len(found) == MANY_PAGES:
            return None
        found.add(at)
        (entries,) = count.unpack_from(data, at)
        (at,) = place.unpack_from(data, at + count.size + entries * entry)
    return max(1, len(found))
