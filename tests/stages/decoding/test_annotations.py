"""Captions, keywords, people and ratings, in EXIF, XMP and IPTC."""

import io
import struct
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from stages.decoding.annotations import DEEPEST, properties
from stages.decoding.decode import decode
from tests.stages.decoding.test_decode import EXACT as OPTIONS

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "iptc": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg": "http://www.metadataworkinggroup.com/schemas/regions/",
    "mp": "http://ns.microsoft.com/photo/1.2/t/Region#",
}


def xmp(inside: str = "", attributes: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{name}="{place}"' for name, place in SPACES.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description {spaces} {attributes}>'
        f"{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def listed(name: str, *values: str) -> str:
    return f"<{name}><rdf:Bag>{''.join(f'<rdf:li>{value}</rdf:li>' for value in values)}</rdf:Bag></{name}>"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (xmp(listed("dc:description", "a view")), {"caption": "a view"}),
        (xmp(listed("dc:title", "", "a view")), {"caption": "a view"}),
        (xmp(listed("dc:subject", "sea", "sun")), {"keywords": "sea"}),
        (xmp(listed("dc:subject", " ")), {}),
        (xmp("<xmp:Rating>4</xmp:Rating>"), {"rating": "4"}),
        (xmp("", 'xmp:Rating="4"'), {"rating": "4"}),
        (xmp("", 'xmp:Rating="0"'), {}),
        (xmp("", 'xmp:Rating="-1"'), {"rating": "-1"}),
        (xmp(listed("iptc:PersonInImage", "Anna")), {"people": "Anna"}),
        (xmp('<rdf:li mwg:Name="Anna" mwg:Type="Face"/>'), {"people": "Anna"}),
        (xmp("<rdf:li><mp:PersonDisplayName>Bob</mp:PersonDisplayName></rdf:li>"), {"people": "Bob"}),
        (xmp("", 'exif:GPSLatitude="3,0N"'), {"GPS": "3,0N"}),
        (xmp(listed("dc:description", "SONY DSC")), {}),
        (xmp("<dc:creator>Anna</dc:creator>"), {}),
        (b"", {}),
        (b"<not xml", {}),
        (xmp(listed("dc:subject", "sea"))[:-20], {"keywords": "sea"}),
        (b'<!DOCTYPE x [<!ENTITY a "sea">]>' + xmp(listed("dc:subject", "&a;")), {}),
        (xmp("<rdf:Seq>" * DEEPEST + "</rdf:Seq>" * DEEPEST + listed("dc:subject", "sea")), {}),
        (b"\0\xff\xfe", {}),
    ],
)
def test_xmp(data: bytes, found: dict[str, str]) -> None:
    assert properties(data) == found
    assert properties(data.decode("utf-8", "replace")) == found


def written(kind: str, **how: Any) -> Any:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, kind, **how)
    facts = decode(buffer.getvalue(), OPTIONS)[1]
    return facts.annotations, facts.gps, facts.taken


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_in_each_format(kind: str) -> None:
    data = xmp(
        listed("dc:subject", "sea"), 'xmp:Rating="5" exif:GPSLatitude="3,0N" photoshop:DateCreated="2020-05-06T07:08"'
    )
    how: dict[str, Any] = {"xmp": data}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", data.decode())
        how = {"pnginfo": text}
    if kind == "TIFF":
        how = {"tiffinfo": {700: data}}
    assert written(kind, **how) == ("keywords rating", True, datetime(2020, 5, 6, 7, 8))
    assert written(kind) == (None, False, None)


@pytest.mark.parametrize(
    ("tag", "value", "found"),
    [
        (0x010E, "a view", "caption"),
        (0x010E, "OLYMPUS DIGITAL CAMERA         ", None),
        (0x010E, "   ", None),
        (0x9C9E, "sea".encode("utf-16-le") + b"\0\0", "keywords"),
        (0x9C9B, b"\0\0", None),
        (0x4746, 3, "rating"),
        (0x4746, 0, None),
    ],
)
def test_exif(tag: int, value: Any, found: str | None) -> None:
    exif = Image.Exif()
    exif[tag] = value
    assert written("JPEG", exif=exif)[0] == found


def test_the_date_of_exif_comes_before_that_of_xmp() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    data = xmp("", 'exif:DateTimeOriginal="2020-05-06T07:08:09+01:00"')
    assert written("JPEG", exif=exif, xmp=data)[2] == datetime(2001, 2, 3, 4, 5, 6)
    assert written("JPEG", xmp=data)[2] == datetime(2020, 5, 6, 7, 8, 9)
    assert written("JPEG", xmp=xmp("", 'exif:DateTimeOriginal="2020-13-06T07:08:09"'))[2] is None


def iptc(*datasets: tuple[int, bytes]) -> bytes:
    """Return a JPEG with an IPTC block."""
    data = b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value for number, value in datasets)
    data += b"\0" * (len(data) % 2)
    block = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHL", 0x0404, 0, len(data)) + data
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "JPEG")
    whole = buffer.getvalue()
    return whole[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + whole[2:]


@pytest.mark.parametrize(
    ("datasets", "found"),
    [
        ([(25, b"sea"), (25, b"sun")], "keywords"),
        ([(120, b"a view")], "caption"),
        ([(5, b"a view"), (25, b"sea")], "caption keywords"),
        ([(120, b" ")], None),
        ([(80, b"Anna")], None),
    ],
)
def test_iptc(datasets: list[tuple[int, bytes]], found: str | None) -> None:
    assert decode(iptc(*datasets), OPTIONS)[1].annotations == found


def test_broken_iptc_is_no_error() -> None:
    data = iptc((25, b"sea"))
    assert decode(data.replace(b"\x1c\x02\x19\x00\x03", b"\x1c\x02\x19\xff\xff"), OPTIONS)[1].annotations is None
