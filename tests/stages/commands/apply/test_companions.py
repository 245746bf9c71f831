"""Sidecars and other companions are removed with their image, or all of them stay; and `undo` restores all."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import companions as finding
from stages.commands.apply import follow as applying
from stages.commands.apply.actions import ACTIONS, CHOICES, LINKS
from stages.commands.apply.acts import KINDS
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.companions import CHANGED, GONE, HAS, LACKS, NEW, SHARED
from stages.commands.plan.plan_file import FORMAT, VERSION, RemovalPlan, checked
from stages.listing.companions import DEFAULT
from tests.stages.commands.apply.acting import (
    WORKING,
    accompany,
    entry,
    followed,
    leftovers,
    odd,
    other_disk,
    plan_for,
    state,
    undone,
)


@pytest.fixture
def photos(photos: Path) -> Path:
    accompany(photos)
    return photos


def plan(keep: Path, *remove: Path, known: bool = True) -> RemovalPlan:
    """Return a plan that names the present companions, or no companions."""
    files = [entry(path) for path in remove]
    for path, file in zip(remove, files, strict=True):
        beside = [
            each for each in sorted(path.parent.iterdir()) if each != path and each.stem.split(".")[0] == path.stem
        ]
        stats = {each: each.lstat() for each in beside if not each.is_dir()}
        if known and stats:
            file["companions"] = [
                {"name": each.name, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns} for each, stat in stats.items()
            ]
    more: dict[str, Any] = {"companion_patterns": list(DEFAULT)} if known else {}
    group = {"cluster": 0, "keep": [entry(keep)], "remove": files}
    return checked({FORMAT: VERSION, "run": "", "clusters": [group], **more}, "plan")


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize("action", WORKING)
def test_companions_are_removed_and_restored_with_their_image(
    action: str, disks: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if disks == 2:
        other_disk(monkeypatch)
    before, data = state(photos), plan_for(photos)
    said, foreseen, _ = followed(checked(data, "plan"), action, tmp_path, yes=False)
    assert state(photos) == before
    lines, tally, journal = followed(checked(data, "plan"), action, tmp_path)
    assert [line.removeprefix("would be ") for line in said] == lines
    assert (foreseen.done, foreseen.companions, foreseen.companion_bytes) == (
        tally.done,
        tally.companions,
        tally.companion_bytes,
    )
    if action in LINKS:
        assert (tally.done, tally.companions) == (2, 2), "those that equal a companion of the keeper"
        assert (photos / "b/1.XMP").samefile(photos / "a/1.xmp")
        assert (photos / "b/1.XMP").is_symlink() == (action == "symlink")
        assert (photos / "b/1.jpg.json").read_bytes() == b"another album"
    else:
        assert (tally.done, tally.companions) == (3, 4)
        assert lines[0].endswith(f"and 2 companions  (kept: {photos / 'a/1.jpg'})")
        assert there(photos) == ["1.aae", "1.jpg", "1.jpg.json", "1.xmp", "notes.xmp", "x.jpg", "x.mov"]
    if action == "move":
        assert there(tmp_path / "moved" / (photos / "c").relative_to("/")) == ["y.MOV", "y.jpg"]
    if action == "trash":
        assert there(tmp_path / "data/Trash/files").count("1.XMP") == 1
    if action == "delete":
        assert undone(journal).refused == {"the file was deleted and can't be restored": 7}
        return
    back = undone(journal)
    assert (back.ok, back.done, back.companions) == (True, tally.done, tally.companions)
    assert state(photos) == before
    assert not leftovers(tmp_path)
    assert not list((tmp_path / "moved").rglob("*"))


@pytest.mark.parametrize("action", ["move", "trash", "delete", "report"])
@pytest.mark.parametrize("known", [True, False])
def test_a_companion_of_two_images_and_their_images_stay(
    action: str, known: bool, photos: Path, tmp_path: Path
) -> None:
    (photos / "b/1.HEIC").write_bytes(b"an image of no cluster")
    (photos / "b/1.mov").write_bytes(b"a film")
    (photos / "a/1.mov").write_bytes(b"a film")
    before = state(photos)
    data = plan(photos / "a/1.jpg", photos / "b/1.jpg", known=False)
    lines, tally, _ = followed(data, action, tmp_path)
    assert tally.refused == {SHARED: 1}
    assert lines == [f"left alone  {photos / 'b/1.jpg'} (1.XMP of 1.HEIC): {SHARED}"]
    assert state(photos) == before


def test_a_companion_of_two_images_is_kept_with_both(photos: Path, tmp_path: Path) -> None:
    """Example: a RAW file and a JPEG that are both compared."""
    (photos / "b/1.CR2").write_bytes(b"same")
    (photos / "a/1.CR2").write_bytes(b"raw")
    before = state(photos)
    _, tally, _ = followed(
        plan(photos / "a/1.jpg", photos / "b/1.jpg", photos / "b/1.CR2", known=False), "move", tmp_path
    )
    assert tally.refused == {SHARED: 2}
    assert state(photos) == before


@pytest.mark.parametrize("merged", ["1.XMP", "1.jpg.json"])
def test_where_the_keeper_lacks_a_companion_of_that_kind_all_stay(merged: str, photos: Path, tmp_path: Path) -> None:
    kept = {"1.XMP": "1.xmp", "1.jpg.json": "1.jpg.json"}[merged]
    (photos / "a" / kept).unlink()
    before = state(photos)
    lines, tally, _ = followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    assert tally.refused == {LACKS: 1}
    assert f"({merged}): " in lines[0]
    assert state(photos) == before
    assert followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "hardlink", tmp_path)[1].ok, "nothing moves"


def test_one_kind_has_several_names(photos: Path, tmp_path: Path) -> None:
    (photos / "a/1.xmp").rename(photos / "a/1.jpg.xmp")
    (photos / "b/1.jpg.json").rename(photos / "b/1.jpg.supplemental-metadata.json")
    assert followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)[1].companions == 2


def test_json_of_takeout_is_moved_under_a_new_name_and_restored(photos: Path, tmp_path: Path) -> None:
    """If the target has a file of the same name, the image and its JSON get a number; the JSON's stem differs."""
    keep, gone, note = photos / "a/1.jpg", photos / "b/2(1).jpg", photos / "b/2.jpg(1).json"
    gone.write_bytes(keep.read_bytes())
    note.write_text("of Takeout")
    taken = tmp_path / "moved" / gone.relative_to("/")
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"of an earlier clean-up")
    before, more = state(photos), {"companion_patterns": list(DEFAULT)}
    stat = note.stat()
    file = entry(gone) | {"companions": [{"name": note.name, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}]}
    group = {"cluster": 0, "keep": [entry(keep)], "remove": [file]}
    _, tally, journal = followed(
        checked({FORMAT: VERSION, "run": "", "clusters": [group], **more}, "plan"), "move", tmp_path
    )
    assert (tally.done, tally.companions) == (1, 1), tally.refused
    assert there(taken.parent) == ["2 (2)(1).jpg", "2 (2).jpg(1).json", "2(1).jpg"]
    assert undone(journal).ok
    assert state(photos) == before


