"""Choose pairs of folders that share images, and format them as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.messages.words import counted, verb
from stages.commands.results.names import folder_named
from stages.commands.results.tables import Results
from stages.comparing.text import human_bytes, one_line

SHOWN = 20
"""Pairs of folders that are printed without --verbose."""
NAMED = 3
"""Unreadable images that a line names."""


@dataclass(frozen=True)
class SharingFolders:
    """Pairs of folders that share images.

    pairs       rows of `Results.folders`, those with the most shared bytes first, nested folders last; `folder_a` is
                the folder asked for
    unreadable  unreadable images below the folders of `pairs`
    asked       the folders asked for"""

    pairs: pd.DataFrame
    unreadable: Sequence[str]
    asked: Sequence[str]


def chosen(results: Results, a: str | None, b: str | None) -> SharingFolders:
    """Return the pairs of two folders, or of one folder with any other folder, or all pairs.

    Raises ConfigError."""
    pairs = results.folders()
    asked: list[str] = []
    if a is not None:
        images = [path for table in results.tables("thumbnail", ("path",)) for path in table["path"].to_pylist()]
        asked = [folder_named(name, images) for name in (a, b) if name is not None]
        forth, back = _lie(pairs, "a", "b", *asked), _lie(pairs, "b", "a", *asked)
        pairs = pd.concat([pairs[forth], _swapped(pairs[back & ~forth])])
    nested = [below(a, b) or below(b, a) for a, b in zip(pairs["folder_a"], pairs["folder_b"], strict=True)]
    most = pairs[["bytes_a", "bytes_b"]].max(axis=1)
    order = pairs.assign(nested=nested, most=-most).sort_values(["nested", "most", "folder_a", "folder_b"]).index
    pairs = pairs.loc[order].reset_index(drop=True)
    failed = results.failures()["path"].tolist()
    folders = {*pairs["folder_a"], *pairs["folder_b"]}
    return SharingFolders(pairs, [path for path in failed if not folders.isdisjoint(_around(path))], asked)


def below(path: str, folder: str) -> bool:
    """Return whether a path is a folder, or lies below the folder."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _lie(pairs: pd.DataFrame, one: str, other: str, a: str, b: str | None = None) -> pd.Series[bool]:
    """Return which rows are about a folder in `a` and a folder in `b`.

    If one of `a` and `b` lies inside the other, the outer folder counts without the inner one."""
    firsts, seconds = pairs[f"folder_{one}"], pairs[f"folder_{other}"]
    found = firsts.map(lambda folder: below(folder, a)).astype(bool)
    if b is not None:
        found &= seconds.map(lambda folder: below(folder, b)).astype(bool)
        found &= ~(firsts.map(lambda folder: below(folder, b)).astype(bool) & below(b, a))
        found &= ~(seconds.map(lambda folder: below(folder, a)).astype(bool) & below(a, b))
    return found


def _swapped(pairs: pd.DataFrame) -> pd.DataFrame:
    other = {"a": "b", "b": "a"}
    return pairs.rename(columns={name: name[:-1] + other[name[-1]] for name in pairs.columns})[pairs.columns]


def as_dict(found: SharingFolders) -> dict[str, Any]:
    """Return plain data for scripts; see `contained`."""
    return {
        "contained": contained(found.pairs).to_dict("records"),
        "pairs": found.pairs.to_dict("records"),
        "unreadable": list(found.unreadable),
    }


