"""Summarize by folder how many images would go, or have gone."""

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
"""Folders that a summary lists, those with the most bytes first."""


@dataclass(frozen=True)
class FolderCount:
    """Number and bytes of a folder's files that go.

    `images`: number of the run's images in this folder, None where unknown; `whole`: the counts include the
    subfolders, whose images all go, too."""

    folder: str
    going: int
    images: int | None
    bytes: int
    whole: bool = False


def by_folder(files: Iterable[tuple[str, int]], images: Mapping[str, int]) -> list[FolderCount]:
    """Return the folders of files, given as path and bytes; see `folder_counts`."""
    found: dict[str, tuple[int, int]] = {}
    for path, size in files:
        folder = path.rpartition("/")[0]
        count, total = found.get(folder, (0, 0))
        found[folder] = count + 1, total + size
    return folder_counts(found, images)


def folder_counts(files: Mapping[str, tuple[int, int]], images: Mapping[str, int]) -> list[FolderCount]:
    """Return folders, largest first, from number and bytes of files by folder.

    A folder whose images all go, those of its subfolders included, is one row with its subfolders. `images`: number of
    the run's images in each folder; empty where the run is unknown."""
    going, size = ({folder: both[place] for folder, both in files.items()} for place in (0, 1))
    of_tree, tree, tree_size = (_sums(counts) for counts in (images, going, size))
    whole = {folder for folder, count in tree.items() if count == of_tree.get(folder)}
    found: dict[str, FolderCount] = {}
    for folder in going:
        top = folder
        while top in whole and "/" in top and top.rpartition("/")[0] in whole:
            top = top.rpartition("/")[0]
        if top in whole:
            several = of_tree[top] > images.get(top, 0)
            found[top] = FolderCount(top, tree[top], of_tree[top], tree_size[top], several)
        else:
            found[folder] = FolderCount(folder, going[folder], images.get(folder), size[folder])
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


def folder_lines(found: Sequence[FolderCount], said: str) -> Iterator[str]:
    """Yield a line per folder; `said`: what happens to the files, such as "would go"."""
    for each in found[:SHOWN]:
        of = "" if each.images is None else f"of {each.images:,} "
        tree = " and its subfolders" if each.whole else ""
        yield f"  {each.going:,} {of}images of {one_line(each.folder or '/')}{tree} {said}, {human_bytes(each.bytes)}"
    if rest := found[SHOWN:]:
        files, size = sum(each.going for each in rest), sum(each.bytes for each in rest)
        yield f"  {files:,} images of {counted(len(rest), 'more folder')} {said}, {human_bytes(size)}"


def as_records(found: Sequence[FolderCount]) -> list[dict[str, Any]]:
    """Return plain data for scripts."""
    return [asdict(each) for each in found]


def images_per_folder(results: Results) -> Counter[str]:
    """Return the number of a run's images in each folder, unreadable images included.

    Raises ConfigError."""
    return per_folder(table["path"] for table in results.tables("thumbnail", ("path",)))


def known_images(run: str) -> Counter[str]:
    """Return `images_per_folder` of a run's folder; empty where the run is gone."""
    with contextlib.suppress(Exception):  # object-store libraries raise errors of any kind
        return images_per_folder(load_run(place(run))) if run else Counter()
    return Counter()
