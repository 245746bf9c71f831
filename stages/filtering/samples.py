"""Decide which members of a tar or zip go with an image: the members of the image's WebDataset sample.

A sample is the members of one folder with one name up to the first dot: `7.jpg`, `7.cls` and `7.json`. Where a name
comes twice, the second `7.cls` belongs to the second `7.jpg`. A sample of several images loses its other members with
the last of these images."""

from __future__ import annotations

from collections import Counter

from stages.listing.values import split

Sample = tuple[bytes, int]
"""Key, and which of the samples with this key, from 1."""


class Samples:
    """The samples of a container."""

    def __init__(self) -> None:
        self._count: Counter[bytes] = Counter()
        self._going: set[Sample] = set()
        self._staying: set[Sample] = set()

    def add(self, name: bytes, image_goes: bool | None) -> Sample:
        """Add a file; return its sample.

        image_goes  whether the file, an image, goes; None for another file"""
        self._count[name] += 1
        key, ending = split(name)
        sample = key if ending else b"", self._count[name]
        if image_goes is not None:
            (self._going if image_goes else self._staying).add(sample)
        return sample

    def goes(self, sample: Sample) -> bool:
        """Return whether a file that is not an image goes with the images of its sample."""
        return bool(sample[0]) and sample in self._going and sample not in self._staying
