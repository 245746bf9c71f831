"""Keep an index of footers: one file with the records of all artifacts of a run.

Records are read from the index without opening the artifacts.

A line holds, separated by tabs: a CRC-32 of the rest of the line, stage, artifact name, size, stamp, record as JSON.
The artifacts of a stage share a recipe and a schema, which have a line of their own. The stage in that line is empty,
and the name is the digest of recipe and schema, to which records refer. Lines are appended as tasks end. The last line
of an artifact counts, and damaged lines are skipped.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pipeline.plan.fingerprint import SHORT
from pipeline.store.artifact import Record
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.locations import Place

SHARED = ("recipe", "schema")
OWN = tuple(name for name in Record._fields if name not in SHARED)


class State(NamedTuple):
    """State of a file in a listing; equal name and state mean the same file.

    stamp  modification time, or an object store's ETag; empty if the store has neither, or before the first listing"""

    size: int
    stamp: str


UNLISTED = State(-1, "")
"""State of an object between its put and the next listing."""


class Footer(NamedTuple):
    """The record of an artifact, in two JSON texts, and the state of its file."""

    stage: str
    name: str
    state: State
    own: str
    shared: str


def footer_of(record: Record, place: Place, state: State | None = None) -> Footer | None:
    """Return an artifact's footer; None if the artifact was deleted, or if its name is not printable."""
    if not place.name.isprintable():
        return None
    if state is None and isinstance(place, Path):
        try:
            stat = place.stat()
        except OSError:
            return None
        state = State(stat.st_size, str(stat.st_mtime_ns))
    own, shared = (
        json.dumps([getattr(record, name) for name in names], separators=(",", ":"), sort_keys=True)
        for names in (OWN, SHARED)
    )
    shared = sys.intern(shared)  # interned, so that a pickle stores equal texts once
    return Footer(record.stage, place.name, state or UNLISTED, own, shared)


class Index:
    """Footers of a run, by stage and artifact name.

    lines  lines of the file, superseded and damaged ones included
    file   file to which `add` appends lines, if any
    added  whether `add` was called"""

    def __init__(self, lines: Iterable[bytes], file: BinaryIO | None = None) -> None:
        self.footers: dict[tuple[str, str], Footer] = {}
        self.lines, self.added = 0, False
        self._file = file
        self._shared: dict[str, str] = {}
        line = b"\n"
        for line in lines:
            self.lines += 1
            with contextlib.suppress(ValueError, KeyError):
                self._read(line)
        if file and not line.endswith(b"\n"):
            file.write(b"\n")  # ends a torn line

    def _read(self, line: bytes) -> None:
        """Read a line. Raises ValueError or KeyError if damaged."""
        checksum, _, rest = line.partition(b"\t")
        if int(checksum, 16) != zlib.crc32(rest):
            raise ValueError("damaged")
        stage, name, size, stamp, text = rest[:-1].decode().split("\t", 4)
        if stage:
            number, own = text[2 : SHORT + 2], text[SHORT + 4 : -1]
            footer = Footer(sys.intern(stage), name, State(int(size), stamp), own, self._shared[number])
            self.footers[footer.stage, name] = footer
        else:
            self._shared[name] = text

    def find(self, stage: str, name: str, state: State) -> Record | None:
        """Return the record of an artifact in this state; None if unknown."""
        footer = self.footers.get((stage, name))
        if footer is None or footer.state != state or not state.stamp:
            return None
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            _, key, fingerprint, inputs, content, summary, rows, files, span = json.loads(footer.own)  # order of OWN
            recipe, schema = _parsed(footer.shared)
            span = span and tuple(span)
            return Record(stage, key, fingerprint, recipe, inputs, schema, content, summary, rows, files, span)
        return None

    def add(self, footer: Footer) -> None:
        """Add a footer. Raises OSError if the file can't be written."""
        self.footers[footer.stage, footer.name], self.added = footer, True
        if self._file:
            for line in _lines(footer, self._shared):
                self._file.write(line)
                self.lines += 1
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            with contextlib.suppress(OSError):  # `add` has raised the error before
                self._file.close()


def write(target: Place, footers: Iterable[Footer]) -> None:
    """Write a new index. Raises OSError."""
    shared: dict[str, str] = {}
    with atomic_write(target) as file:
        for footer in footers:
            file.writelines(_lines(footer, shared))


def _lines(footer: Footer, shared: dict[str, str]) -> Iterator[bytes]:
    """Yield the line of a footer, after the line of its recipe and schema if `shared` lacks them."""
    number = _number(footer.shared)
    if number not in shared:
        shared[number] = footer.shared
        yield _line("", number, "", "", footer.shared)
    yield _line(footer.stage, footer.name, *map(str, footer.state), f'["{number}",{footer.own}]')


def _line(*fields: str) -> bytes:
    rest = ("\t".join(fields) + "\n").encode()
    return b"%08x\t" % zlib.crc32(rest) + rest


@functools.lru_cache(maxsize=256)
def _number(shared: str) -> str:
    """Return the digest that refers to a recipe and a schema."""
    return hashlib.sha256(shared.encode()).hexdigest()[:SHORT]


@functools.lru_cache(maxsize=256)
def _parsed(shared: str) -> list[Any]:
    """Return the recipe and the schema in a footer's text."""
    return list(json.loads(shared))
