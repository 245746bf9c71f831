"""What is to go from a container, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Removal:
    """What is to go from a container.

    names   of the images that go, as in their paths
    wanted  whether a member counts as an image, by its name
    column  of images of a table; None: the column that looks like images"""

    names: frozenset[bytes]
    wanted: Callable[[bytes], bool]
    column: str | None = None


class Rewritten(NamedTuple):
    """What came of a container: members = kept + images + companions + unreadable.

    members     in the source: files and folders of a tar or zip, rows of a table
    images      that went
    companions  that went with an image
    unreadable  members that could not be copied
    note        what can't be read, in words; empty where all can"""

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
    """A container can't be written anew; the message says why."""


def check_found(names: frozenset[bytes], found: set[bytes]) -> None:
    """Raise Refused where an image that is to go was not found: the container is not as the run found it."""
    if lost := len(names - found):
        raise Refused(f"{lost:,} of the {len(names):,} images to remove are not in it; run `fast-diff run` again first")
