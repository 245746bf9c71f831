"""Write a copy of a list of images without the rows of removed images.

Rows of CSV, JSON lines and text are copied byte by byte; other JSON is serialised again. In COCO's JSON, the
annotations of a removed image are removed, too."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pipeline.store.atomic import atomic_write
from stages.filtering.outcome import Refused, Rewritten
from stages.listing.lists import NAMES, listed_path, opened_list

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ImageList:
    """A list of images.

    name    path of the list
    column  column with the paths of the images; None: a column with one of the usual names
    folder  folder that relative paths begin at; None: the folder of the list
    moved   whether relative paths in the result begin at another folder; if so, a note names the old folder"""

    name: bytes
    column: str | None = None
    folder: str | None = None
    moved: bool = True

    @property
    def base(self) -> bytes:
        """Return the folder that relative paths begin at."""
        return os.path.dirname(self.name) if self.folder is None else os.fsencode(self.folder)

    @property
    def ending(self) -> bytes:
        """Return the file name's extension, which determines the format."""
        return os.path.splitext(self.name.lower())[1]

    def path(self, row: Any, base: bytes) -> bytes | None:
        """Return the path of the image that a row names; None for a row without an image.

        base  folder that relative paths begin at"""
        values = {NAMES[0]: row} if isinstance(row, str) else row
        columns = NAMES if self.column is None or isinstance(row, str) else (self.column,)
        return listed_path(values, columns, base) if isinstance(values, Mapping) else None


def write_list(source: ImageList, removed: frozenset[bytes], target: Path) -> Rewritten:
    """Write a copy of a list to `target` without the rows of the images `removed`.

    Raises:
        Refused: the list can't be read.
        OSError: a file can't be read or written."""
    try:
        with atomic_write(target) as file:
            with opened_list(source.name) as text:
                done = (_write_json if source.ending == b".json" else _write_lines)(source, text, removed, file)
            file.flush()
            with opened_list(os.fsencode(file.name)) as text:
                rows = sum(1 for row in _rows(source, text) if source.path(row, source.base))
            if rows != done.kept:
                raise Refused(f"the result has {rows:,} rows, expected {done.kept:,}; nothing was written")
        return done
    except (ValueError, RecursionError, csv.Error) as error:
        raise Refused(f"the list can't be read ({error})") from error


def _rows(source: ImageList, text: TextIO) -> Iterable[Any]:
    if source.ending == b".json":
        return _images(json.load(text))
    return (row for _, row in _records(text, source.ending))


def _images(data: Any) -> list[Any]:
    """Return the rows of a JSON list, or the images of COCO. Raises ValueError."""
    found = data.get("images") if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise ValueError("expected a list, or an object with the list `images`")
    return found


def _write_lines(source: ImageList, text: TextIO, removed: frozenset[bytes], out: Any) -> Rewritten:
    rows = kept = 0
    relative = False
    out.write(_mark(source.name))
    for line, row in _records(text, source.ending):
        path = source.path(row, source.base)
        rows += path is not None
        relative = relative or path != source.path(row, b"/")
        if path is None or path not in removed:
            kept += path is not None
            out.write(line.encode("utf-8", "surrogateescape"))
    return Rewritten(rows, kept, rows - kept, note=_note(source, relative))


def _write_json(source: ImageList, text: TextIO, removed: frozenset[bytes], out: Any) -> Rewritten:
    data = json.load(text)
    rows = _images(data)
    paths = [source.path(row, source.base) for row in rows]
    keeps = [path is None or path not in removed for path in paths]
    left = [row for row, kept in zip(rows, keeps, strict=True) if kept]
    others = 0
    if isinstance(data, dict):
        gone = {row.get("id") for row, kept in zip(rows, keeps, strict=True) if not kept} - {None}
        marks = data.get("annotations")
        if isinstance(marks, list):
            remaining = [each for each in marks if not (isinstance(each, dict) and each.get("image_id") in gone)]
            others = len(marks) - len(remaining)
            data |= {"annotations": remaining}
        data |= {"images": left}
    out.write(json.dumps(data if isinstance(data, dict) else left, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    named = [path is not None for path in paths]
    relative = any(path != source.path(row, b"/") for path, row in zip(paths, rows, strict=True))
    kept_rows = sum(name and kept for name, kept in zip(named, keeps, strict=True))
    count = sum(named)
    return Rewritten(count + others, kept_rows, count - kept_rows, others, note=_note(source, relative))


def _note(source: ImageList, relative: bool) -> str:
    if not relative or not source.moved:
        return ""
    return f"relative paths in the list begin at {os.fsdecode(source.base)}; name that folder where you use the list"


def _mark(name: bytes) -> bytes:
    """Return the byte order mark of a local file; empty without a mark, or behind a URL. Raises OSError."""
    if not name.startswith(b"/"):
        return b""
    with open(name, "rb") as file:
        return BOM if file.read(len(BOM)) == BOM else b""


def _records(file: TextIO, ending: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the text of each row in the file, and the values of the row. Raises ValueError, csv.Error."""
    if ending in (b".csv", b".tsv"):
        yield from _of_csv(file, "\t" if ending == b".tsv" else ",")
        return
    for line in file:
        if ending == b".txt":
            yield line, line.rstrip("\r\n")
        else:
            yield line, json.loads(line) if line.strip() else None


def _of_csv(file: TextIO, delimiter: str) -> Iterator[tuple[str, Any]]:
    """Yield the text and the values of each row of a CSV file; a row may have several lines."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in file:
            taken.append(line)
            yield line

    names: list[str] | None = None
    for fields in csv.reader(lines(), delimiter=delimiter):
        text = "".join(taken)
        taken.clear()
        values = dict(zip(names, fields, strict=False)) if names is not None and fields else None
        names = fields if names is None and fields else names
        yield text, values
