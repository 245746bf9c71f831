"""Index of footers: one file with the records of all artifacts of a run, to read without opening the artifacts.

A line holds, separated by tabs: a CRC-32 of the rest of the line, stage, artifact name, size, stamp, record as JSON.
Recipe and schema, which the artifacts of a stage share, are in a line of their own with an empty stage and their digest
as the name; records refer to that digest. Lines are appended as tasks end. The last line of an artifact counts, and
damaged lines are skipped.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.plan.fingerprint import SHORT
from pipeline.store.artifact import Record
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.locations import Place

SHARED = ("recipe", "schema")
OWN = tuple(field.name for field in fields(Record) if field.name not in SHARED)


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


class _Line(NamedTuple):
    """Position of an artifact's line, and the state of the artifact's file."""

    state: State
    start: int
    length: int


def footer_of(record: Record, place: Place, state: State | None = None) -> Footer | None:
    """Return an artifact's footer; None if deleted, or for an unprintable name."""
    try:
        state = state or (state_of(place.stat()) if isinstance(place, Path) else UNLISTED)
    except OSError:
        return None
    if not place.name.isprintable():
        return None
    own = json.dumps([getattr(record, name) for name in OWN], separators=(",", ":"), sort_keys=True)
    shared = json.dumps([getattr(record, name) for name in SHARED], separators=(",", ":"), sort_keys=True)
    return Footer(record.stage, place.name, state, own, _one_object(shared))


def state_of(stat: os.stat_result) -> State:
    """Return the state of a local file."""
    return State(stat.st_size, str(stat.st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _one_object(text: str) -> str:
    """Return one object for equal texts: pickle stores an object once in a message."""
    return text


class Index:
    """Index in an open local file; methods that append raise OSError."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._places: dict[tuple[str, str], _Line] = {}
        self._shared: dict[str, Mapping[str, Any]] = {}
        self._end = 0
        self.lines = self.added = 0
        line = b"\n"
        for line in self._all_lines():
            start, self._end, self.lines = self._end, self._end + len(line), self.lines + 1
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                _, stage, name, size, stamp, _ = line.decode().split("\t", 5)
                if stage:
                    self._places[sys.intern(stage), name] = _Line(State(int(size), stamp), start, len(line))
                else:
                    shared = json.loads(_checked(line)[4])
                    self._shared[name] = dict(zip(SHARED, shared, strict=True))
        if file.writable() and not line.endswith(b"\n"):
            self._end += file.write(b"\n")  # ends a torn line

    def find(self, stage: str, name: str, state: State) -> Record | None:
        """Return the record of an artifact in this state; None if unknown."""
        place = self._places.get((stage, name))
        if place is None or place.state != state or not state.stamp:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            number, own = json.loads(self._line(stage, name, place)[4])
            values: dict[str, Any] = {**dict(zip(OWN, own, strict=True)), **self._shared[number]}
            values["span"] = values["span"] and tuple(values["span"])
            return Record(**values)
        return None

    def add(self, footer: Footer) -> None:
        """Add the footer of an artifact."""
        number = hashlib.sha256(footer.shared.encode()).hexdigest()[:SHORT]
        if number not in self._shared:
            self._append(["", number, "", "", footer.shared])
            self._shared[number] = dict(zip(SHARED, json.loads(footer.shared), strict=True))
        self._add(footer.stage, footer.name, footer.state, f'["{number}",{footer.own}]')

    def unlisted(self) -> list[tuple[str, str]]:
        """Return stages and names of the artifacts in the state UNLISTED."""
        return [address for address, place in self._places.items() if place.state == UNLISTED]

    def set_state(self, stage: str, name: str, state: State) -> None:
        """Set the state of an artifact of `unlisted`."""
        with contextlib.suppress(ValueError):
            self._add(stage, name, state, self._line(stage, name, self._places[stage, name])[4])

    def entries(self) -> Collection[tuple[str, str]]:
        """Return stages and names of all artifacts in the index."""
        return self._places.keys()

    def write(self, target: Place, kept: Collection[tuple[str, str]]) -> None:
        """Write a new index of the artifacts `kept`, without superseded lines."""
        places = sorted((self._places[address] for address in kept), key=lambda place: place.start)
        with atomic_write(target) as file:
            file.writelines(line for line in self._all_lines() if line[8:10] == b"\t\t")
            file.writelines(os.pread(self._file.fileno(), place.length, place.start) for place in places)

    def close(self) -> None:
        self._file.close()

    def _line(self, stage: str, name: str, place: _Line) -> list[str]:
        """Return the fields of an artifact's line. Raises ValueError for another line."""
        found = _checked(os.pread(self._file.fileno(), place.length, place.start))
        if found[:4] != [stage, name, str(place.state.size), place.state.stamp]:
            raise ValueError("another line")
        return found

    def _add(self, stage: str, name: str, state: State, record: str) -> None:
        length = self._append([stage, name, str(state.size), state.stamp, record])
        self._places[stage, name] = _Line(state, self._end - length, length)

    def _append(self, line: list[str]) -> int:
        rest = ("\t".join(line) + "\n").encode()
        whole = b"%08x\t" % zlib.crc32(rest) + rest
        if self._file.write(whole) != len(whole):
            raise OSError("the disk is full")
        self._end, self.lines, self.added = self._end + len(whole), self.lines + 1, self.added + 1
        return len(whole)

    def _all_lines(self) -> Iterator[bytes]:
        """Yield the lines of the file, which stays open."""
        with open(os.dup(self._file.fileno()), "rb") as again:  # noqa: PTH123  # a descriptor, no path
            again.seek(0)
            yield from again


def _checked(line: bytes) -> list[str]:
    """Return a line's fields after the checksum. Raises ValueError if damaged."""
    checksum, _, rest = line.partition(b"\t")
    if int(checksum, 16) != zlib.crc32(rest) or not rest.endswith(b"\n"):
        raise ValueError("damaged")
    return rest[:-1].decode().split("\t", 4)
