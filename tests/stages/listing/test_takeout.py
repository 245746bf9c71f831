"""Which JSON of Google Takeout belongs to which image."""

import pytest

from stages.listing.takeout import LONGEST, is_json_of, json_of

LONG = "a-title-that-is-longer-than-takeout-lets-a-name-be"


@pytest.mark.parametrize(
    ("image", "other", "belongs"),
    [
        ("IMG.jpg", "IMG.jpg.json", True),
        ("IMG.JPG", "IMG.jpg.json", True),
        ("IMG.jpg", "img.jpg.json", False),
        ("IMG.jpg", "IMG.json", False),
        ("IMG.jpg", "IMG.png.json", False),
        ("IMG.jpg", "IMG.jpg.xmp", False),
        ("IMG.jpg", ".json", False),
        ("IMG(1).jpg", "IMG.jpg(1).json", True),
        ("IMG(1).jpg", "IMG.jpg(2).json", False),
        ("IMG(1).jpg", "IMG.jpg.json", False),
        ("IMG(1).jpg", "IMG(1).jpg.json", True),
        ("IMG.jpg", "IMG.jpg(1).json", False),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json", True),
        ("IMG.jpg", "IMG.jpg.supplemental-met.json", True),
        ("IMG.jpg", "IMG.jpg.s.json", True),
        ("IMG.jpg", "IMG.jpg.supplemental-old.json", False),
        ("IMG(3).jpg", "IMG.jpg.supplemental-metadata(3).json", True),
        ("PXL_20230101_123456789.MP.jpg", "PXL_20230101_123456789.MP.jpg.supplemental-met.json", True),
        (f"{LONG[:47]}.jpg", f"{LONG[:LONGEST]}.json", True),
        (f"{LONG[:47]}.jpg", f"{LONG[:47]}.json", False),
        (f"{LONG[:47]}.jpg", f"{LONG[:45]}.json", False),
        (f"{LONG[:43]}.jpg", f"{LONG[:43]}.jp.json", True),
        (f"{LONG[:47]}(1).jpg", f"{LONG[:LONGEST]}(1).json", True),
        ("IMG-edited.jpg", "IMG.jpg.json", True),
        ("IMG-edited(1).jpg", "IMG.jpg(1).json", True),
        ("-edited.jpg", ".jpg.json", False),
        ("äöü.jpg", "äöü.jpg.supplemental-m.json", True),
        ("日" * 47 + ".jpg", "日" * LONGEST + ".json", True),
    ],
)
def test_a_json_belongs_to_an_image_by_its_name(image: str, other: str, belongs: bool) -> None:
    names = image.encode(), other.encode()
    assert dict(json_of([names[0]], [names[1]])) == ({names[0]: {names[1]}} if belongs else {})
    assert is_json_of(other, names[0]) == belongs


def test_an_edited_image_shares_a_json_only_if_it_has_none() -> None:
    images, shared = [b"IMG.jpg", b"IMG-edited.jpg"], b"IMG.jpg.json"
    assert dict(json_of(images, [shared])) == {image: {shared} for image in images}
    own = b"IMG-edited.jpg.json"
    assert dict(json_of(images, [shared, own])) == {b"IMG.jpg": {shared}, b"IMG-edited.jpg": {own}}


def test_names_that_are_not_utf8_do_not_count_as_takeout() -> None:
    assert dict(json_of([b"\xff.jpg"], [b"\xff.jpg.json", b"\\xff.jpg.json"])) == {}
    assert not is_json_of("\\xff(1).jpg.json", b"\xff(1).jpg")
