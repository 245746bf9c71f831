"""Look up the images that a list names, on disks and behind URLs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from stages.listing.containers import Container, Members
from stages.listing.lists import Listing, NoColumn, listings
from stages.listing.rules import ListingRules
from stages.listing.table import FileColumns
from stages.listing.urls import Listed, find_urls, is_url
from stages.listing.values import ValuesBeside, row_values

logger = logging.getLogger("fast_diff")
TOGETHER = 1 << 12
"""Greatest number of entries of a list that exist as Python objects at the same time."""
REQUESTS = 16
"""Greatest number of concurrent requests for images behind URLs."""


def add_list(
    columns: FileColumns,
    container: Container,
    number: int,
    column: str | None,
    folder: str | None,
    names: Sequence[str] = (),
) -> dict[bytes, str]:
    """Add the images that a list names; return the stamps of URLs.

    A missing image becomes a row with an error. So does a list that can't be read.

    container  the file of the list
    number     index of the root
    names      columns of the list whose values are stored with the images"""
    tags: dict[bytes, str] = {}
    absent: list[bytes] = []
    problem = ""
    try:
        found = listings(container.name, column, folder)
        while some := list(islice(found, TOGETHER)):
            absent += _add(columns, some, number, tags, names)
    except NoColumn:
        problem = "column"
    except (OSError, ValueError, RecursionError) as error:
        cause = (
            f"not JSON: {error}"
            if isinstance(error, json.JSONDecodeError)
            else getattr(error, "strerror", None) or error
        )
        logger.warning("%s can't be read to its end (%s)", os.fsdecode(container.name), cause)
        problem = "ends"
    columns.add_members(container, number, _rows(container, absent, problem))
    return tags


def _rows(container: Container, absent: Sequence[bytes], problem: str) -> Iterator[Members]:
    """Yield the missing images, and the list itself if the list is broken."""
    if absent:
        yield Members(absent, [0] * len(absent), ["broken:0:absent"] * len(absent))
    if problem:
        yield Members([container.name], [container.size], [f"broken:{len(container.name)}:{problem}"])


def _add(
    columns: FileColumns, some: Sequence[Listing], number: int, tags: dict[bytes, str], names: Sequence[str]
) -> list[bytes]:
    """Add images; return the names of the missing images."""
    paths: list[bytes] = []
    stats: list[os.stat_result] = []
    values: list[ValuesBeside] = []
    urls: list[Listing] = []
    absent: list[bytes] = []
    for entry in some:
        if is_url(entry.name):
            urls.append(entry)
            continue
        try:
            stats.append(os.stat(entry.name))
            paths.append(entry.name)
            values.append(row_values(names, entry.row))
        except (OSError, ValueError):
            absent.append(entry.name)
    columns.add(paths, number, stats, values if names else ())
    with ThreadPoolExecutor(REQUESTS) as pool:
        for url, listed in zip(urls, pool.map(_listed, (url.name for url in urls)), strict=True):
            if listed is None:
                absent.append(url.name)
            else:
                columns.add([listed.url], number, [listed.stat], [row_values(names, url.row)] if names else ())
                tags[listed.url] = listed.stamp
    return absent


def _listed(url: bytes) -> Listed | None:
    try:
        found = find_urls(url.decode(), ListingRules(extensions=None))
    except (OSError, ValueError, ImportError):
        return None
    return found[0] if len(found) == 1 and found[0].url == url else None
