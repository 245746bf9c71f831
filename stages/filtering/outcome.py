"""Describe the images to remove from a container, and count the members of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Removal:
    """The images to remove from a container.

    names   names of the images to remove, as in the images' paths
    wanted  returns whether a member counts as an image, by its name
    column  column of a table that holds the images; None: the column whose content looks like images"""

    names: frozenset[bytes]
    wanted: Callable[[bytes], bool]
    column: str | None = None


class Rewritten(NamedTuple):
    """Counts of the copy of a container: members = kept + images + companions + unreadable.

    members     number of members of the source: files and folders of a tar or zip, rows of a table
    kept        number of members of the result
    images      number of removed images
    companions  number of members that were removed together with an image
    unreadable  number of members that could not be copied
    note        remark for the user, such as on damage; empty without a remark"""

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
    """Signal that no copy of a source can be written; the message says why."""


def check_found(names: frozenset[bytes], found: set[bytes]) -> None:
    """Raise Refused if an image to remove is not in the container, which then differs from the run's listing."""
    if lost := len(names - found):
        raise Refused(
            f"{lost:,} of the {len(names):,} images to remove are not in the container; run `fast-diff run` again first"
        )
