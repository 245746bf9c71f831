"""Read the metadata of an image: orientation, origin, frames and annotations.

Broken metadata never make an image unreadable: a broken field counts as missing."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from stages.decoding.annotations import annotations_of

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that sets an image upright, by EXIF orientation; 5 to 8 swap width and height."""
UNDONE_BY = {6: 8, 8: 6}
"""Orientations that undo each other; every other orientation undoes itself."""
TAKEN = (Base.DateTimeOriginal, Base.DateTimeDigitized)
LETTERS = 100
"""Greatest length of a text field of EXIF; longer texts are cut off."""

BIG_TIFF = 43
MANY_PAGES = 1_000_000
"""Greatest number of pages that are counted in a TIFF; a crafted file could exhaust memory."""
EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
"""Keys of Pillow's `info` that may hold EXIF; TIFFs hold EXIF without a key."""


def _may_have_exif(image: Image.Image) -> bool:
    return image.format == "TIFF" or not EXIF.isdisjoint(image.info)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8."""
    if not _may_have_exif(image):
        return 1
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except Exception:  # broken metadata count as missing
        return 1
    return found if found in range(1, 9) else 1


class Origin(NamedTuple):
    """The origin of an image, and the annotations that people have written.

    taken        capture time by the camera's clock, without time zone, from EXIF or else XMP
    camera       make and model
    software     program that wrote the file
    gps          whether EXIF or XMP has a location
    annotations  names of the `annotations.FIELDS` that have a value"""

    taken: datetime | None = None
    camera: str | None = None
    software: str | None = None
    gps: bool = False
    annotations: str | None = None


def origin(image: Image.Image) -> Origin:
    """Return the origin of an image by its EXIF, XMP and IPTC.

    Broken fields count as missing."""
    adobe = "Adobe" if "adobe" in image.info or "photoshop" in image.info else None
    try:
        exif = image.getexif() if _may_have_exif(image) else None
    except Exception:  # broken metadata count as missing
        exif = None
    written = annotations_of(image, exif or {})
    if exif is None:
        return Origin(written.taken, None, adobe, written.gps, written.text)
    make, model, software = (_text(exif, tag) for tag in (Base.Make, Base.Model, Base.Software))
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    taken = _taken(_part(exif, IFD.Exif)) or written.taken
    return Origin(taken, camera or None, software or adobe, _says_where(exif) or written.gps, written.text)


def _part(exif: Image.Exif, part: IFD) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(part)
    except Exception:  # broken metadata count as missing
        return {}


def _text(exif: Mapping[int, Any], tag: int) -> str:
    """Return a text field of EXIF as one line; empty where the field is missing or broken."""
    try:
        found = exif.get(tag) or ""
    except Exception:  # broken metadata count as missing
        return ""
    letters = found.decode("latin-1") if isinstance(found, bytes) else str(found)
    printable = "".join(each if each.isprintable() else " " for each in letters.partition("\0")[0])
    return " ".join(printable.split())[:LETTERS]


def _taken(exif: Mapping[int, Any]) -> datetime | None:
    try:
        for tag in TAKEN:
            if text := exif.get(tag):
                return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # broken metadata count as missing
        return None
    return None


def _says_where(exif: Image.Exif) -> bool:
    return IFD.GPSInfo in exif and GPS.GPSLatitude in _part(exif, IFD.GPSInfo)


def frames(image: Image.Image) -> int | None:
    """Return the number of frames, pages or layers; None where the number is unknown."""
    try:
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # broken metadata count as missing
        return None


def pages(data: bytes) -> int | None:
    """Return the number of pages of a TIFF, or None where the number is unknown.

    Pillow's count would parse all tags of each page."""
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
