"""Metadata of removed images in a sidecar of the kept image; `undo` restores the former state."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.messages.errors import ConfigError
from stages.commands.apply import exiftool
from stages.commands.apply import follow as applying
from stages.commands.apply import merging as making
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.merging import UNMERGED, UNREAD
from stages.commands.plan.plan_file import FORMAT, VERSION, RemovalPlan, checked
from stages.decoding.annotations import properties
from stages.listing.companions import DEFAULT
from tests.stages.commands.apply.acting import (
    entry,
    followed,
    leftovers,
    merging_alone,
    plan_for,
    state,
    undone,
)
from tests.stages.decoding.test_annotations import listed, xmp

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


def image(path: Path, data: bytes = b"", **exif: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = Image.Exif()
    for tag, value in exif.items():
        tags[int(tag[1:], 16)] = value
    Image.new("RGB", (32, 32), "red").save(path, exif=tags, **({"xmp": data} if data else {}))
    os.utime(path, ns=(10**18 + len(path.name), 10**18 + len(path.name)))
    return path


def plan(keep: Path, *remove: Path, **more: Any) -> RemovalPlan:
    group = {"cluster": 0, "keep": [entry(keep)], "remove": [entry(path) for path in remove]}
    return checked({FORMAT: VERSION, "clusters": [group], **more}, "plan")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path / "images"


@needs_exiftool
@pytest.mark.parametrize("action", ["move", "trash"])
def test_metadata_that_the_keeper_lacks_is_written_into_a_new_sidecar(
    action: str, folder: Path, tmp_path: Path
) -> None:
    keep = image(folder / "a" / "-x 'ü\n.jpg")
    one = image(folder / "b" / "1.jpg", xmp(listed("dc:subject", "sea, blue", "日")), x010E="a view\nof it", x4746=4)
    two = image(folder / "b" / "2.jpg")
    two.with_suffix(".xmp").write_bytes(xmp(listed("iptc:PersonInImage", "Anna"), 'exif:GPSLatitude="3,0N"'))
    before, whole = state(folder), keep.read_bytes()
    lines, tally, _ = followed(plan(keep, one, two), action, tmp_path, yes=False, merge=True)
    assert state(folder) == before
    assert lines[0].startswith("would be merged  caption, keywords, people, rating into ")
    lines, tally, journal = followed(plan(keep, one, two), action, tmp_path, merge=True)
    assert (tally.done, tally.sidecars, tally.conflicts) == (2, 1, []), lines
    sidecar = keep.with_name(f"{keep.name}.xmp")
    found = properties(sidecar.read_bytes())
    assert found == {"caption": "a view\nof it", "keywords": "sea, blue", "people": "Anna", "rating": "4"}
    assert "日".encode() in sidecar.read_bytes()
    assert keep.read_bytes() == whole, "never the image"
    back = undone(journal)
    assert (back.ok, back.done, back.companions, back.sidecars) == (True, 2, 1, 1)
    assert state(folder) == before
    assert not leftovers(tmp_path)


@needs_exiftool
def test_a_sidecar_that_is_there_is_kept_and_merged(folder: Path, tmp_path: Path) -> None:
    keep, one = image(folder / "a/1.jpg"), image(folder / "b/1.jpg", xmp(listed("dc:subject", "sun"), 'xmp:Rating="2"'))
    sidecar = keep.with_suffix(".XMP")
    own = listed("dc:subject", "sea") + "<dc:creator><rdf:Seq><rdf:li>me</rdf:li></rdf:Seq></dc:creator>"
    sidecar.write_bytes(xmp(own, 'xmp:Rating="5"'))
    sidecar.chmod(0o640)
    os.utime(sidecar, ns=(10**18, 10**18))
    before = state(folder)
    lines, tally, journal = followed(plan(keep, one), "move", tmp_path, merge=True)
    assert tally.conflicts == [{"field": "rating", "kept": "5", "other": "2", "image": str(one), "keeper": str(keep)}]
    assert lines[0] == f"merged  keywords into {sidecar}"
    assert lines[1] == f"conflict  {keep}: rating stays '5'; {one} has '2'"
    text = sidecar.read_text()
    assert all(f"<rdf:li>{each}</rdf:li>" in text for each in ("sea", "sun", "me"))
    assert properties(text)["rating"] == "5"
    assert sidecar.stat().st_mode & 0o777 == 0o640
    assert undone(journal).ok
    assert state(folder) == before


@needs_exiftool
def test_a_sidecar_of_two_images_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    keep, one = image(folder / "a/1.jpg"), image(folder / "b/1.jpg", x4746=3)
    image(folder / "a/1.png")
    (folder / "a/1.xmp").write_bytes(xmp())
    assert followed(plan(keep, one), "move", tmp_path, merge=True)[1].sidecars == 1
    assert (folder / "a/1.xmp").read_bytes() == xmp()
    assert properties((folder / "a/1.jpg.xmp").read_bytes()) == {"rating": "3"}


@needs_exiftool
def test_a_file_that_exiftool_cannot_read_is_kept(folder: Path, tmp_path: Path) -> None:
    keep, one, two = image(folder / "a/1.jpg"), image(folder / "b/1.jpg"), folder / "b/2.jpg"
    two.write_bytes(b"no image")
    assert followed(plan(keep, one, two), "move", tmp_path, merge=True)[1].done == 2, "it can't say anything"
    with pytest.raises(ActRefused, match="exiftool failed"):
        exiftool.written(b"no XMP", {"XMP-xmp:Rating": "4"})


def test_without_exiftool_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"exiftool is not installed; expected .* Install it: ") as told:
        exiftool.check_installed()
    assert "\n" not in str(told.value)


# without exiftool


@pytest.mark.parametrize("which", ["keeper", "image"])
def test_an_error_of_one_image_stays_with_its_cluster(
    which: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merging_alone(monkeypatch)
    odd = photos / ("c/x.jpg" if which == "keeper" else "c/y.jpg")
    read, broken = exiftool.read, {"ExifTool:Error": "broken"}
    monkeypatch.setattr(
        exiftool,
        "read",
        lambda paths: [broken if path == odd else found for path, found in zip(paths, read(paths), strict=True)],
    )
    lines, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path, merge=True)
    assert tally.done == 2
    assert tally.refused == {(UNMERGED if which == "keeper" else "") + UNREAD: 1}
    assert f"{photos / 'c/y.jpg'} ({odd.name}: broken): " in lines[-1]
    assert undone(journal).ok


def test_where_exiftool_fails_images_stay_but_copies_go(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte-for-byte copy has no metadata that the kept image lacks."""

    def fails(*_: Any) -> Any:
        raise ActRefused("exiftool failed (why)")

    merging_alone(monkeypatch)
    monkeypatch.setattr(exiftool, "written", fails)
    before = state(photos)
    for name in ("written", "read"):
        monkeypatch.setattr(exiftool, name, fails)
        _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path, merge=True)
        assert (tally.done, tally.refused) == (2, {f"{UNMERGED}exiftool failed (why)": 1})
        assert (photos / "c/y.jpg").exists()
        assert undone(journal).ok
        assert state(photos) == before


