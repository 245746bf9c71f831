"""Arrange the folders that share the most images in a triangle, for the page."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST = 16
"""Greatest number of folders in the triangle."""
TINTS = 9
"""Number of tints of cells, from the faintest tint for the smallest shares to the strongest tint for all images."""


class Cell(NamedTuple):
    """The images that two folders share.

    a, b   numbers of the folders in the triangle: of the row and of the column
    text   the shares of shared images in both folders, as percentages
    title  the counts of shared images, in words
    tint   1 to TINTS"""

    a: int
    b: int
    text: str
    title: str
    tint: int


class Triangle(NamedTuple):
    """Folders in a triangle.

    folders  paths of the folders
    names    the paths without their common part
    rows     a row for each folder: a cell or None for each earlier folder
    left     number of further pairs of folders that share images"""

    folders: list[str]
    names: list[str]
    rows: list[list[Cell | None]]
    left: int


def triangle(table: pa.Table) -> Triangle | None:
    """Return the folders that share the most images; None for an empty table.

    table  see `stages.report.folders`

    Pairs of nested folders are left out, unless all pairs are nested."""
    names = zip(*(table[f"folder_{side}"].to_pylist() for side in "ab"), strict=True)
    separate = np.array([not b.startswith(f"{a.rstrip('/')}/") for a, b in names], bool)
    pairs, table = len(table), table.filter(pa.array(separate | ~separate.any()))
    most = np.maximum(table["shared_a"].to_numpy(), table["shared_b"].to_numpy())
    chosen: dict[str, None] = {}
    for row in table.take(pa.array(np.argsort(-most, kind="stable")[: MOST * MOST])).to_pylist():
        pair = {row["folder_a"], row["folder_b"]}
        if len(chosen.keys() | pair) <= MOST:
            chosen |= dict.fromkeys(pair)
    if not chosen:
        return None
    folders = sorted(chosen, key=lambda name: name.split("/"))
    known = pa.array(folders, pa.string())
    both = pc.and_(*(pc.is_in(table[f"folder_{side}"], known) for side in "ab"))
    place = {name: number for number, name in enumerate(folders)}
    short = _without_common_part(folders)
    rows: list[list[Cell | None]] = [[None] * number for number in range(len(folders))]
    shown = table.filter(both).to_pylist()
    for row in shown:
        b, a = place[row["folder_a"]], place[row["folder_b"]]
        rows[a][b] = _cell(row, a, b, short)
    return Triangle(folders, short, rows, pairs - len(shown))


def _cell(row: dict[str, Any], a: int, b: int, names: list[str]) -> Cell:
    """Return a cell of the triangle, in the row of `folder_b`, the later folder, and the column of `folder_a`."""
    shares = [row[f"shared_{side}"] / max(1, row[f"images_{side}"]) for side in "ba"]
    texts = [f"{int(100 * share)}" if share == 0 or share >= 0.01 else "<1" for share in shares]
    title = (
        f"{row['shared_b']:,} of {row['images_b']:,} images of {names[a]} are in {names[b]}, "
        f"{row['shared_a']:,} of {row['images_a']:,} images of {names[b]} are in {names[a]}"
    )
    return Cell(a, b, f"{texts[0]} % · {texts[1]} %", title, max(1, round(TINTS * max(shares))))


def _without_common_part(names: list[str]) -> list[str]:
    """Return the names without the folders that all names begin with."""
    parts = [name.split("/") for name in names]
    alike = 0
    while all(len(each) > alike + 1 and each[alike] == parts[0][alike] for each in parts):
        alike += 1
    return ["/".join(each[alike:]) or "/" for each in parts]
