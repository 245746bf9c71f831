"""Turn the members of container files into images.

A container is an input itself, or a file below an input."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from stages.decoding.location import ARROWS, PARQUETS
from stages.decoding.opened_file import OpenedFile
from stages.decoding.problems import Unreadable
from stages.listing.members import Member, broken, member_path, members
from stages.listing.rules import ListingRules
from stages.listing.values import is_beside, with_values

logger = logging.getLogger("fast_diff")

TOGETHER = 1 << 14
"""Greatest number of members that exist as Python objects at the same time."""


class Container(NamedTuple):
    """A container file, with its size and times.

    tag  the version of the object at a URL, such as its ETag; None for a file on a disk"""

    name: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    tag: str | None = None


class Members(NamedTuple):
    """Some images of one container, as columns."""

    paths: Sequence[bytes]
    sizes: Sequence[int]
    locations: Sequence[str]
    values: Sequence[tuple[str | None, ...]] = ()


def listed(
    container: Container, rules: ListingRules, column: str | None = None, named: bool = True
) -> Iterator[Members]:
    """Yield the images of a container, some thousand at a time.

    A container that can't be opened or listed counts as one unreadable image.

    column  the column of images of a table; None: the column that looks like images
    named   whether the container is an input itself, so that a table without images is an error"""
    found = (member for member in _members(container, rules, column) if named or member.at != "column")
    while some := list(islice(found, TOGETHER)):
        yield Members(
            [member_path(container.name, each.name) for each in some],
            [each.size for each in some],
            [f"{each.kind}:{len(container.name)}:{each.at}" for each in some],
            [each.values or (None,) * len(rules.columns) for each in some] if rules.columns else (),
        )


def _members(container: Container, rules: ListingRules, column: str | None) -> Iterator[Member]:
    try:
        opened = OpenedFile(container.name)
    except (OSError, Unreadable) as error:
        logger.warning("%s can't be opened (%s)", os.fsdecode(container.name), _reason(error))
        yield broken(b"", "container", container.size)
        return
    try:
        for member in _by_ending(opened, rules, column):
            yield member if member.name else member._replace(size=container.size)
    except OSError as error:
        logger.warning("%s can't be listed to its end (%s)", os.fsdecode(container.name), _reason(error))
        yield broken(b"", "ends", container.size)
    finally:
        opened.close()


def _by_ending(opened: OpenedFile, rules: ListingRules, column: str | None) -> Iterator[Member]:
    ending = opened.name.lower()
    if ending.endswith((*PARQUETS, *ARROWS)):
        from stages.listing.parquet import arrow_rows, parquet_rows

        return (parquet_rows if ending.endswith(PARQUETS) else arrow_rows)(opened, column, rules.columns)
    wanted = rules.below(opened.name + b"!")
    if not rules.columns:
        return (member for member, _ in members(opened, wanted))
    return with_values(members(opened, wanted, lambda name: is_beside(name, rules.columns)), rules.columns)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or os.strerror(error.errno or errno.EIO)
    return str(error)
