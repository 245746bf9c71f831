"""Count the images that folders share, for whole subtrees.

Folders are numbered so that a subtree is a range: the subtree of f holds the folders f, f + 1, ..., end[f] - 1. Images
come in bundles: all images of a bundle match images in the same folders. Folder A shares an image with folder B if the
image lies in the subtree of A and matches an image in the subtree of B. If one of the two folders lies inside the
other, the outer folder is taken without the subtree of the inner folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

PRODUCT = 1 << 20
"""Greatest number of pairs of folders that one bundle may add to the table. A bundle with more pairs adds no rows, and
is counted only in rows that other bundles add: images in thousands of folders would add a row for every two folders."""
TOGETHER = 1 << 12
"""Number of bundles that are counted together."""
WAITING = 1 << 22
"""Number of pairs of folders that are collected before equal pairs are merged."""


@dataclass(frozen=True)
class Tree:
    """Folders in an order in which each subtree is a range.

    parent  the folder around each folder, int64 (n,); -1 for a top"""

    parent: Ints

    @cached_property
    def end(self) -> Ints:
        """Return the number after the last folder of each subtree, int64 (n,)."""
        end = np.arange(1, len(self.parent) + 1)
        for folder in range(len(end) - 1, -1, -1):
            if (above := self.parent[folder]) >= 0:
                end[above] = max(end[above], end[folder])
        return end

    def sums(self, values: Ints) -> Ints:
        """Return the sum of values over each folder's subtree, int64 (n,)."""
        before = np.concatenate([[0], np.cumsum(values)])
        sums: Ints = before[self.end] - before[:-1]
        return sums

    def upward(self, keys: Ints, *values: Ints) -> tuple[Ints, list[Ints]]:
        """Return keys and their ancestors, sorted, with the sums of `values` by subtree.

        keys    folder + k * number of folders, int64 (m,); each k has its own sums
        values  int64 (m,) each"""
        count = max(1, len(self.parent))
        parts, columns = [keys], [[column] for column in values]
        while len(keys):
            folders = keys % count
            above = self.parent[folders]
            has_parent = above >= 0
            keys, values = (keys - folders + above)[has_parent], tuple(column[has_parent] for column in values)
            parts.append(keys)
            for column, part in zip(columns, values, strict=True):
                column.append(part)
        nodes, place = np.unique(np.concatenate(parts), return_inverse=True)
        sums = [np.zeros(len(nodes), np.int64) for _ in columns]
        for total, column in zip(sums, columns, strict=True):
            np.add.at(total, place, np.concatenate(column))
        return nodes, sums


class Bundle(NamedTuple):
    """Images that match images in the same folders.

    folders    the folders of the images, ascending, int64 (m,)
    images     number of images in each of `folders`, int64 (m,)
    bytes      bytes of these images, int64 (m,)
    matched    the folders of the matching images, ascending, int64 (k,)
    identical  for each folder of `matched`, whether the folder holds a match at distance 0, bool (k,)"""

    folders: Ints
    images: Ints
    bytes: Ints
    matched: Ints
    identical: Mask


class SharedImages(NamedTuple):
    """Ordered pairs of folders that share images, sorted.

    a, b       folders, int64 (n,)
    images     number of images of a that are shared with b, int64 (n,)
    identical  of these, the images with a match in b at distance 0, int64 (n,)
    bytes      bytes of the shared images, int64 (n,)
    elsewhere  number of images in each folder's subtree that match an image outside the subtree, int64 (folders,)"""

    a: Ints
    b: Ints
    images: Ints
    identical: Ints
    bytes: Ints
    elsewhere: Ints