@pytest.mark.parametrize("together", [1, 100])
def test_a_sidecar_may_be_written_twice(
    together: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of one cluster may be in two groups."""
    merging_alone(monkeypatch)
    monkeypatch.setattr(applying, "GROUP", together)
    paths = [photos / f"b/{name}.jpg" for name in ("2", "3")]
    for path in paths:
        path.write_bytes(path.stem.encode())
    before = state(photos)
    tally, journal = followed(plan(photos / "a/1.jpg", *paths), "move", tmp_path, merge=True)[1:]
    assert tally.sidecars == (2 if together == 1 else 1)
    assert {b"2", b"3"} <= set((photos / "a/1.jpg.xmp").read_bytes().split(b"+"))
    assert undone(journal).ok
    assert state(photos) == before


@pytest.mark.parametrize("change", ["image", "sidecar", "new sidecar"])
def test_a_sidecar_or_a_keeper_that_changes_meanwhile_lets_all_stay(
    change: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merging_alone(monkeypatch)
    sidecar, do = photos / "c/x.jpg.xmp", applying.do
    if change == "sidecar":
        sidecar.write_bytes(b"old")
    path = photos / "c/x.jpg" if change == "image" else sidecar

    def changed(*arguments: Any) -> Any:
        path.write_bytes(b"worked on")
        return do(*arguments)

    monkeypatch.setattr(applying, "do", changed)
    _, tally, journal = followed(plan(photos / "c/x.jpg", photos / "c/y.jpg"), "move", tmp_path, merge=True)
    assert tally.done == tally.sidecars == 0
    assert next(iter(tally.refused)).startswith(UNMERGED)
    assert path.read_bytes() == b"worked on"
    assert (photos / "c/y.jpg").read_bytes() == b"nearly"
    assert not leftovers(tmp_path)
    assert undone(journal).ok
    assert path.read_bytes() == b"worked on"


def test_an_edit_after_the_merge_is_kept(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merging_alone(monkeypatch)
    sidecar = photos / "c/x.jpg.xmp"
    sidecar.write_bytes(b"old")
    journal = followed(plan(photos / "c/x.jpg", photos / "c/y.jpg"), "move", tmp_path, merge=True)[2]
    merged = sidecar.read_bytes()
    sidecar.write_bytes(b"an edit")
    back = undone(journal)
    assert (back.done, back.refused) == (1, {"the sidecar was changed after the metadata were merged": 1})
    assert sidecar.read_bytes() == b"an edit"
    sidecar.write_bytes(merged)
    assert undone(journal).sidecars == 1
    assert sidecar.read_bytes() == b"old"
    sidecar.unlink()
    assert undone(journal).ok, "it was undone"
    assert not sidecar.exists()


def test_no_sidecar_is_written_beside_a_reference_or_over_another_file(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merging_alone(monkeypatch)
    keep, one = photos / "a/1.jpg", photos / "c/y.jpg"
    refused = followed(plan(keep, one, references=[str(photos / "a")]), "move", tmp_path, merge=True)[1].refused
    assert f"lies in the reference {photos / 'a'}, where nothing is written" in next(iter(refused))
    (photos / "a/1.jpg.xmp").write_bytes(b"mine")
    refused = followed(plan(keep, one, companion_patterns=[]), "move", tmp_path, merge=True)[1].refused
    assert "is no companion by companions.patterns: it may not be overwritten" in next(iter(refused))
    monkeypatch.setattr(making, "MOST_BYTES", 3)
    refused = followed(plan(keep, one, companion_patterns=list(DEFAULT)), "move", tmp_path, merge=True)[1].refused
    assert "has more than 0 MiB" in next(iter(refused))


def test_a_sidecar_that_is_merged_may_go_where_the_keeper_has_none(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merging_alone(monkeypatch)
    (photos / "c/y.xmp").write_bytes(b"keyword")
    data = plan(photos / "c/x.jpg", photos / "c/y.jpg")
    assert not followed(data, "move", tmp_path)[1].ok
    assert followed(data, "move", tmp_path, merge=True)[1].companions == 1
    assert b"keyword" in (photos / "c/x.jpg.xmp").read_bytes()
