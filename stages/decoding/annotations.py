"""Find the annotations of an image in EXIF, XMP and IPTC, and the date and the place in XMP.

Broken metadata count as missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from xml.parsers import expat

from PIL import Image, ImageFile, IptcImagePlugin

FIELDS = ("caption", "keywords", "people", "rating")
"""Names of the annotations that people write, in the order of the column `annotations`."""
GPS, TAKEN = "GPS", "taken"
EXIF = {
    0x010E: "caption",
    0x9C9B: "caption",
    0x9C9C: "caption",
    0x9C9F: "caption",
    0x9C9E: "keywords",
    0x4746: "rating",
}
"""Fields by EXIF tag: ImageDescription, XPTitle, XPComment, XPSubject, XPKeywords and Rating."""
IPTC = {(2, 5): "caption", (2, 105): "caption", (2, 120): "caption", (2, 25): "keywords"}
"""Fields by IPTC tag: object name, headline, caption and keywords."""
XMP = {
    "http://purl.org/dc/elements/1.1/ description": "caption",
    "http://purl.org/dc/elements/1.1/ title": "caption",
    "http://purl.org/dc/elements/1.1/ subject": "keywords",
    "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject": "keywords",
    "http://www.digikam.org/ns/1.0/ TagsList": "keywords",
    "http://ns.microsoft.com/photo/1.0/ LastKeywordXMP": "keywords",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ PersonInImage": "people",
    "http://www.metadataworkinggroup.com/schemas/regions/ Name": "people",
    "http://ns.microsoft.com/photo/1.2/t/Region# PersonDisplayName": "people",
    "http://ns.adobe.com/xap/1.0/ Rating": "rating",
    "http://ns.microsoft.com/photo/1.0/ Rating": "rating",
    "http://ns.adobe.com/exif/1.0/ GPSLatitude": GPS,
    "http://ns.adobe.com/exif/1.0/ DateTimeOriginal": TAKEN,
    "http://ns.adobe.com/photoshop/1.0/ DateCreated": TAKEN,
}
"""Fields by XMP property, a namespace and a name."""
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
BY_CAMERA = re.compile(
    r"(?:\w+ )*digital camera|(?:sony|minolta|konica|kodak) dsc\w*|dcim\b.*|default|untitled", re.IGNORECASE
)
"""Captions that cameras write themselves."""
MOST_BYTES = 16 << 20
"""Greatest number of bytes of XMP that are read."""
DEEPEST = 64
"""Greatest depth of nested XMP elements."""


class Annotations(NamedTuple):
    """The annotations of an image.

    text   names of the FIELDS that have a value, separated by spaces; None without a value
    gps    whether XMP has a location
    taken  capture date in XMP, without time zone"""

    text: str | None = None
    gps: bool = False
    taken: datetime | None = None


def annotations_of(image: Image.Image, exif: Mapping[int, Any]) -> Annotations:
    """Return the annotations of an image. `exif`: the main tags of the image's EXIF."""
    found: set[str] = set()
    for tag, field in EXIF.items():
        if is_informative(_exif_text(exif, tag), field):
            found.add(field)
    try:
        iptc = (isinstance(image, ImageFile.ImageFile) and IptcImagePlugin.getiptcinfo(image)) or {}
    except Exception:  # broken metadata count as missing
        iptc = {}
    for key, field in IPTC.items():
        values = iptc.get(key, b"")
        for value in values if isinstance(values, list) else [values]:
            if is_informative(value.decode("utf-8", "replace"), field):
                found.add(field)
    xmp = properties(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b"")
    text = " ".join(field for field in FIELDS if field in found | xmp.keys())
    return Annotations(text or None, GPS in xmp, _date(xmp.get(TAKEN, "")))


def _exif_text(exif: Mapping[int, Any], tag: int) -> str:
    try:
        found = exif.get(tag, "")
    except Exception:  # broken metadata count as missing
        return ""
    if isinstance(found, bytes | tuple):  # the tags of Windows hold UTF-16 as bytes
        return bytes(each for each in found if isinstance(each, int) and 0 <= each < 256).decode("utf-16-le", "replace")
    return str(found)


def is_informative(text: str, field: str) -> bool:
    """Return whether a value carries information.

    Blank texts, ratings of 0 and captions that cameras write carry none."""
    text = "".join(each for each in text if each.isprintable()).strip()
    if field == "rating":
        return text.strip("0.") != ""
    return bool(text) and not (field == "caption" and BY_CAMERA.fullmatch(text))


def properties(data: bytes | str) -> dict[str, str]:
    """Return the first value of each field of `XMP` in XMP data.

    Broken data yield the values before the error. A document type counts as an error, since entities may expand without
    end."""
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    found: dict[str, str] = {}
    inside: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def add(name: str, value: str) -> None:
        field = XMP.get(name)
        if field and field not in found and is_informative(value, field):
            found[field] = value

    def start(name: str, attributes: Mapping[str, str]) -> None:
        inside.append(name)
        if len(inside) > DEEPEST:
            raise ValueError("too deep")
        for attribute, value in attributes.items():
            add(attribute, value)

    def text(value: str) -> None:
        name = next((each for each in reversed(inside) if not each.startswith(RDF)), "")
        add(name, value)

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda name: inside.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data[:MOST_BYTES].strip(b"\0 \t\r\n"), True)
    except Exception:  # values before the error count
        return found
    return found


def _date(text: str) -> datetime | None:
    found = re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?", text)
    try:
        return datetime.fromisoformat(found[0]) if found else None
    except ValueError:
        return None
