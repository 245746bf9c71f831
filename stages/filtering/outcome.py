"""Describe the images to remove from a container, and count the members of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Removal:
    """The images to remove from a container.

    names   of the images that go, as in their paths
    wanted  whether a member counts as an image, by its name
    column  of images of a table; None: the column that looks like images"""

    names: frozenset[bytes]
    wanted: Callable[[bytes], bool]
    column: str | None = None


class Rewritten(NamedTuple):
    """Counts of a container that was written anew: members = kept + images + companions + unreadable.

    members     number of members of the source: files and folders of a tar or zip, rows of a table
    kept        number of members of the result
    images      number of removed images
    companions  number of members removed with an image
    unreadable  number of members that could not be copied
    note        description of damage; empty without damage"""

    members: int
    kept: int
    images: int = 0
    companions: int = 0
    unreadable: int = 0
    note: str = ""

    def plus(self, other: Rewritten) -> Rewritten:
        """Return the sums of two counts, without notes."""
        return Rewritten(
            self.members + other.members,
            self.kept + other.kept,
            self.images + other.images,
            self.companions + other.companions,
            self.unreadable + other.unreadable,
        )


class Refused(Exception):
    """Signal that a container can't be written anew; the message says why."""


def check_found(names: frozenset[bytes], found: set[bytes]) -> None:
    """Raise Refused where the container lacks an image to remove: the container differs from the run's listing."""
    if lost := len(names - found):
        raise Refused(f"{lost:,} of the {len(names):,} images to remove are not in it; run `fast-diff run` again first")
