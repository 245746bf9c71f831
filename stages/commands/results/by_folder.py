"""Count by folder the images to remove, or the removed images."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.messages.words import counted
from pipeline.store.backends.locations import place
from stages.clustering.live import per_folder
from stages.commands.results.tables import Results, load_run
from stages.comparing.text import human_bytes, one_line

SHOWN = 20
"""Greatest number of folders that a summary lists, those with the most bytes first."""


@dataclass(frozen=True)
class FolderCount:
    """Number and bytes of the removed images of a folder.

    removed  number of the removed images
    images   number of the run's images in this folder; None where unknown
    whole    all images of the folder and its subfolders are removed, and the counts include the subfolders"""

    folder: str
    removed: int
    images: int | None
    bytes: int
    whole: bool = False


def by_folder(files: Iterable[tuple[str, int]], images: Mapping[str, int]) -> list[FolderCount]:
    """Return the folders of removed images, which are given as path and bytes; see `folder_counts`."""
    found: dict[str, tuple[int, int]] = {}
    for path, size in files:
        folder = path.rpartition("/")[0]
        count, total = found.get(folder, (0, 0))
        found[folder] = count + 1, total + size
    return folder_counts(found, images)


def folder_counts(files: Mapping[str, tuple[int, int]], images: Mapping[str, int]) -> list[FolderCount]:
    """Return counts by folder, those with the most bytes first.

    If all images of a folder and its subfolders are removed, the subfolders have no rows of their own.

    files   number and bytes of the removed images in each folder, without subfolders
    images  number of the run's images in each folder; empty where the run is unknown"""
    removed, size = ({folder: both[place] for folder, both in files.items()} for place in (0, 1))
    of_tree, tree, tree_size = (_sums(counts) for counts in (images, removed, size))
    whole = {folder for folder, count in tree.items() if count == of_tree.get(folder)}
    found: dict[str, FolderCount] = {}
    for folder in removed:
        top = folder
        while top in whole and "/" in top and top.rpartition("/")[0] in whole:
            top = top.rpartition("/")[0]
        if top in whole:
            several = of_tree[top] > images.get(top, 0)
            found[top] = FolderCount(top, tree[top], of_tree[top], tree_size[top], several)
        else:
            found[folder] = FolderCount(folder, removed[folder], images.get(folder), size[folder])
    return sorted(found.values(), key=lambda each: (-each.bytes, each.folder))


def _sums(counts: Mapping[str, int]) -> Counter[str]:
    """Return the sums of counts over each folder's subtree."""
    sums: Counter[str] = Counter()
    for folder, count in counts.items():
        sums[folder] += count
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            sums[folder] += count
    return sums


def folder_lines(found: Sequence[FolderCount], outcome: str) -> Iterator[str]:
    """Yield a line per folder.

    outcome  the end of a sentence about the images, such as `would be removed`"""
    for each in found[:SHOWN]:
        of = "" if each.images is None else f"of {each.images:,} "
        folder = one_line(each.folder or "/") + (" and its subfolders" if each.whole else "")
        yield f"  {each.removed:,} {of}images of {folder} {outcome}, {human_bytes(each.bytes)}"
    if rest := found[SHOWN:]:
        files, size = sum(each.removed for each in rest), sum(each.bytes for each in rest)
        yield f"  {files:,} images of {counted(len(rest), 'more folder')} {outcome}, {human_bytes(size)}"


def as_records(found: Sequence[FolderCount]) -> list[dict[str, Any]]:
    """Return plain data for scripts; the key of `removed` is `going`."""
    return [{"going" if name == "removed" else name: value for name, value in asdict(each).items()} for each in found]


def images_per_folder(results: Results) -> Counter[str]:
    """Return the number of a run's images in each folder, unreadable images included.

    Raises ConfigError."""
    return per_folder(table["path"] for table in results.tables("thumbnail", ("path",)))


def known_images(run: str) -> Counter[str]:
    """Return `images_per_folder` of a run's folder; empty where the run is gone."""
    with contextlib.suppress(Exception):  # object-store libraries raise errors of any kind
        return images_per_folder(load_run(place(run))) if run else Counter()
    return Counter()
