"""Read images inside containers with few large reads, in the order of their bytes.

A process keeps containers open for later members. The caller announces the next members to `OpenContainers.expect`,
so that one read of up to WINDOW bytes covers neighbouring members."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from stages.decoding import problems
from stages.decoding.location import Location, location_of
from stages.decoding.opened_file import OpenedFile, decompressed
from stages.decoding.problems import Unreadable
from stages.decoding.sources import Expected, is_of_storage, storage_errors_converted

KEPT = 4
"""Greatest number of containers that a process keeps open."""
WINDOW = 8 << 20
"""Greatest size in bytes of one read, unless a single member is larger."""
GAP = 1 << 16
"""Greatest gap in bytes between two members that one read covers."""
LOCAL_HEADER = struct.Struct("<4sHHHHHLLLHH")
"""A local header of zip: signature, eight fields that the directory repeats, lengths of the name and of extra data."""
SIGNATURE = b"PK\x03\x04"
EXTRA = 512
"""Bytes that are read along with a member, for the name and the extra data of its local header."""
STORED, DEFLATED, BZIP2 = 0, 8, 12
METHODS = frozenset({STORED, DEFLATED, BZIP2})
"""Compression methods of zip members that can be read."""


class Extent(NamedTuple):
    """Where the bytes of a member lie in its container."""

    start: int
    end: int


def _extent(place: Location, size: int) -> Extent | None:
    """Return the extent of a member; None for a member of a compressed tar or a Parquet file."""
    if place.kind == "raw":
        return Extent(place.numbers[0], place.numbers[0] + size)
    if place.kind == "zip":
        start, packed, *_ = place.numbers
        return Extent(start, start + LOCAL_HEADER.size + EXTRA + packed)
    return None


def reading_order(files: list[Expected]) -> list[int]:
    """Return the indices of files in the order in which reading is fastest.

    The members of a container follow one another in the order of their bytes, from the container's first index on."""
    first: dict[bytes, int] = {}
    keys: list[tuple[int, tuple[int, ...], int]] = []
    for number, file in enumerate(files):
        if file.location:
            place = location_of(file.path, file.location)
            at = () if place.kind == "broken" else place.numbers
            keys.append((first.setdefault(place.container, number), at, number))
        else:
            keys.append((number, (), number))
    return [number for *_, number in sorted(keys)]


class OpenContainers:
    """The containers that a process keeps open."""

    def __init__(self) -> None:
        self._opened: OrderedDict[bytes, OpenedFile] = OrderedDict()
        self._spans: dict[tuple[bytes, int], Extent] = {}

    def expect(self, files: Iterable[Expected], max_bytes: int) -> None:
        """Plan the reads of the next members; `files` are in reading order."""
        self._spans.clear()
        starts: list[tuple[bytes, int]] = []
        whole, container = Extent(0, 0), b""
        for file in files:
            place = location_of(file.path, file.location) if file.location else None
            extent = _extent(place, file.size) if place and file.size <= max_bytes else None
            if place is None or extent is None:
                continue
            near = whole.start <= extent.start <= whole.end + GAP and extent.end - whole.start <= WINDOW
            if place.container != container or not near:
                self._set(starts, whole)
                whole, starts = extent, []
            container = place.container
            whole = Extent(whole.start, max(whole.end, extent.end))
            starts.append((container, extent.start))
        self._set(starts, whole)

    def _set(self, starts: list[tuple[bytes, int]], whole: Extent) -> None:
        if len(starts) > 1:
            self._spans |= dict.fromkeys(starts, whole)

    def opened(self, name: bytes) -> OpenedFile:
        """Return an open container. Raises OSError."""
        if name in self._opened:
            self._opened.move_to_end(name)
            return self._opened[name]
        opened = self._opened[name] = OpenedFile(name)
        if len(self._opened) > KEPT:
            self._opened.popitem(last=False)[1].close()
        return opened

    def close(self) -> None:
        """Close every container; later reads open containers anew."""
        for opened in self._opened.values():
            opened.close()
        self._opened.clear()
        self._spans.clear()

    def member(self, place: Location, size: int) -> bytes:
        """Return the bytes of a member.

        Raises:
            Unreadable: the member is damaged.
            OSError: the container can't be read."""
        opened = self.opened(place.container)
        if place.kind == "stream":
            return _from_stream(opened, place.numbers[0], size)
        if place.kind == "parquet":
            from stages.decoding.row_groups import row_value

            return row_value(opened, *place.numbers)
        extent = _extent(place, size)
        assert extent is not None
        data = opened.read(*extent, self._spans.get((place.container, extent.start)))
        return _unpacked(opened, data, place, size) if place.kind == "zip" else _whole(data, size)


def read_member(
    file: Expected, trust: str, max_bytes: int, containers: OpenContainers | None = None
) -> tuple[bytes, str]:
    """Return a member's bytes and their SHA-256 in hex.

    containers  containers that stay open; None: the container is opened for this member alone

    Raises:
        Unreadable: the member can't be read, its container has changed, or the member is too large."""
    place = location_of(file.path, file.location)
    if place.kind == "broken":
        raise Unreadable(place.problem)
    if file.size > max_bytes:
        raise Unreadable(problems.MANY_BYTES)
    cached = containers or OpenContainers()
    try:
        with storage_errors_converted():
            opened = cached.opened(place.container)
            stamp = file.stamp.removesuffix(f" {file.location}")
            if stamp != file.stamp and not opened.has_stamp(stamp, trust):
                raise Unreadable(problems.CHANGED)
            data = cached.member(place, file.size)
    finally:
        if containers is None:
            cached.close()
    if len(data) > max_bytes:
        raise Unreadable(problems.MANY_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    if stamp == file.stamp and digest != stamp:
        raise Unreadable(problems.CHANGED)
    return data, digest


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise Unreadable(problems.MEMBER_CUT)
    return data


def _from_stream(opened: OpenedFile, start: int, size: int) -> bytes:
    """Return a member of a compressed tar; the stream stays open for the next member."""
    try:
        stream = opened.stream(decompressed)
        stream.seek(start)
        return _whole(stream.read(size), size)
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable(problems.MEMORY) from error
    except Exception as error:  # hostile bytes make decompressors raise errors of many kinds
        if is_of_storage(error):
            raise
        raise Unreadable(problems.MEMBER_BROKEN) from error


def _unpacked(opened: OpenedFile, data: bytes, place: Location, size: int) -> bytes:
    """Return the content of a zip member; `data` starts at the member's local header."""
    start, packed, method, crc = place.numbers
    if len(data) < LOCAL_HEADER.size or not data.startswith(SIGNATURE):
        raise Unreadable(problems.MEMBER_BROKEN)
    *_, name, extra = LOCAL_HEADER.unpack_from(data)
    at = LOCAL_HEADER.size + name + extra
    raw = data[at : at + packed]
    if len(raw) < packed:
        raw = opened.read(start + at, start + at + packed)
    try:
        found = _decompressed(_whole(raw, packed), method, size)
    except MemoryError as error:
        raise Unreadable(problems.MEMORY) from error
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise Unreadable(problems.MEMBER_BROKEN) from error
    if len(found) != size or zlib.crc32(found) != crc:
        raise Unreadable(problems.MEMBER_BROKEN)
    return found


def _decompressed(raw: bytes, method: int, size: int) -> bytes:
    """Return the content of a zip member; decompression stops after `size` + 1 bytes."""
    if method == STORED:
        return raw
    if method == DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, size + 1)
    import bz2

    return bz2.BZ2Decompressor().decompress(raw, size + 1)
