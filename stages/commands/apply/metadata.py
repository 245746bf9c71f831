"""Compare caption, keywords, people, rating, date and place of images.

The metadata of an image include the metadata in its sidecars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.decoding.annotations import is_informative

NEAR = 0.0002
"""Greatest difference of equal positions in degrees, some 20 m: programs round positions."""
TO_THE_SECOND = 19
"""Characters of a date up to the second, such as "2020:01:02 03:04:05"."""
CAPTIONS = ("XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription", "IFD0:XPTitle")
LISTS = {
    "keywords": ("XMP-dc:Subject", "IPTC:Keywords", "IFD0:XPKeywords"),
    "people": ("XMP-iptcExt:PersonInImage", "XMP-mwg-rs:RegionName", "XMP-MP:RegionPersonDisplayName"),
}
RATINGS = ("XMP-xmp:Rating", "IFD0:Rating")
DATES = ("ExifIFD:DateTimeOriginal", "XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated")
PLACES = (
    ("Composite:GPSLatitude", "Composite:GPSLongitude", "GPS:GPSAltitude"),
    ("XMP-exif:GPSLatitude", "XMP-exif:GPSLongitude", "XMP-exif:GPSAltitude"),
)
SIDECAR_TAGS = {
    "caption": "XMP-dc:Description",
    "keywords": "XMP-dc:Subject",
    "people": "XMP-iptcExt:PersonInImage",
    "rating": "XMP-xmp:Rating",
    "date": "XMP-exif:DateTimeOriginal",
}
"""Tag that is written into a sidecar, by field; the field `GPS` has several tags."""


class GeoPosition(NamedTuple):
    """A position in degrees; the altitude is in metres as text, empty where unknown."""

    latitude: float
    longitude: float
    altitude: str = ""


@dataclass(frozen=True)
class ImageMetadata:
    """The metadata of an image and its sidecars.

    Missing single values are empty texts."""

    single: Mapping[str, str]
    """Values of caption, rating and date."""
    lists: Mapping[str, Sequence[str]]
    """Keywords and people."""
    place: GeoPosition | None = None


class Conflict(NamedTuple):
    """A value that the keeper does not get.

    The keeper has another value, or two removed images differ."""

    field: str
    kept: str
    other: str
    image: str


def metadata_of(files: Sequence[Mapping[str, Any]]) -> ImageMetadata:
    """Return the metadata of an image from the tags that `exiftool.read` returns.

    The first file that has a value counts."""
    caption = _first(files, CAPTIONS, lambda text: is_informative(text, "caption"))
    rating = _first(files, RATINGS, lambda text: is_informative(text, "rating"))
    date = _first(files, DATES, lambda text: len(text) >= TO_THE_SECOND and text[:4].isdigit() and text[:4] != "0000")
    lists = {field: _texts(files, tags) for field, tags in LISTS.items()}
    return ImageMetadata({"caption": caption, "rating": rating, "date": date}, lists, _place(files))


def merged(
    keeper: ImageMetadata, others: Sequence[tuple[str, ImageMetadata]]
) -> tuple[dict[str, Any], list[str], list[Conflict]]:
    """Return tags for the keeper's sidecar, names of their fields, and conflicts.

    others  names and metadata of the removed images"""
    tags: dict[str, Any] = {}
    conflicts: list[Conflict] = []
    for field in ("caption", "rating", "date"):
        values = {name: other.single[field] for name, other in others if other.single[field]}
        got = _agreed(field, keeper.single[field], values, _same_text, conflicts)
        if got:
            tags[SIDECAR_TAGS[field]] = got
    for field, own in keeper.lists.items():
        new = dict.fromkeys(each for _, other in others for each in other.lists[field] if each not in own)
        if new:
            tags[SIDECAR_TAGS[field]] = [*own, *new]
    places = {name: other.place for name, other in others if other.place}
    place = _agreed("GPS", keeper.place, places, _same_place, conflicts)
    fields = [field for field, tag in SIDECAR_TAGS.items() if tag in tags]
    if place:
        tags |= {"XMP-exif:GPSLatitude": place.latitude, "XMP-exif:GPSLongitude": place.longitude}
        tags |= {"XMP-exif:GPSAltitude": place.altitude} if place.altitude else {}
        fields.append("GPS")
    return tags, fields, conflicts


def _agreed(field: str, own: Any, values: Mapping[str, Any], same: Any, conflicts: list[Conflict]) -> Any:
    """Return the value that a keeper gets, or None; record other values as conflicts."""
    first = own or next(iter(values.values()), None)
    odd = {name: value for name, value in values.items() if not same(first, value)}
    conflicts += [Conflict(field, _shown(own), _shown(value), name) for name, value in odd.items()]
    if not own and odd:
        name = next(iter(values))
        conflicts.append(Conflict(field, "", _shown(first), name))
    return None if own or odd else first


def _same_text(one: str, other: str) -> bool:
    return (
        one[:TO_THE_SECOND] == other[:TO_THE_SECOND] if one[4:5] == other[4:5] == ":" else one.strip() == other.strip()
    )


def _same_place(one: GeoPosition, other: GeoPosition) -> bool:
    return abs(one.latitude - other.latitude) <= NEAR and abs(one.longitude - other.longitude) <= NEAR


def _shown(value: Any) -> str:
    return f"{value.latitude:.5f}, {value.longitude:.5f}" if isinstance(value, GeoPosition) else str(value or "")


def _first(files: Sequence[Mapping[str, Any]], tags: Sequence[str], fits: Any) -> str:
    return next((text for text in _texts(files, tags) if fits(text)), "")


def _texts(files: Iterable[Mapping[str, Any]], tags: Sequence[str]) -> list[str]:
    """Return the texts under some tags, each once."""
    found: dict[str, None] = {}
    for file in files:
        for tag in tags:
            value = file.get(tag, "")
            values = value if isinstance(value, list) else str(value).split(";") if "XPKey" in tag else [value]
            found |= dict.fromkeys(text for each in values if (text := _text(each)))
    return list(found)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip(" \0\t\r\n")


def _place(files: Iterable[Mapping[str, Any]]) -> GeoPosition | None:
    for file in files:
        for latitude, longitude, altitude in PLACES:
            try:
                north, east = float(file[latitude]), float(file[longitude])
            except (KeyError, ValueError, TypeError):
                continue
            if abs(north) <= 90 and abs(east) <= 180 and (north, east) != (0, 0):
                below = str(file.get("GPS:GPSAltitudeRef")) == "1" and altitude.startswith("GPS")
                high = _text(file.get(altitude, ""))
                return GeoPosition(north, east, f"-{high}" if below and high else high)
    return None
