"""Read lists of images: CSV, JSON lines, plain text, and COCO's JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from pipeline.store.backends.locations import LOCAL_PROTOCOLS, canonical, protocol_of
from stages.decoding.reading import read_url

ENDINGS = (b".csv", b".tsv", b".jsonl", b".ndjson", b".json", b".txt")
"""Endings of lists, in lower case."""
NAMES = (
    *("path", "file_name", "filename", "filepath", "file", "image", "image_path", "url", "image_url", "coco_url"),
    "flickr_url",
)
"""Names of columns that may hold paths or URLs of images, most preferred first."""


class Listing(NamedTuple):
    """An image that a list names.

    name  a path or a URL, as bytes
    row   all values of the row"""

    name: bytes
    row: Mapping[str, Any]


class NoColumn(Exception):
    """Signal that a list has no column of images."""


def is_list(name: bytes) -> bool:
    """Return whether a file's name has the ending of a list."""
    return name.lower().endswith(ENDINGS)


def listings(path: bytes, column: str | None, folder: str | None) -> Iterator[Listing]:
    """Yield the images that a list names, in the order of the list.

    Rows without a name are left out.

    column  the column of paths or URLs; None: the first of NAMES that the list has
    folder  folder of the relative paths; None: the folder of the list

    Raises:
        NoColumn: the list has no such column.
        OSError, ValueError: the list can't be read.
        RecursionError: JSON is nested too deeply."""
    base = folder.encode("utf-8", "surrogateescape") if folder is not None else os.path.dirname(path)
    with opened_list(path) as file:
        ending = os.path.splitext(path.lower())[1]
        if ending == b".txt":
            rows: Iterable[Any] = (line.rstrip("\r\n") for line in file)
        elif ending in (b".csv", b".tsv"):
            rows = _of_csv(file, "\t" if ending == b".tsv" else ",")
        elif ending == b".json":
            rows = _of_json(json.load(file))
        else:
            rows = (json.loads(line) for line in file if line.strip())
        known = False
        for row in rows:
            if not isinstance(row, str | Mapping):
                raise ValueError("expected names or objects")
            values: Mapping[str, Any] = {NAMES[0]: row} if isinstance(row, str) else row
            wanted = [column] if column and not isinstance(row, str) else NAMES
            known = known or any(each in values for each in wanted)
            if not known:
                raise NoColumn
            if (named := listed_path(values, wanted, base)) is not None:
                yield Listing(named, values)


def listed_path(row: Mapping[str, Any], columns: Iterable[str], base: bytes) -> bytes | None:
    """Return the path or the URL of the image that a row names; None if the row names no image.

    columns  names of columns; the first column with a value counts
    base     folder of relative paths"""
    name = next((row[each] for each in columns if row.get(each)), None)
    return _place(name, base) if isinstance(name, str) and name else None


def opened_list(path: bytes) -> TextIO:
    """Open a list as text. Raises OSError."""
    if protocol_of(os.fsdecode(path)) is None:
        return open(path, encoding="utf-8-sig", errors="surrogateescape", newline="")
    return io.TextIOWrapper(io.BytesIO(read_url(path.decode())[0]), "utf-8-sig", "surrogateescape", newline="")


def _of_csv(file: Iterable[str], delimiter: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from csv.DictReader(file, delimiter=delimiter)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _of_json(data: Any) -> Iterable[Any]:
    """Return the images of COCO, or the rows of a JSON list."""
    found = data.get("images") if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise ValueError("expected a list, or an object with the list `images`")
    return found


def _place(name: str, base: bytes) -> bytes:
    """Return the URL of an image, or the path under which a walk through folders would find the image."""
    name = name.replace("\0", "%00")
    protocol = protocol_of(name)
    if protocol is not None and protocol not in LOCAL_PROTOCOLS:
        return name.encode("utf-8", "surrogateescape")
    path = os.fsencode(canonical(name) if protocol else name)
    if protocol_of(os.fsdecode(base)) is not None and not protocol and not path.startswith(b"/"):
        return base.rstrip(b"/") + b"/" + path.removeprefix(b"./")
    return os.path.normpath(os.path.join(base, path))
