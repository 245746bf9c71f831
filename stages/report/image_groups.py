"""Group images that match the same images, for bundles of folders.

Images form a group if they are identical and every rule treats the images alike: all images of a group match the same
images. An image of a dismissed pair is grouped only with files of the same bytes."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class ImageFolders(NamedTuple):
    """The readable images, in the order of the index, and their folders.

    folder     number of each image's folder, int64 (n,)
    folders    number of folders
    bytes      bytes of each image's file, int64 (n,)
    flat       images below `cluster.min_contrast`, which match no image, bool (n,)
    dismissed  position of the image's digest among the digests of dismissed pairs, from 1; 0 for other images;
               int64 (n,)"""

    folder: Ints
    folders: int
    bytes: Ints
    flat: Mask
    dismissed: Ints


class OwnerFolders(NamedTuple):
    """Number and bytes of an owner's images in a folder, sorted by owner and folder, int64 (n,) each.

    An owner is a group or a single image."""

    owner: Ints
    folder: Ints
    images: Ints
    bytes: Ints

    @classmethod
    def of(cls, owner: Ints, images: ImageFolders) -> OwnerFolders:
        there = np.flatnonzero((owner >= 0) & ~images.flat)
        keys, place = np.unique(owner[there] * images.folders + images.folder[there], return_inverse=True)
        size = np.zeros(len(keys), np.int64)
        np.add.at(size, place, images.bytes[there])
        return cls(keys // images.folders, keys % images.folders, np.bincount(place, minlength=len(keys)), size)

    def at(self, owner: int) -> slice:
        first, end = np.searchsorted(self.owner, (owner, owner + 1))
        return slice(int(first), int(end))


class ImageGroups:
    """Groups of images that match the same images, numbered.

    count   number of groups
    of      number of each image's group, int64 (images,)
    leaves  the folders of each group
    target  for a group in one folder, the folder; for other groups, the number of folders plus the group's number;
            int64 (count,)"""

    def __init__(self, representative: Ints, images: ImageFolders, pairs: Collection[tuple[int, int]]) -> None:
        self._dismissed_pairs, self._dismissed = pairs, images.dismissed
        self._most = int(images.dismissed.max(initial=0)) + 1
        self._keys, self.of = np.unique(representative * self._most + images.dismissed, return_inverse=True)
        self.count = len(self._keys)
        self.leaves = OwnerFolders.of(self.of, images)
        self.target = images.folders + np.arange(self.count)
        alone = np.bincount(self.leaves.owner, minlength=self.count) == 1
        self.target[alone] = self.leaves.folder[alone[self.leaves.owner]]

    def may_match(self, a: Ints, b: Ints) -> Mask:
        """Return which pairs of images are not dismissed, bool (n,)."""
        if not self._dismissed_pairs:
            return np.ones(len(a), bool)
        pairs = zip(self._dismissed[a].tolist(), self._dismissed[b].tolist(), strict=True)
        return np.array([pair not in self._dismissed_pairs for pair in pairs], bool)

    def of_rows(self, a: Ints, b: Ints, zero: Mask) -> tuple[Ints, Ints, Mask]:
        """Return the pairs of groups that rows about representatives represent, without dismissed pairs.

        zero  whether the distance of each row is 0; returned for each pair of groups"""
        if self._most == 1:
            return self.of[a], self.of[b], zero
        rows = np.unique(np.stack([a, b, zero], axis=1), axis=0).tolist()
        found = [(i, j, same) for x, y, same in rows for i, j in product(self._parts(x), self._parts(y))]
        one, other, exact = np.array(found, np.int64).reshape(-1, 3).T
        codes = zip((self._keys[one] % self._most).tolist(), (self._keys[other] % self._most).tolist(), strict=True)
        keep = np.array([pair not in self._dismissed_pairs for pair in codes], bool)
        return one[keep], other[keep], exact[keep] > 0

    def _parts(self, representative: int) -> range:
        """Return the groups of the images that a representative represents."""
        ends = np.searchsorted(self._keys, (representative * self._most, (representative + 1) * self._most))
        return range(*ends.tolist())
