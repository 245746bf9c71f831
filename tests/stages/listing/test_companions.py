"""Which files belong to which images, by name."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import from_mapping
from pipeline.messages.errors import ConfigError
from pipeline.plan.discovery import discover
from pipeline.stage import PastRows
from stages import scan
from stages.listing.companions import DEFAULT, CompanionRules, FoundCompanions, checked, kind_of
from tests.stages.test_scan import EVERYTHING


def companions(images: list[str], others: list[str], patterns: tuple[str, ...] = DEFAULT) -> dict[str, list[str]]:
    found = CompanionRules(patterns).of(map(os.fsencode, images), map(os.fsencode, others))
    return {os.fsdecode(image): list(map(os.fsdecode, names)) for image, names in found.items()}


@pytest.mark.parametrize(
    ("image", "other", "belongs"),
    [
        ("x.jpg", "x.jpg.xmp", True),
        ("x.jpg", "x.xmp", True),
        ("x.jpg", "x.XMP", True),
        ("x.JPG", "x.jpg.xmp", True),
        ("x.jpg", "X.xmp", False),
        ("x.jpg", "x.png.xmp", False),
        ("x.jpg", "x.jpg.xmp.bak", False),
        ("x.jpg", "xx.xmp", False),
        ("x.jpg", "x.aae", True),
        ("x.jpg", "x.jpg.aae", False),
        ("x.jpg", "x.jpg.json", True),
        ("x.jpg", "x.json", False),
        ("x.jpg", "x.jpg.supplemental-metadata.json", True),
        ("x.jpg", "x.supplemental-metadata.json", False),
        ("x(1).jpg", "x.jpg.supplemental-metadata(1).json", True),
        ("x-edited.jpg", "x.jpg.json", True),
        ("x.heic", "x.MOV", True),
        ("x.jpg", "x.CR2", True),
        ("x.jpg", "x.x3f", True),
        ("x.cr2", "x.jpg", False),
        ("x.dng", "x.dng", False),
        ("x.y.jpg", "x.y.xmp", True),
        ("x.y.jpg", "x.xmp", False),
        ("x", "x.xmp", True),
        (".jpg", ".xmp", False),
        ("x\udcff.jpg", "x\udcff.xmp", True),
        ("ä.jpg", "ä.Xmp", True),
    ],
)
def test_the_default_patterns(image: str, other: str, belongs: bool) -> None:
    assert companions([image], [other]) == ({image: [other]} if belongs else {})
    assert CompanionRules(DEFAULT).fits(os.fsencode(other)) or not belongs


def test_two_images_may_have_one_companion() -> None:
    assert companions(["1.jpg", "1.HEIC", "2.jpg"], ["1.MOV", "1.jpg.xmp"]) == {
        "1.jpg": ["1.MOV", "1.jpg.xmp"],
        "1.HEIC": ["1.MOV"],
    }


def test_patterns_of_the_user() -> None:
    assert companions(["x.jpg"], ["x.txt", "x.xmp"], ("<stem>.TXT",)) == {"x.jpg": ["x.txt"]}
    assert companions(["x.jpg"], ["x.edit.nef", "x.nef"], ("<stem>.edit.<raw>",)) == {"x.jpg": ["x.edit.nef"]}
    assert not CompanionRules(()).fits(b"x.xmp")


@pytest.mark.parametrize(
    "pattern",
    [
        "xmp",
        "*.xmp",
        "<stem>",
        "<stem>.",
        "<name>xmp",
        "<stem>.a/b",
        "<stem>.<raw>.xmp",
        "<stem>.x*",
        "<takeout>.xmp",
        "",
    ],
)
def test_other_patterns_are_refused_with_an_example(pattern: str) -> None:
    said = f"expected <stem> or <name> and an ending, such as <stem>.xmp, or <takeout>.json, got {pattern!r}"
    with pytest.raises(ValueError, match=re.escape(said)):
        checked(pattern)
    with pytest.raises(ConfigError, match=re.escape(said)):
        from_mapping({"run": "x", "inputs": {"a": ["/x"]}, "companions": {"patterns": [pattern]}}, discover())


@pytest.mark.parametrize(
    ("name", "kind"),
    [(b"x.XMP", "xmp"), (b"x.jpg.xmp", "xmp"), (b"x.cr2", "raw"), (b"x.NEF", "raw"), (b"x.MOV", "mov")],
)
def test_kinds(name: bytes, kind: str) -> None:
    assert kind_of(name) == kind


def table(*roots: Path, **settings: Any) -> dict[str, str | None]:
    """Return the companions of each image that a scan finds, by the image's name."""
    given = EVERYTHING | {"inputs.a": [str(root) for root in roots]} | settings
    params = scan.Params(**{name: given.pop(name) for name in ("follow_links", "ignore_names") if name in given})
    found = {}
    for _, rows in scan.source(params, given.__getitem__, lambda count: None, PastRows):
        found |= dict(zip(rows["path"].to_pylist(), rows["companions"].to_pylist(), strict=True))
    return {path.rpartition("/")[2]: names for path, names in found.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    for name in ("1.jpg", "1.CR2", "1.xmp", "2.jpg", "sub/3.jpg", "sub/3.MOV", "sub/3.xmp/in it.txt", "sub/1.aae"):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bytes")
    (made / "2.xmp").symlink_to(made / "1.xmp")
    return made


def test_the_scan_names_the_companions_of_each_image(folder: Path) -> None:
    assert table(folder) == {"1.CR2": "1.xmp", "1.jpg": "1.CR2/1.xmp", "2.jpg": None, "3.jpg": "3.MOV"}
    assert table(folder, **{"companions.patterns": ()}) == dict.fromkeys(("1.CR2", "1.jpg", "2.jpg", "3.jpg"))
    assert table(folder, ignore_names=("*.xmp",))["1.jpg"] == "1.CR2"


def test_an_image_that_is_an_input_itself_has_companions(folder: Path) -> None:
    assert table(folder / "1.jpg", folder / "2.jpg") == {"1.jpg": "1.CR2/1.xmp", "2.jpg": None}


def test_images_below_links_have_companions(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "deep").symlink_to(folder / "sub")
    assert table(tmp_path / "links", follow_links=True) == {"3.jpg": "3.MOV"}


def test_a_companion_costs_no_stat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (folder / f"1.{number}.xmp").touch()
        (folder / f"{number}.xmp").touch()
    asked: list[object] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *rest, **more: (asked.append(path), real(path, *rest, **more))[1])
    assert table(folder)["1.jpg"] == "1.CR2/1.xmp"
    assert not [path for path in asked if b"xmp" in os.fsencode(path)]  # type: ignore[arg-type]


def test_companions_below_a_url() -> None:
    found = FoundCompanions(("<name>.xmp", "<takeout>.json"), lambda entry: entry.name == b"2.jpg.xmp")
    images = [b"1.jpg", b"2.jpg", b"a/b/3(1).jpg"]
    others = [b"1.jpg.xmp", b"2.jpg.xmp", b"a/1.jpg.xmp", b"a/b/3.jpg(1).json"]
    found.add_below(b"s3://bucket/x", images, [*images, *others])
    assert found.names == {b"s3://bucket/x/1.jpg": "1.jpg.xmp", b"s3://bucket/x/a/b/3(1).jpg": "3.jpg(1).json"}
