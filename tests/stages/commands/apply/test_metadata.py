"""Metadata of images, and the metadata that a keeper gets."""

from typing import Any

import pytest

from stages.commands.apply.metadata import Conflict, GeoPosition, merged, metadata_of

EVERYTHING: dict[str, Any] = {
    "XMP-dc:Description": "a view",
    "XMP-dc:Subject": ["sea", "sun"],
    "XMP-iptcExt:PersonInImage": "Anna",
    "XMP-xmp:Rating": "4",
    "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05",
    "Composite:GPSLatitude": "48.1",
    "Composite:GPSLongitude": "11.5",
    "GPS:GPSAltitude": "520",
}


@pytest.mark.parametrize(
    ("tags", "field", "value"),
    [
        ({"IPTC:Caption-Abstract": "a view"}, "caption", "a view"),
        ({"IFD0:ImageDescription": "OLYMPUS DIGITAL CAMERA", "IFD0:XPTitle": "a view"}, "caption", "a view"),
        ({"IFD0:ImageDescription": "SONY DSC"}, "caption", ""),
        ({"XMP-xmp:Rating": "0", "IFD0:Rating": "3"}, "rating", "3"),
        ({"ExifIFD:DateTimeOriginal": "0000:00:00 00:00:00"}, "date", ""),
        ({"XMP-photoshop:DateCreated": "2020:01:02"}, "date", ""),
        ({"XMP-exif:DateTimeOriginal": "2020:01:02 03:04:05+01:00"}, "date", "2020:01:02 03:04:05+01:00"),
    ],
)
def test_single_values(tags: dict[str, Any], field: str, value: str) -> None:
    assert metadata_of([tags]).single[field] == value


def test_lists_are_joined_and_a_sidecar_comes_first() -> None:
    found = metadata_of(
        [{"XMP-dc:Subject": "sun", "XMP-xmp:Rating": "5"}, EVERYTHING | {"IFD0:XPKeywords": "sea; sand"}]
    )
    assert found.lists == {"keywords": ["sun", "sea", "sand"], "people": ["Anna"]}
    assert found.single["rating"] == "5"
    assert metadata_of([{"XMP-dc:Subject": [True, "2020"]}]).lists["keywords"] == ["true", "2020"]


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        (EVERYTHING, GeoPosition(48.1, 11.5, "520")),
        (EVERYTHING | {"GPS:GPSAltitudeRef": "1"}, GeoPosition(48.1, 11.5, "-520")),
        ({"XMP-exif:GPSLatitude": "-3", "XMP-exif:GPSLongitude": "4"}, GeoPosition(-3, 4)),
        ({"Composite:GPSLatitude": "0", "Composite:GPSLongitude": "0"}, None),
        ({"Composite:GPSLatitude": "91", "Composite:GPSLongitude": "0"}, None),
        ({"Composite:GPSLatitude": "nan", "Composite:GPSLongitude": "0"}, None),
        ({"Composite:GPSLatitude": "x", "Composite:GPSLongitude": "0"}, None),
        ({"Composite:GPSLatitude": "4"}, None),
    ],
)
def test_places(tags: dict[str, Any], place: GeoPosition | None) -> None:
    assert metadata_of([tags]).place == place


def test_a_keeper_without_anything_gets_everything() -> None:
    tags, fields, conflicts = merged(metadata_of([{}]), [("b", metadata_of([EVERYTHING]))])
    assert tags == {
        "XMP-dc:Description": "a view",
        "XMP-dc:Subject": ["sea", "sun"],
        "XMP-iptcExt:PersonInImage": ["Anna"],
        "XMP-xmp:Rating": "4",
        "XMP-exif:DateTimeOriginal": "2020:01:02 03:04:05",
        "XMP-exif:GPSLatitude": 48.1,
        "XMP-exif:GPSLongitude": 11.5,
        "XMP-exif:GPSAltitude": "520",
    }
    assert fields == ["caption", "keywords", "people", "rating", "date", "GPS"]
    assert conflicts == []


def test_a_keeper_that_has_the_same_gets_nothing() -> None:
    near = EVERYTHING | {"Composite:GPSLatitude": "48.10001", "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05.3"}
    assert merged(metadata_of([EVERYTHING]), [("b", metadata_of([near])), ("c", metadata_of([{}]))]) == ({}, [], [])


def test_other_values_are_conflicts_and_lists_grow() -> None:
    other = {
        "XMP-dc:Description": "another view",
        "XMP-dc:Subject": ["sun", "sand"],
        "XMP-xmp:Rating": "2",
        "ExifIFD:DateTimeOriginal": "2021:01:02 03:04:05",
        "Composite:GPSLatitude": "49",
        "Composite:GPSLongitude": "11.5",
    }
    tags, fields, conflicts = merged(metadata_of([EVERYTHING]), [("b", metadata_of([other]))])
    assert tags == {"XMP-dc:Subject": ["sea", "sun", "sand"]}
    assert fields == ["keywords"]
    assert conflicts == [
        Conflict("caption", "a view", "another view", "b"),
        Conflict("rating", "4", "2", "b"),
        Conflict("date", "2020:01:02 03:04:05", "2021:01:02 03:04:05", "b"),
        Conflict("GPS", "48.10000, 11.50000", "49.00000, 11.50000", "b"),
    ]


def test_others_that_disagree_give_nothing() -> None:
    others = [
        (name, metadata_of([{"XMP-xmp:Rating": rating}])) for name, rating in (("b", "2"), ("c", "3"), ("d", "2"))
    ]
    tags, fields, conflicts = merged(metadata_of([{}]), others)
    assert (tags, fields) == ({}, [])
    assert conflicts == [Conflict("rating", "", "3", "c"), Conflict("rating", "", "2", "b")]
