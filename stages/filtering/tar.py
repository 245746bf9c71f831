"""Write a copy of a tar, compressed or not, without some members.

The headers are read first. Then the kept members are copied with their headers, byte by byte, in the same order. A
hard link to a removed member becomes a file with the content of the removed member."""

from __future__ import annotations

import bz2
import copy
import gzip
import lzma
import shutil
import tarfile
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from stages.decoding.opened_file import OpenedFile, decompressed
from stages.filtering.outcome import Removal, Rewritten, check_found
from stages.filtering.ranges import PIECE, Ranges
from stages.filtering.ranges import copy as copy_bytes
from stages.filtering.tar_members import TarEntry, TarMembers
from stages.listing.members import BLOCK, SMALL, opened_tar

LEVEL = 6
"""Compression level of gzip."""
TRIES = 4
"""Greatest number of members before a damaged part that are dropped, one after the other."""
DAMAGED = "damaged: members after the first {:,} can't be read"
MORE = "data after the end of the tar, such as a second tar, is not read: copied as it is"


def rewrite_tar(opened: OpenedFile, removal: Removal, out: BinaryIO) -> Rewritten:
    """Write a copy of a tar, with the same compression, without removed images and their companions.

    Raises:
        Refused: an image to remove is not in the tar.
        OSError: a file can't be read or written."""
    found = read_members(opened, removal)
    check_found(removal.names, {entry.own for entry in found.entries if entry.own is not None})
    links = _write_readable(found, opened, out)
    unreadable = links + sum(entry.lost for entry in found.entries)
    images = sum(entry.removed and not entry.lost and entry.own is not None for entry in found.entries)
    others = sum(entry.removed and not entry.lost and entry.own is None for entry in found.entries)
    members = len(found.entries)
    note = "" if found.rest is None else MORE
    if not found.whole or unreadable:
        note = DAMAGED.format(members - sum(entry.lost for entry in found.entries))
    return Rewritten(members, members - images - others - unreadable, images, others, unreadable, note)


def _write_readable(found: TarMembers, opened: OpenedFile, out: BinaryIO) -> int:
    """Write the kept members; return the number of hard links whose content is lost.

    A decompressor fails some kilobytes before the damaged bytes, so the last members before the damage may be lost.

    Raises:
        OSError: a file can't be read or written.
        EOFError, zlib.error: a whole tar can't be decompressed, or too many members are lost."""
    tries = 0
    while True:
        try:
            source = decompressed(opened.file())
            with _compressing(source, out) as target:
                return _write(found, source, target)
        except Exception as error:
            left = [entry for entry in found.entries if not entry.lost]
            is_storage = isinstance(error, OSError) and error.errno is not None
            if found.whole or tries == TRIES or not left or is_storage or isinstance(error, MemoryError):
                raise
            left[-1].lost, tries = True, tries + 1
            out.seek(0)
            out.truncate()


def read_members(opened: OpenedFile, removal: Removal) -> TarMembers:
    """Return the members of a tar up to its end, or up to the first damaged part. Raises OSError."""
    found = TarMembers(removal)
    found.read(decompressed(opened.file(SMALL)))
    return found


def _write(found: TarMembers, source: BinaryIO, out: BinaryIO) -> int:
    """Write the kept members; return the number of hard links whose content is lost."""
    ranges, size, end, lost = Ranges(), 0, 0, 0
    headers: list[tuple[int, int]] = []
    for entry in found.entries:
        headers.append((end, entry.start))  # headers between members apply to all following members
        end = entry.end
        if entry.removed or entry.lost:
            continue
        for header in headers:
            ranges.add(*header)
        headers.clear()
        content = found.content(entry)
        if content is None:
            ranges.add(entry.start, entry.end)
        elif content.lost or entry.link is None:
            lost += 1
        else:
            size += ranges.flush(source, out) + _write_content(entry.link, content, source, out)
    size += ranges.flush(source, out)
    out.write(bytes(-size % BLOCK))  # a member at the end of the file may lack its padding
    size += -size % BLOCK
    out.write(bytes(2 * BLOCK + -(size + 2 * BLOCK) % tarfile.RECORDSIZE))
    if found.rest is not None:
        source.seek(found.rest)
        shutil.copyfileobj(source, out, PIECE)
    return lost


def _write_content(link: tarfile.TarInfo, content: TarEntry, source: BinaryIO, out: BinaryIO) -> int:
    """Write a file with the name of a link and the content of another member; return the number of bytes."""
    info = copy.copy(link)
    info.type, info.linkname, info.size = tarfile.REGTYPE, "", content.close - content.data
    info.pax_headers = {key: text for key, text in link.pax_headers.items() if key not in ("linkpath", "size")}
    head = info.tobuf(tarfile.PAX_FORMAT if link.pax_headers else tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    padding = bytes(-info.size % BLOCK)
    out.write(head)
    source.seek(content.data)
    copy_bytes(source, out, info.size)
    out.write(padding)
    return len(head) + info.size + len(padding)


def _compressing(source: object, out: BinaryIO) -> Any:
    """Return a context manager for a file that writes to `out` with the compression of `source`."""
    match source:
        case gzip.GzipFile():
            return closing(gzip.GzipFile("", "wb", LEVEL, out, mtime=0))
        case bz2.BZ2File():
            return closing(bz2.BZ2File(out, "wb"))
        case lzma.LZMAFile():
            return closing(lzma.LZMAFile(out, "wb"))
    return nullcontext(out)


def count_tar(path: Path) -> int:
    """Return the number of members of a tar.

    Raises:
        OSError: the file can't be read.
        Exception: the tar is damaged."""
    count = 0
    with path.open("rb") as file:
        tar = opened_tar(decompressed(file))
        while tar.next() is not None:
            tar.members.clear()  # type: ignore[attr-defined]
            count += 1
    return count
