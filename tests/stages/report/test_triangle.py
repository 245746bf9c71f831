"""The triangle of folders on the page."""

import pyarrow as pa

from stages.report.folders import SCHEMA
from stages.report.triangle import MOST, TINTS, triangle


def table(*rows: tuple[str, str, int, int, int, int]) -> pa.Table:
    """Return a table: pairs of folders, the images of both, and the number of shared images."""
    names = ("folder_a", "folder_b", "images_a", "images_b", "shared_a", "shared_b")
    plain = dict.fromkeys(SCHEMA.names, 0) | {"contained_a": False, "contained_b": False}
    return pa.Table.from_pylist([plain | dict(zip(names, row, strict=True)) for row in rows], SCHEMA)


def test_a_cell_has_both_shares_of_the_later_folder_first() -> None:
    found = triangle(table(("/p/a", "/p/b", 10, 400, 10, 1), ("/p/b", "/q", 400, 7, 200, 0)))
    assert found is not None
    assert (found.folders, found.names, found.left) == (["/p/a", "/p/b", "/q"], ["p/a", "p/b", "q"], 0)
    (first,) = found.rows[1]
    assert first is not None
    assert (first.a, first.b, first.text, first.tint) == (1, 0, "<1 % · 100 %", TINTS)
    assert first.title == "1 of 400 images of p/b are in p/a, 10 of 10 images of p/a are in p/b"
    assert [cell and cell.text for cell in found.rows[2]] == [None, "0 % · 50 %"]


def test_nested_folders_come_only_where_there_are_no_others() -> None:
    found = triangle(table(("/p", "/p/a", 9, 9, 9, 9), ("/p/a", "/p/b", 9, 9, 1, 1)))
    assert found is not None
    assert (found.names, found.left) == (["a", "b"], 1)
    found = triangle(table(("/p", "/p/a", 9, 9, 9, 9)))
    assert found is not None
    assert (found.names, found.left) == (["p", "p/a"], 0)


def test_the_folders_that_share_most_are_chosen() -> None:
    rows = [(f"/{n:02}/x", f"/{n:02}/y", 99, 99, n + 1, 1) for n in range(MOST)]
    found = triangle(table(*rows))
    assert found is not None
    assert (len(found.folders), found.left) == (MOST, MOST // 2)
    assert f"/{MOST - 1:02}/x" in found.folders
    assert "/00/x" not in found.folders


def test_nothing_shared() -> None:
    assert triangle(table()) is None
