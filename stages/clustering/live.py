"""Decide which of several folders is in use, and which is a backup.

A picture counts for the folder with its best file, judged by the keeper rules before `live`. A picture without a copy
counts for its folder; a picture with worse copies counts for the folder of the best file; a picture with equal copies
in two folders counts for no folder. Of two folders, the folder with more counted pictures is in use. For nested
folders, the outermost folders in which the paths differ are compared, including all subfolders, since a backup repeats
the folders of its source."""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


def per_folder(paths: Iterable[pa.ChunkedArray]) -> Counter[str]:
    """Return the number of images in each folder."""
    found: Counter[str] = Counter()
    for column in paths:
        for row in pc.value_counts(folders_of(column)).to_pylist():
            found[row["values"]] += row["counts"]
    return found


def folders_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the folder of each image."""
    return pc.replace_substring_regex(paths, r"/[^/]*\z", "")


def less_live(folders: Sequence[str], family: Ints, best: Mask, images: Mapping[str, int]) -> Ints:
    """Return how many folders of an image's family rank above the image's folder, int64 (n,).

    folders  the folder of each image
    family   number of each image's connected component of matches
    best     images that no image of their family beats
    images   number of the run's images in each folder"""
    names = sorted(set(folders))
    numbers = {name: number for number, name in enumerate(names)}
    folder = np.array([numbers[name] for name in folders], np.int64)
    place = np.zeros(len(folder), np.int64)
    first, last = _ends(family, folder)
    rows = np.flatnonzero(first[family] < last[family])
    if not len(rows):
        return place
    own = Counter(images)
    own.subtract(folders)
    first, last = _ends(family[best], folder[best])
    own.update(names[number] for number in first[first == last].tolist())
    totals = _below(own)
    rows = rows[np.lexsort([folder[rows], family[rows]])]
    ranked: dict[tuple[int, ...], dict[int, int]] = {}
    members = folder[rows].tolist()
    found: list[int] = []
    for _, group in itertools.groupby(zip(family[rows].tolist(), members, strict=True), key=operator.itemgetter(0)):
        here = [number for _, number in group]
        which = tuple(dict.fromkeys(here))
        if which not in ranked:
            keys = _keys([names[number] for number in which], own, totals)
            order = sorted(set(keys))
            ranked[which] = {number: order.index(key) for number, key in zip(which, keys, strict=True)}
        found += map(ranked[which].__getitem__, here)
    place[rows] = found
    return place


def _ends(group: Ints, folder: Ints) -> tuple[Ints, Ints]:
    """Return the least and the greatest folder number of each group, int64 (groups,)."""
    count = int(group.max(initial=-1)) + 1
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(first, group, folder)
    np.maximum.at(last, group, folder)
    return first, last


def _below(own: Mapping[str, int]) -> Counter[str]:
    """Return the number of pictures in and below each folder."""
    found: Counter[str] = Counter()
    for folder, count in own.items():
        parts = folder.split("/")
        for end in range(1, len(parts) + 1) if count else ():
            found["/".join(parts[:end])] += count
    return found


def _keys(folders: Sequence[str], own: Mapping[str, int], totals: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Return the sort key of each folder, equal for folders that tie.

    The folders are grouped by the first name in their paths that differs, and each group again by the next name.
    Groups with equal numbers of pictures are not divided further: all of their folders tie."""
    keys: dict[str, tuple[int, ...]] = dict.fromkeys(folders, ())

    def rank(group: Sequence[str], depth: int) -> None:
        parts: dict[str, list[str]] = {}
        for folder in group:
            names = folder.split("/")
            parts.setdefault("/".join(names[:depth]) if len(names) >= depth else f"{folder}/", []).append(folder)
        # the folder around the group, if compared, counts without its subfolders
        counts = {part: own.get(part[:-1], 0) if part.endswith("/") else totals.get(part, 0) for part in parts}
        ties = Counter(counts.values())
        for part, members in parts.items():
            if len(parts) > 1:
                for folder in members:
                    keys[folder] += (-counts[part],)
            if len(members) > 1 and ties[counts[part]] == 1:
                rank(members, depth + 1)

    rank(folders, 1)
    return [keys[folder] for folder in folders]
