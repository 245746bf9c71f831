"""The index of footers: what those of a run's artifacts say, without opening these.

A line is a CRC-32 of what follows it, then, by tabs: the stage, the name, the size, the stamp, and the record as JSON.
What the artifacts of a stage share, recipe and schema, stands once, in a line whose stage is empty and whose name is
its digest; a record that shares it names that digest. Lines are appended as tasks end; of two on one artifact the later
one counts. A line that is damaged is none.
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
    """A file as a listing shows it; two of equal name and state are taken for the same. `stamp`: its time of
    modification, or an object store's ETag; empty where the store tells neither, or nobody has listed it since."""

    size: int
    stamp: str


UNLISTED = State(-1, "")
"""The state of an object that was put just now."""


class Footer(NamedTuple):
    """A record, in two parts as JSON, and the state of the file that it was read from or written to."""

    stage: str
    name: str
    state: State
    own: str
    shared: str


class _Line(NamedTuple):
    """Where an artifact's line stands in the index, and the state of the file that it is about."""

    state: State
    start: int
    length: int


def footer_of(record: Record, place: Place, state: State | None = None) -> Footer | None:
    """What the index is to know of an artifact; nothing where its file has gone, or its name would break a line."""
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
    """The state of a file of this machine."""
    return State(stat.st_size, str(stat.st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _one_object(text: str) -> str:
    """Equal texts as one object: a message that holds it many times holds it once."""
    return text


class Index:
    """An index in an open file of this machine, which is appended to. Whatever writes raises OSError."""

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
            self._end += file.write(b"\n")  # a line that was torn stays alone

    def find(self, stage: str, name: str, state: State) -> Record | None:
        """What is known of an artifact that is in this state now."""
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
        """Take in what is known of an artifact that was written or read just now."""
        number = hashlib.sha256(footer.shared.encode()).hexdigest()[:SHORT]
        if number not in self._shared:
            self._append(["", number, "", "", footer.shared])
            self._shared[number] = dict(zip(SHARED, json.loads(footer.shared), strict=True))
        self._add(footer.stage, footer.name, footer.state, f'["{number}",{footer.own}]')

    def unlisted(self) -> list[tuple[str, str]]:
        """Stages and names of the artifacts that nobody has listed since they were put."""
        return [address for address, place in self._places.items() if place.state == UNLISTED]

    def set_state(self, stage: str, name: str, state: State) -> None:
        """One of these is in this state."""
        with contextlib.suppress(ValueError):
            self._add(stage, name, state, self._line(stage, name, self._places[stage, name])[4])

    def entries(self) -> Collection[tuple[str, str]]:
        """Stages and names of all the artifacts that it knows."""
        return self._places.keys()

    def write(self, target: Place, kept: Collection[tuple[str, str]]) -> None:
        """A new index of some of the artifacts, without lines that no longer count."""
        places = sorted((self._places[address] for address in kept), key=lambda place: place.start)
        with atomic_write(target) as file:
            file.writelines(line for line in self._all_lines() if line[8:10] == b"\t\t")
            file.writelines(os.pread(self._file.fileno(), place.length, place.start) for place in places)

    def close(self) -> None:
        self._file.close()

    def _line(self, stage: str, name: str, place: _Line) -> list[str]:
        """The fields of an artifact's line. Raises ValueError where they are not what they should be."""
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
        """The lines of the file, which stays open, one at a time."""
        with open(os.dup(self._file.fileno()), "rb") as again:  # noqa: PTH123  # by its number: a file that is open
            again.seek(0)
            yield from again


def _checked(line: bytes) -> list[str]:
    """The fields of a line behind its checksum. Raises ValueError where that does not fit."""
    checksum, _, rest = line.partition(b"\t")
    if int(checksum, 16) != zlib.crc32(rest) or not rest.endswith(b"\n"):
        raise ValueError("damaged")
    return rest[:-1].decode().split("\t", 4)
