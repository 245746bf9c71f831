"""Names that are not taken, and that are short enough for the file system."""

import shutil
from pathlib import Path

import pytest

from stages.commands.apply.acts import names
from tests.stages.commands.apply.acting import followed, one, state, undone


@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "ä" * 125 + "x.jpg", "日" * 83 + ".jpeg", "x." + "y" * 253])
@pytest.mark.parametrize("action", ["trash", "move"])
def test_names_of_the_greatest_length_are_moved_and_restored(
    action: str, name: str, photos: Path, tmp_path: Path
) -> None:
    """A file with such a name goes to the trash, or to a folder that already has a file of the same name."""
    keep, remove = photos / "a/1.jpg", photos / "b" / name
    shutil.copy(keep, remove)
    there = tmp_path / "moved" / remove.relative_to("/")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    before = state(photos)
    for _ in range(2):
        _, tally, journal = followed(one(keep, remove), action, tmp_path)
        assert tally.ok, tally.refused
        assert not remove.exists()
        for path in (tmp_path / "data", tmp_path / "moved"):
            for found in path.rglob("*"):
                found.name.encode().decode()
        assert undone(journal).ok
        assert state(photos) == before
        journal.unlink()
    assert there.read_bytes() == b"mine"


def test_the_first_name_that_is_free_is_taken() -> None:
    assert names.free("a.jpg", {"b.jpg"}.__contains__) == "a.jpg"
    assert names.free("a.jpg", {"a.jpg"}.__contains__) == "a (2).jpg"
    assert names.free("a.jpg", {"a.jpg", "a (2).jpg"}.__contains__) == "a (3).jpg"


def test_names_are_cut_before_the_letter_that_has_no_room() -> None:
    assert names.numbered("abcd.jpg", 1, 8) == "abcd.jpg"
    assert names.numbered("aåbc.jpg", 1, 6) == "a.jpg"
    assert names.numbered("a日bc.jpg", 1, 6) == names.numbered("a日bc.jpg", 1, 7) == "a.jpg"
    assert names.numbered("\udc80\udc80\udc80.jpg", 1, 6) == ".jpg"


def test_numbered_names_keep_their_ending_and_are_cut_between_letters() -> None:
    assert names.numbered("a.jpg", 1) == "a.jpg"
    assert names.numbered("a.jpg", 2) == "a (2).jpg"
    assert names.numbered("abcdefgh.jpg", 2, 12) == "abcd (2).jpg"
    assert names.numbered("äbcd.jpg", 1, 5) == ".jpg"
    assert names.numbered("aäbc.jpg", 1, 6) == "a.jpg"
    assert names.numbered("aäbc.jpg", 1, 7) == "aä.jpg"
    assert names.numbered("x." + "y" * 20, 2, 30) == "x. (2)".replace(". (2)", "") + ("." + "y" * 20)[:24] + " (2)"
    assert names.numbered("x." + "y" * 19, 2, 40) == "x (2)." + "y" * 19
