"""Read the texts that say where an image lies inside a container file.

A location is a short text, such as `zip:21:4096:1200:8:99`: its kind, the length in bytes of the container's name in
front of `!/`, and numbers that depend on the kind:

    raw      offset of the image's bytes in the file: members of a tar, rows of an Arrow file
    stream   offset in the decompressed stream: members of a compressed tar
    zip      offset of the local header, compressed size, method, CRC-32
    parquet  row group, row in the row group, number of the column
    broken   the name of a problem in BROKEN: the image is known by name only
"""

from __future__ import annotations

from typing import NamedTuple

from stages.decoding import problems

SEPARATOR = b"!/"
"""Separates the name of a container from the name of a member."""
TARS = (b".tar", b".tar.gz", b".tgz", b".tar.bz2", b".tbz2", b".tar.xz", b".txz")
ZIPS = (b".zip", b".cbz")
PARQUETS = (b".parquet", b".pq")
ARROWS = (b".arrow", b".feather")
"""Endings of container files, in lower case."""
BROKEN = {
    "container": problems.CONTAINER,
    "ends": problems.CONTAINER_ENDS,
    "more": problems.CONTAINER_MORE,
    "cut": problems.MEMBER_CUT,
    "encrypted": problems.ENCRYPTED,
    "method": problems.METHOD,
    "sparse": problems.SPARSE,
    "value": problems.NO_VALUE,
    "named": problems.NAMED,
    "dictionary": problems.DICTIONARY,
    "column": problems.NO_COLUMN,
    "absent": problems.ABSENT,
}
"""Problems that the scan finds while it lists a container, by the name in a location."""


class Location(NamedTuple):
    """Where an image lies: the kind, the name of the container, and the numbers as text."""

    kind: str
    container: bytes
    at: tuple[str, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of a location, for every kind but `broken`."""
        return tuple(map(int, self.at))

    @property
    def problem(self) -> problems.Problem:
        """Return the problem of a location of the kind `broken`."""
        return BROKEN[self.at[0]]


def is_container(name: bytes) -> bool:
    """Return whether a file's name has the ending of a container."""
    return name.lower().endswith((*TARS, *ZIPS, *PARQUETS, *ARROWS))


def location_of(path: bytes, text: str) -> Location:
    """Return the location of the image `path` from its text."""
    kind, length, *at = text.split(":")
    return Location(kind, path[: int(length)], tuple(at))


def container_length(text: str) -> int:
    """Return the length in bytes of the container's name, from the text of a location."""
    return int(text.split(":", 2)[1])


def container_of(path: bytes, text: str | None) -> bytes | None:
    """Return the name of an image's container; None for an image outside containers."""
    return location_of(path, text).container if text else None


def unsized(stamp: str) -> bool:
    """Return whether the scan does not know the size of the image with this stamp."""
    return " parquet:" in stamp
