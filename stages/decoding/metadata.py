"""What an image says of itself: which way is up, when it was taken, how many frames it has.

Metadata may be anything; the picture does not hang on it, so what is broken counts as not there."""

from __future__ import annotations

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
