"""Decide which members of a tar or zip are removed with an image: the members of the image's WebDataset sample.

The members of a sample lie in one folder, and their names are equal up to the first dot: `7.jpg`, `7.cls` and `7.json`.
If a name occurs twice, the second `7.cls` belongs to the second `7.jpg`. If a sample has several images, the other
members are removed only if all these images are removed."""

from __future__ import annotations

from collections import Counter

from stages.listing.values import split

Sample = tuple[bytes, int]
"""The key of a sample, and the sample's number among the samples with this key, from 1."""


class Samples:
    """The samples of a container."""

    def __init__(self) -> None:
        self._count: Counter[bytes] = Counter()
        self._removed: set[Sample] = set()
        self._kept: set[Sample] = set()

    def add(self, name: bytes, is_removed: bool | None) -> Sample:
        """Add a file; return its sample.

        is_removed  whether an image is removed; None for a file that is no image"""
        self._count[name] += 1
        key, ending = split(name)
        hidden = key.endswith(b"/")  # in WebDataset, a name that begins with a dot has no key
        sample = key if ending and not hidden else b"", self._count[name]
        if is_removed is not None:
            (self._removed if is_removed else self._kept).add(sample)
        return sample

    def removes(self, sample: Sample) -> bool:
        """Return whether the sample's files that are no images are removed with its images."""
        return bool(sample[0]) and sample in self._removed and sample not in self._kept
