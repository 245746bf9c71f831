"""Read the values beside images that `scan.columns` names, such as labels and captions.

Inside a tar or a zip, the files whose names differ from an image's name only after the first dot belong to the image,
as in WebDataset: the value `cls` is the text of the `.cls` file, or the field `cls` of the `.json` file; `__key__` is
the name before the dot. In a table or a list, values are columns. In a folder, values are columns of `metadata.jsonl`
or `metadata.csv`, as in Hugging Face's ImageFolder."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from stages.listing.members import Member

ValuesBeside: TypeAlias = tuple[str | None, ...]
"""The values of an image, one for each name in `scan.columns`; None where an image has no such value."""
KEY, JSON = "__key__", "json"
METADATA = (b"metadata.jsonl", b"metadata.csv")
NAME = "file_name"
"""The column of metadata that names the image."""


def text_of(value: Any) -> str | None:
    """Return a value as text: numbers as they are, lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return str(value)


def row_values(names: Sequence[str], row: Mapping[str, Any]) -> ValuesBeside:
    """Return the values in a row of a table."""
    return tuple(text_of(row.get(name)) for name in names)


def split(name: bytes) -> tuple[bytes, str]:
    """Return a member's key and ending: the name before and after its first dot.

    Dots in folders' names do not count."""
    folder, slash, last = name.rpartition(b"/")
    stem, _, ending = last.partition(b".")
    return folder + slash + stem, ending.decode("utf-8", "replace").lower()


def is_beside(name: bytes, names: Sequence[str]) -> bool:
    """Return whether a member may hold values of an image."""
    return split(name)[1] in (*names, JSON)


def with_values(found: Iterable[tuple[Member, bytes | None]], names: Sequence[str]) -> Iterator[Member]:
    """Yield the images among members, with their values.

    found  each member, and the content of each file beside an image"""
    images: list[Member] = []
    beside: dict[bytes, dict[str, str]] = {}
    for member, content in found:
        if content is None:
            images.append(member)
        else:
            key, ending = split(member.name)
            beside.setdefault(key, {})[ending] = content.decode("utf-8", "replace")
    for member in images:
        if not member.name:
            yield member
            continue
        key, _ = split(member.name)
        yield member._replace(values=_of_sample(names, key, beside.get(key, {})))


def _of_sample(names: Sequence[str], key: bytes, files: Mapping[str, str]) -> ValuesBeside:
    fields = _object(files[JSON]) if JSON in files else {}
    values = {KEY: key.decode("utf-8", "replace")} | fields | {name: text.strip() for name, text in files.items()}
    return row_values(names, values)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def folder_values(folder: bytes, names: Sequence[str]) -> dict[bytes, ValuesBeside]:
    """Return the values in a folder's metadata files, by the path of the image."""
    found: dict[bytes, ValuesBeside] = {}
    for file in METADATA if names else ():
        try:
            with open(os.path.join(folder, file), encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
                rows = csv.DictReader(opened) if file.endswith(b".csv") else map(_object, opened)
                for row in rows:
                    if isinstance(name := row.get(NAME), str):
                        found[os.path.normpath(os.path.join(folder, os.fsencode(name)))] = row_values(names, row)
        except (OSError, csv.Error):
            continue
    return found