def test_an_edited_image_of_takeout_is_kept_with_its_shared_json(photos: Path, tmp_path: Path) -> None:
    for name in ("2.jpg", "2-edited.jpg", "2.jpg.json"):
        (photos / "b" / name).write_bytes((photos / "a/1.jpg").read_bytes())
    data = plan(photos / "a/1.jpg", photos / "b/2-edited.jpg", known=False)
    lines, tally, _ = followed(data, "move", tmp_path)
    assert tally.refused == {SHARED: 1}
    assert "(2.jpg.json of 2.jpg)" in lines[0]


@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("new", NEW),
        ("gone", GONE),
        ("longer", CHANGED),
        ("touched", CHANGED),
        ("link", "a companion can't be removed: the path no longer leads to a regular file"),
        ("folder", "a companion can't be removed: the path no longer leads to a regular file"),
        ("closed", "a companion can't be read (Permission denied)"),
    ],
)
def test_companions_that_change_after_the_plan_stay_with_their_image(
    action: str, change: str, reason: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, path = plan(photos / "a/1.jpg", photos / "b/1.jpg"), photos / "b/1.XMP"
    match change:
        case "new":
            (photos / "b/1.aae").touch()
        case "longer":
            path.write_bytes(b"an edit")
        case "touched":
            os.utime(path)
        case "closed":
            opened = Folder.opened

            def closed(folder: Folder, name: str) -> Any:
                if name == path.name:
                    raise PermissionError(13, "Permission denied")
                return opened(folder, name)

            monkeypatch.setattr(Folder, "opened", closed)
        case _:
            path.unlink()
            if change == "link":
                path.symlink_to(photos / "a/1.xmp")
            if change == "folder":
                path.mkdir()
    before = state(photos)
    for yes in (False, True):
        assert followed(data, action, tmp_path, yes)[1].refused == {reason: 1}
    assert state(photos) == before
    assert followed(data, "hardlink", tmp_path)[1].done == 1, "a link leaves them where they are"


@pytest.mark.parametrize("action", ACTIONS)
def test_the_choice_of_the_user(action: str, photos: Path, tmp_path: Path, reflinks: None) -> None:
    data, before = plan(photos / "a/1.jpg", photos / "b/1.jpg"), state(photos)
    tally = followed(data, action, tmp_path, companions="refuse")[1]
    assert (tally.refused, state(photos)) == ({HAS: 1}, before)
    _, tally, journal = followed(data, action, tmp_path, companions="leave")
    assert (tally.done, tally.companions) == (1, 0)
    assert {"b/1.XMP", "b/1.jpg.json"} <= state(photos).keys()
    assert undone(journal).ok == (action != "delete")


@pytest.mark.parametrize("choice", CHOICES)
def test_an_image_without_companions_is_removed_under_every_choice(choice: str, photos: Path, tmp_path: Path) -> None:
    (photos / "c/x.mov").unlink()
    (photos / "c/y.MOV").unlink()
    assert followed(plan(photos / "c/x.jpg", photos / "c/y.jpg"), "move", tmp_path, companions=choice)[1].done == 1


def test_a_raw_file_that_was_not_compared_is_a_companion(photos: Path, tmp_path: Path) -> None:
    for name in ("a/1.CR2", "b/1.cr2"):
        (photos / name).write_bytes(b"raw")
    known = plan(photos / "a/1.jpg", photos / "b/1.jpg")
    assert followed(known, "move", tmp_path, yes=False)[1].companions == 3
    unknown = plan(photos / "a/1.jpg", photos / "b/1.jpg", known=False)
    assert followed(unknown, "move", tmp_path)[1].refused == {SHARED: 1}, "it may be an image of the run"


def test_names_that_clash_get_one_number(photos: Path, tmp_path: Path) -> None:
    there = tmp_path / "moved" / (photos / "b").relative_to("/")
    there.mkdir(parents=True)
    (there / "1.jpg.json").write_bytes(b"mine")
    (there / "1 (2).XMP").write_bytes(b"mine")
    before = state(tmp_path)
    _, tally, journal = followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    assert tally.ok
    assert {"1 (3).jpg", "1 (3).XMP", "1 (3).jpg.json"} <= {path.name for path in there.iterdir()}
    assert undone(journal).ok
    journal.unlink()
    assert state(tmp_path) == before


def test_long_names_are_cut_alike(photos: Path, tmp_path: Path) -> None:
    stem = "é" * 122
    image, beside = photos / "c" / f"{stem}.jpg", photos / "c" / f"{stem}.jpg.xmp"
    image.write_bytes(b"near")
    beside.write_bytes(b"sidecar")
    (photos / "c/x.jpg.xmp").write_bytes(b"sidecar")
    there = tmp_path / "moved" / (photos / "c").relative_to("/")
    there.mkdir(parents=True)
    (there / image.name).write_bytes(b"mine")
    _, tally, journal = followed(plan(photos / "c/x.jpg", image), "move", tmp_path)
    assert tally.ok
    moved = {path.name for path in there.iterdir()} - {image.name}
    assert moved == {f"{'é' * 121} (2).jpg", f"{'é' * 121} (2).jpg.xmp"}
    assert undone(journal).ok
    assert image.read_bytes() == b"near"


@pytest.mark.parametrize("step", ["lift", "drop", "name", "clear"])
@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_a_companion_that_fails_lets_its_image_stay(
    action: str, step: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(KINDS[action], step)

    def fails(act: Any) -> None:
        if act.path.name == "1.XMP":
            raise OSError(5, "Input/output error")
        real(act)

    monkeypatch.setattr(KINDS[action], step, fails)
    before = state(photos)
    lines, tally, journal = followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert tally.refused["a companion can't be removed: Input/output error"] == 1
    assert f"{photos / 'b/1.jpg'} (1.XMP): " in lines[0]
    kept = {name: files for name, files in state(photos).items() if name.startswith("b/1")}
    assert kept == {name: files for name, files in before.items() if name.startswith("b/1")}
    assert tally.done == (1 if action in LINKS else 2), "the others go"
    assert undone(journal).ok
    assert state(photos) == before


def test_an_image_that_fails_lets_its_companions_stay(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, do = plan(photos / "a/1.jpg", photos / "b/1.jpg"), applying.do
    monkeypatch.setattr(
        applying, "do", lambda acts, folders: ((photos / "b/1.jpg").write_bytes(b"worked on"), do(acts, folders))[1]
    )
    assert followed(data, "move", tmp_path)[1].refused == {"the file was changed meanwhile": 1}
    assert (photos / "b/1.XMP").exists()
    assert not leftovers(tmp_path)


def test_a_companion_whose_path_is_taken_is_named_and_the_image_restored(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "move", tmp_path)
    (photos / "b/1.XMP").write_bytes(b"mine")
    back = undone(journal)
    assert (back.done, back.companions) == (1, 1)
    assert back.refused == {"another file has the name now": 1}
    assert (photos / "b/1.XMP").read_bytes() == b"mine"
    (photos / "b/1.XMP").unlink()
    assert undone(journal).ok
    assert (photos / "b/1.XMP").read_bytes() == b"sidecar"


def test_a_companion_that_is_a_link_already_is_kept(photos: Path, tmp_path: Path) -> None:
    (photos / "b/1.XMP").unlink()
    (photos / "b/1.XMP").hardlink_to(photos / "a/1.xmp")
    assert followed(plan(photos / "a/1.jpg", photos / "b/1.jpg"), "hardlink", tmp_path)[1].companions == 0


def test_folders_are_listed_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "GROUP", 1)
    listed: Counter[Path] = Counter()
    real = Folder.names
    monkeypatch.setattr(Folder, "names", lambda folder: (listed.update([folder.path]), real(folder))[1])
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 3
    assert listed == {photos / name: 1 for name in "abc"}


def test_a_name_that_is_not_utf8(photos: Path, tmp_path: Path) -> None:
    beside = odd(photos).with_suffix(".AAE")
    name = os.fsencode(beside.name).decode("utf-8", "backslashreplace")
    file = entry(odd(photos)) | {
        "companions": [{"name": name, "bytes": beside.stat().st_size, "mtime_ns": beside.stat().st_mtime_ns}]
    }
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [file]}
    data = {FORMAT: VERSION, "clusters": [group], "companion_patterns": list(DEFAULT)}
    lines, tally, _ = followed(checked(data, "plan"), "move", tmp_path)
    assert (tally.done, tally.companions) == (1, 1), lines
    assert not beside.exists()


def test_patterns_of_the_plan_count(photos: Path, tmp_path: Path) -> None:
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "b/1.jpg")]}
    data = {FORMAT: VERSION, "clusters": [group], "companion_patterns": []}
    assert followed(checked(data, "plan"), "move", tmp_path)[1].companions == 0
    assert (photos / "b/1.XMP").exists()
    assert finding.LISTINGS > 1
