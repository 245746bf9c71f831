"""Which contained folders are named, and in which words."""

import numpy as np
import pandas as pd

from stages.commands.folders.lines import SHOWN, SharingFolders, below, contained, lines
from stages.report.folders import SCHEMA


def pairs(*rows: tuple[str, str, bool, bool]) -> pd.DataFrame:
    """Return rows of the table: two folders, and whether each folder is contained in the other."""
    whole = {name: np.ones(len(rows), np.int64) for name in SCHEMA.names}
    names = ("folder_a", "folder_b", "contained_a", "contained_b")
    zero = {name: np.zeros(len(rows), np.int64) for name in ("unreadable_a", "unreadable_b", "near_a", "near_b")}
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return pd.DataFrame(whole | zero | columns)


def said(*rows: tuple[str, str, bool, bool]) -> list[str]:
    found = SharingFolders(pairs(*rows), (), ())
    return [line.partition(" (")[0] for line in lines(found, False) if line.startswith(("same", "contained"))]


def test_a_folder_in_a_contained_folder_is_left_out() -> None:
    assert said(("/b", "/p", True, False), ("/b/1", "/p/1", True, False), ("/bb", "/p", True, False)) == [
        "contained   all 1 image of /b are in /p",
        "contained   all 1 image of /bb are in /p",
    ]


def test_the_smallest_folder_with_the_most_identical_images_is_named() -> None:
    table = pairs(("/b", "/p", True, False), ("/b", "/q", True, False), ("/b", "/r", True, False))
    table["images_b"] = [5, 3, 1]
    table["identical_a"] = [1, 1, 0]
    assert contained(table)[["folder", "other"]].to_numpy().tolist() == [["/b", "/q"]]


def test_named_folders_may_go_together() -> None:
    """Of three folders with the same images, two may be removed; but not two that hold each other's last images."""
    three = pairs(("/a", "/b", True, True), ("/a", "/c", True, True), ("/b", "/c", True, True))
    assert set(contained(three)["folder"]).isdisjoint(contained(three)["other"])
    chain = said(("/a", "/b", True, False), ("/b", "/c/d", True, False), ("/c", "/e", True, False))
    assert chain == ["contained   all 1 image of /a are in /b", "contained   all 1 image of /c are in /e"]
    around = said(("/a", "/b/c", True, False), ("/b", "/d", True, False))
    assert around == ["contained   all 1 image of /a are in /b/c"]
    elsewhere = said(("/top", "/top/x", False, True), ("/top/a", "/top/x", True, False))
    assert elsewhere == ["contained   all 1 image of /top/a are in /top/x"]


def test_folders_with_the_same_images_are_named_once() -> None:
    assert said(("/a", "/b", True, True)) == ["same        /a and /b have the same images"]


def test_a_folder_around_the_other_one_counts_without_it() -> None:
    assert said(("/a", "/a/b", True, False)) == ["contained   all 1 image of /a outside /a/b are in /a/b"]
    assert said(("/a", "/a/b", False, True)) == ["contained   all 1 image of /a/b are elsewhere in /a"]
    assert said(("/a", "/a/b", True, False), ("/a/b", "/c", True, False)) == [
        "contained   all 1 image of /a outside /a/b are in /a/b"
    ]


def test_many_pairs_and_unreadable_images_are_cut_unless_all_are_wanted() -> None:
    rows = [(f"/{n:02}", "/z", False, False) for n in range(SHOWN + 2)]
    found = SharingFolders(pairs(*rows), [f"/00/{n}" for n in range(5)], ())
    short, whole = list(lines(found, False)), list(lines(found, True))
    assert sum(line.startswith("pair ") for line in short) == SHOWN
    assert "and 2 more pairs of folders; --verbose and --json list all" in short
    assert "unreadable  2 more images; see fast-diff failures" in short
    assert sum(line.startswith("pair ") for line in whole) == SHOWN + 2
    assert sum(line.startswith("unreadable") for line in whole) == 5


def test_below() -> None:
    assert below("/a/b", "/a")
    assert below("/a", "/a")
    assert below("/a", "/")
    assert not below("/ab", "/a")