def contained(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return folders whose images are all in another folder.

    All of the returned folders may be removed together.

    Each folder comes once, without the folders inside it. Its `other` is the folder with the most identical images,
    then with the fewest images. No folder is the `other` of one row and the `folder` of another row.
    Columns: folder, other, images, identical, near, bytes, mutual (the images of `other` are in `folder`, too).
    A folder that holds `other` counts without `other`; such pairs come last."""
    rows = pd.concat([each[each["contained_a"]] for each in (pairs, _swapped(pairs))])
    nested = [below(a, b) for a, b in zip(rows["folder_a"], rows["folder_b"], strict=True)]
    order = ["nested", "bytes_a", "folder_a", "identical_a", "images_b", "folder_b"]
    rows = rows.assign(nested=nested).sort_values(order, ascending=[True, False, True, False, True, True])
    removed, others = _Marked(), _Marked()
    kept = []
    for row, (a, b) in enumerate(zip(rows["folder_a"], rows["folder_b"], strict=True)):
        if removed.touches(a) or others.touches(a) or removed.touches(b):
            continue
        kept.append(row)
        removed.add(a)
        others.add(b)
    names = {"folder_a": "folder", "folder_b": "other", "contained_b": "mutual"}
    names |= {f"{name}_a": name for name in ("images", "identical", "near", "bytes")}
    found: pd.DataFrame = rows.iloc[kept].rename(columns=names)[[*names.values()]].reset_index(drop=True)
    return found


class _Marked:
    """Folders that are marked, and the folders around them."""

    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._around: set[str] = set()

    def add(self, folder: str) -> None:
        self._folders.add(folder)
        self._around.update(_around(folder))

    def touches(self, folder: str) -> bool:
        """Return whether a folder, a folder around it or a folder inside it is marked."""
        return folder in self._folders or folder in self._around or not self._folders.isdisjoint(_around(folder))


def _around(folder: str) -> Iterator[str]:
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        yield folder or "/"


def lines(found: SharingFolders, verbose: bool) -> Iterator[str]:
    """Yield contained folders, then pairs of folders, then unreadable images."""
    pairs = found.pairs
    if pairs.empty:
        one, *other = [one_line(name) for name in found.asked] or ["one folder", "another folder"]
        yield f"no image of {one} matches an image of {other[0] if other else 'another folder'}"
    yield from map(_contained, contained(pairs).to_dict("records"))
    for row in pairs[: None if verbose else SHOWN].to_dict("records"):
        yield from _pair(row)
    if len(pairs) > SHOWN and not verbose:
        yield f"and {counted(len(pairs) - SHOWN, 'more pair')} of folders; --verbose and --json list all"
    for path in found.unreadable[: None if verbose else NAMED]:
        yield f"unreadable  {one_line(path)}: no folder with this image is proved contained"
    if len(found.unreadable) > NAMED and not verbose:
        yield f"unreadable  {counted(len(found.unreadable) - NAMED, 'more image')}; see fast-diff failures"


def _contained(row: dict[Any, Any]) -> str:
    """Return the line of a contained folder."""
    folder, other, images = one_line(row["folder"]), one_line(row["other"]), counted(row["images"], "image")
    about = f"{row['identical']:,} identical, {row['near']:,} near, {human_bytes(row['bytes'])}"
    if below(row["other"], row["folder"]):
        return f"contained   all {images} of {folder} outside {other} are in {other} ({about}): removable"
    if below(row["folder"], row["other"]):
        return f"contained   all {images} of {folder} are elsewhere in {other} ({about}): removable"
    if row["mutual"]:
        return f"same        {folder} and {other} have the same images ({images}: {about}): one folder is removable"
    return f"contained   all {images} of {folder} are in {other} ({about}): removable"


def _pair(row: dict[Any, Any]) -> Iterator[str]:
    """Yield the lines of a pair of folders.

    The lines give the share of each folder that is in the other folder, and the images that no other folder has."""
    yield f"pair        {one_line(row['folder_a'])} | {one_line(row['folder_b'])}"
    for side, this, that in (("a", "first", "second"), ("b", "second", "first")):
        shared, images = row[f"shared_{side}"], row[f"images_{side}"]
        share = f"{100 * shared // images} %" if images else "0 %"
        about = f"{row[f'identical_{side}']:,} identical, {row[f'near_{side}']:,} near"
        outer = below(row[f"folder_{'ba'[side == 'b']}"], row[f"folder_{side}"])
        alone = "" if outer else f"; {row[f'alone_{side}']:,} nowhere else"
        failed = f"; {counted(row[f'unreadable_{side}'], 'image')} unreadable" if row[f"unreadable_{side}"] else ""
        yield (
            f"  {share:>5}  {shared:,} of {images:,} images of the {this} {verb(shared, 'is', 'are')} in the {that} "
            f"({about}, {human_bytes(row[f'bytes_{side}'])}){alone}{failed}"
        )