def shared(tree: Tree, bundles: Iterable[Bundle]) -> SharedImages:
    """Return how many images each folder shares with each other folder."""
    count = max(1, len(tree.parent))
    table, large = _Table(), []
    elsewhere = np.zeros(len(tree.parent), np.int64)
    waiting = iter(bundles)
    while some := list(itertools.islice(waiting, TOGETHER)):
        sides = _Sides.of(tree, some)
        outside = _at(sides.b, sides.near, sides.a) < sides.matched[sides.a // count]
        np.add.at(elsewhere, sides.a % count, np.where(outside, sides.images, 0))
        sizes_a, sizes_b = (np.bincount(keys // count, minlength=len(some)) for keys in (sides.a, sides.b))
        products = sizes_a * sizes_b
        large += [some[number] for number in np.flatnonzero(products > PRODUCT).tolist()]
        products[products > PRODUCT] = 0
        for numbers in _runs(products):
            rows = np.repeat(numbers, products[numbers])
            place = np.arange(len(rows)) - np.repeat(
                np.cumsum(products[numbers]) - products[numbers], products[numbers]
            )
            i = sides.a[(np.cumsum(sizes_a) - sizes_a)[rows] + place // sizes_b[rows]]
            j = sides.b[(np.cumsum(sizes_b) - sizes_b)[rows] + place % sizes_b[rows]]
            counts = _counts(tree, sides, i, j)
            shares = counts[0] > 0
            table.add((i % count * count + j % count)[shares], *(column[shares] for column in counts))
    keys, columns = table.merged()
    if large:  # the other direction of a pair may come from large bundles alone
        a, b = np.divmod(keys, count)
        table.add(b * count + a, *np.zeros((3, len(keys)), np.int64))
        keys, columns = table.merged()
    a, b = np.divmod(keys, count)
    for bundle in large:
        for column, more in zip(columns, _counts(tree, _Sides.of(tree, [bundle]), a, b), strict=True):
            column += more
    images, identical, size = columns
    return SharedImages(a, b, images, identical, size, elsewhere)


def _runs(sizes: Ints) -> Iterator[Ints]:
    """Yield runs of indices of sizes above 0; a run's sizes sum to at most 2·PRODUCT."""
    numbers = np.flatnonzero(sizes)
    place = np.cumsum(sizes[numbers]) // max(1, PRODUCT)
    yield from np.split(numbers, np.flatnonzero(np.diff(place)) + 1) if len(numbers) else ()


class _Sides(NamedTuple):
    """Both sides of bundles: the folders of the images (a) and of the matches (b), with all ancestors.

    a, b           keys, sorted: the number of the bundle times the number of folders, plus the folder
    images, bytes  number and bytes of the bundle's images in the subtree of each key of a
    near, same     number of matched folders in the subtree of each key of b: all, and with a match at distance 0
    matched        number of matched folders of each bundle"""

    a: Ints
    b: Ints
    images: Ints
    bytes: Ints
    near: Ints
    same: Ints
    matched: Ints

    @classmethod
    def of(cls, tree: Tree, bundles: Sequence[Bundle]) -> _Sides:
        count, numbers = max(1, len(tree.parent)), np.arange(len(bundles))
        folders, images, size, matched, same = (np.concatenate(column) for column in zip(*bundles, strict=True))
        sizes = np.array([len(bundle.matched) for bundle in bundles])
        first = np.repeat(numbers, [len(bundle.folders) for bundle in bundles]) * count + folders
        a, (images, size) = tree.upward(first, images, size)
        b, (near, exact) = tree.upward(
            np.repeat(numbers, sizes) * count + matched, np.ones_like(matched), same.astype(np.int64)
        )
        return cls(a, b, images, size, near, exact, sizes)


def _at(nodes: Ints, values: Ints, wanted: Ints) -> Ints:
    """Return the value of each wanted key; 0 for a key that is not in `nodes`."""
    place = np.minimum(np.searchsorted(nodes, wanted), len(nodes) - 1)
    return np.where(nodes[place] == wanted, values[place], 0)


def _counts(tree: Tree, sides: _Sides, i: Ints, j: Ints) -> tuple[Ints, Ints, Ints]:
    """Return images, identical images and bytes that a bundle adds to pairs of keys, int64 (m,) each."""
    count = max(1, len(tree.parent))
    a, b = i % count, j % count
    inner_a = (b < a) & (a < tree.end[b])
    inner_b = (a < b) & (b < tree.end[a])
    images, size = (
        _at(sides.a, column, i) - np.where(inner_b, _at(sides.a, column, j), 0)
        for column in (sides.images, sides.bytes)
    )
    near, same = (
        _at(sides.b, column, j) - np.where(inner_a, _at(sides.b, column, i), 0) for column in (sides.near, sides.same)
    )
    counts = (near > 0) & (a != b)
    return np.where(counts, images, 0), np.where(counts & (same > 0), images, 0), np.where(counts, size, 0)


class _Table:
    """Sums by key; rows are collected, and rows with equal keys are merged when there are many rows."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, ...]] = []
        self._waiting = self._kept = 0

    def add(self, keys: Ints, *columns: Ints) -> None:
        self._parts.append((keys, *columns))
        self._waiting += len(keys)
        if self._waiting > max(WAITING, 2 * self._kept):
            self.merged()

    def merged(self) -> tuple[Ints, list[Ints]]:
        """Return the keys, sorted, and the sums of each column."""
        none = np.empty(0, np.int64)
        keys, *columns = (np.concatenate(each) for each in zip(*[(none,) * 4, *self._parts], strict=True))
        unique, place = np.unique(keys, return_inverse=True)
        sums = [np.zeros(len(unique), np.int64) for _ in columns]
        for total, column in zip(sums, columns, strict=True):
            np.add.at(total, place.reshape(-1), column)
        self._parts, self._waiting, self._kept = [(unique, *sums)], len(unique), len(unique)
        return unique, sums


def condensed(tree: Tree, found: SharedImages) -> Mask:
    """Return which pairs of folders to list, bool (n,): pairs that no pair with a subfolder replaces.

    A pair is left out if one of its folders has a subfolder that shares the same images with the other folder: the
    pair with the subfolder is more precise. Shared images of a subfolder are shared images of the folder, so equal
    counts, in both directions, mean equal images. A subfolder that lies inside the other folder does not replace the
    pair: the other folder is taken without the subfolder, so the two pairs count different images."""
    count = len(tree.parent)
    keys = found.a * count + found.b
    back = np.searchsorted(keys, found.b * count + found.a)
    own = np.stack([found.images, found.identical], axis=1)
    stats = np.concatenate([own, own[back]], axis=1)
    keep = np.ones(len(keys), bool)
    a, b = found.a, found.b
    above = tree.parent[a]
    inner = (b <= a) & (a < tree.end[b])
    rows = np.flatnonzero((above >= 0) & (above != b) & ~inner)
    wider = np.searchsorted(keys, above[rows] * count + b[rows])
    same = (stats[wider] == stats[rows]).all(axis=1)
    keep[wider[same]] = keep[back[wider[same]]] = False
    return keep
