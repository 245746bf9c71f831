"""Write a copy of a zip without some members.

The kept members are copied with their local headers, byte by byte, in the order of their positions. The directory
keeps its order, without the entries of removed members; in the other entries, only the positions of members change."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stages.decoding.containers import LOCAL_HEADER, SIGNATURE
from stages.decoding.opened_file import OpenedFile
from stages.filtering.outcome import Refused, Removal, Rewritten, check_found
from stages.filtering.ranges import Ranges
from stages.filtering.samples import Samples
from stages.listing.members import DIRECTORY, SMALL, UniqueNames, member_name, opened_zip

ENTRY = struct.Struct("<4s6H3L5H2L")
"""An entry of the directory: signature, versions, flags, method, time, date, CRC-32, sizes, lengths of name, extra data
and comment, disk, attributes, and the position of the local header."""
ENTRY_SIGNATURE = b"PK\x01\x02"
END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
"""The records after the directory, with its number of entries, its size and its position; END_64 and LOCATOR_64 are
written only for numbers that do not fit in END."""
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
"""Values of a field whose number is stored in a 64-bit field instead."""
PLACE_AT = 42
"""Offset of the local header's position in an entry."""
EXTRA_64 = 1


def rewrite_zip(opened: OpenedFile, removal: Removal, out: BinaryIO) -> Rewritten:
    """Write a copy of a zip without removed images and their companions.

    Raises:
        Refused: an image to remove is not in the zip, or the directory is damaged.
        OSError: a file can't be read or written."""
    archive = _opened(opened)
    infos = archive.infolist()
    reasons, found = _removal_reasons(infos, removal)
    check_found(removal.names, found)
    ends = _ends(infos, archive.start_dir)
    source = opened.file(SMALL)
    whole = [_is_whole(source, info, ends[info.header_offset]) for info in infos]
    keeps = [fine and why is None for fine, why in zip(whole, reasons, strict=True)]
    ranges, places = Ranges(), dict[int, int]()
    for place in sorted({info.header_offset for info, kept in zip(infos, keeps, strict=True) if kept}):
        places[place] = ranges.add(place, ends[place])
    entries = _entries(opened.read(archive.start_dir, archive.start_dir + DIRECTORY), len(infos))
    try:
        size = ranges.flush(opened.file(), out)
    except EOFError as error:
        raise Refused(str(error)) from error
    directory = [
        _moved(entry, places[info.header_offset])
        for entry, info, kept in zip(entries, infos, keeps, strict=True)
        if kept
    ]
    out.write(b"".join(directory))
    out.write(_end(len(directory), sum(map(len, directory)), size, archive.comment))
    images, companions = (
        sum(w and why == kind for w, why in zip(whole, reasons, strict=True)) for kind in (True, False)
    )
    unreadable = whole.count(False)
    note = f"damaged: {unreadable:,} members can't be read" if unreadable else ""
    return Rewritten(len(infos), len(directory), images, companions, unreadable, note)


def _opened(opened: OpenedFile) -> zipfile.ZipFile:
    try:
        return opened_zip(opened.file())
    except Exception as error:  # hostile bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refused("the directory of the zip can't be read") from error


def _removal_reasons(infos: list[zipfile.ZipInfo], removal: Removal) -> tuple[list[bool | None], set[bytes]]:
    """Return why each member is removed, and the names of all images.

    The reason is True for an image to remove, False for its companion, and None for a kept member."""
    names, samples = UniqueNames(), Samples()
    found: set[bytes] = set()
    images: list[bool | None] = []
    of = []
    for info in infos:
        name = member_name(info.filename)
        is_file = not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
        image = is_file and removal.wanted(name)
        own = names.unique(name) if image else name
        found |= {own} if image else set()
        images.append(own in removal.names if image else None)
        of.append(samples.add(name, images[-1]) if is_file else (b"", 0))
    reasons = [
        (True if image else None) if image is not None else (False if samples.removes(sample) else None)
        for image, sample in zip(images, of, strict=True)
    ]
    return reasons, found


def _ends(infos: list[zipfile.ZipInfo], directory: int) -> dict[int, int]:
    """Return the end of each member by the position of its local header: the start of the next header or directory."""
    places = sorted({info.header_offset for info in infos})
    return dict(zip(places, [*places[1:], max(directory, *places[-1:])] if places else [], strict=True))


def _is_whole(source: BinaryIO, info: zipfile.ZipInfo, end: int) -> bool:
    """Return whether a member has a local header, and ends at `end` or before."""
    if info.header_offset < 0:
        return False
    source.seek(info.header_offset)
    head = source.read(LOCAL_HEADER.size)
    if len(head) < LOCAL_HEADER.size or not head.startswith(SIGNATURE):
        return False
    *_, name, extra = LOCAL_HEADER.unpack(head)
    return bool(info.header_offset + LOCAL_HEADER.size + name + extra + info.compress_size <= end)


def _entries(data: bytes, count: int) -> Iterator[bytes]:
    """Yield the entries of a directory. Raises Refused."""
    place = 0
    for _ in range(count):
        if len(data) < place + ENTRY.size or not data.startswith(ENTRY_SIGNATURE, place):
            raise Refused("the directory of the zip is damaged")
        *_, name, extra, comment, _disk, _inner, _outer, _place = ENTRY.unpack_from(data, place)
        end = place + ENTRY.size + name + extra + comment
        yield data[place:end]
        place = end


def _moved(entry: bytes, place: int) -> bytes:
    """Return a directory entry whose member moves to the position `place`, at most the old position."""
    changed = bytearray(entry)
    fields = ENTRY.unpack_from(entry)
    packed, size, name, extra = fields[8], fields[9], fields[10], fields[11]
    if fields[-1] != FULL_32:
        struct.pack_into("<L", changed, PLACE_AT, place)
        return bytes(changed)
    at = ENTRY.size + name
    while at < ENTRY.size + name + extra:
        kind, length = struct.unpack_from("<HH", entry, at)
        if kind == EXTRA_64:
            struct.pack_into("<Q", changed, at + 4 + 8 * ((size == FULL_32) + (packed == FULL_32)), place)
            return bytes(changed)
        at += 4 + length
    raise Refused("the directory of the zip is damaged")


def _end(count: int, size: int, place: int, comment: bytes) -> bytes:
    """Return the records after a directory.

    count  number of entries in the directory
    size   number of bytes in the directory
    place  position of the directory"""
    last = END.pack(
        b"PK\x05\x06",
        0,
        0,
        min(count, FULL_16),
        min(count, FULL_16),
        min(size, FULL_32),
        min(place, FULL_32),
        len(comment),
    )
    if count < FULL_16 and size < FULL_32 and place < FULL_32:
        return last + comment
    large = END_64.pack(b"PK\x06\x06", END_64.size - 12, 45, 45, 0, 0, count, count, size, place)
    return large + LOCATOR_64.pack(b"PK\x06\x07", 0, place + size, 1) + last + comment


def count_zip(path: Path) -> int:
    """Return the number of members of a zip.

    Raises:
        OSError: the file can't be read.
        Exception: the zip is damaged."""
    with path.open("rb") as file:
        return len(opened_zip(file).infolist())
