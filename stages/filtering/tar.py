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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stages.decoding.opened_file import OpenedFile, decompressed
from stages.filtering.outcome import Removal, Rewritten, check_found
from stages.filtering.ranges import PIECE, Ranges
from stages.filtering.ranges import copy as copy_bytes
from stages.filtering.samples import Sample, Samples
from stages.listing.members import BLOCK, SMALL, UniqueNames, member_name, opened_tar

LEVEL = 6
"""Compression level of gzip."""
TRIES = 4
"""Greatest number of members before a damaged part that are dropped, one after the other."""
DAMAGED = "damaged: members after the first {:,} can't be read"
MORE = "data after the end of the tar, such as a second tar, is not read: copied as it is"


@dataclass(slots=True)
class _Entry:
    """A member: its headers begin at `start`, its content lies from `data` to `close`, and its padding ends at `end`.

    own      name of an image; None for other members
    target   number of the member that a hard link points to; None for other members, and for a link to nothing
    removed  whether the member is removed
    lost     whether the member can't be read"""

    start: int
    data: int
    close: int
    end: int
    own: bytes | None
    sample: Sample
    regular: bool
    target: int | None
    link: tarfile.TarInfo | None
    removed: bool = False
    lost: bool = False


class _Members:
    """The members of a tar, in order.

    whole  whether the tar has an end mark
    rest   position of data after the end mark, such as a second tar; None without such data"""

    def __init__(self, removal: Removal) -> None:
        self.entries: list[_Entry] = []
        self.whole = False
        self.rest: int | None = None
        self._removal, self._names, self._samples = removal, UniqueNames(), Samples()
        self._files: dict[str, int] = {}
        self._images: dict[str, int] = {}

    def read(self, stream: BinaryIO) -> None:
        """Read all headers up to the end, or up to the first damaged part. Raises OSError."""
        try:
            tar = opened_tar(stream)
            last = -1
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
                if info.size < 0 or info.offset <= last:
                    raise tarfile.ReadError("the headers run backwards")
                last = info.offset
                self._add(info, tar.offset)
            stream.seek(tar.offset)
            end = stream.read(BLOCK)
            self.whole = bool(end) and not end.strip(b"\0")
            self.rest = _next_data(stream) if self.whole else None
        except Exception as error:  # hostile bytes
            if isinstance(error, OSError) and error.errno is not None:
                raise
        if self.entries:
            last_one = self.entries[-1]
            last_one.lost = not _is_there(stream, last_one.close)
            last_one.end = last_one.end if _is_there(stream, last_one.end) else last_one.close
        for entry in self.entries:
            entry.removed = self._is_removed(entry)

    def _add(self, info: tarfile.TarInfo, end: int) -> None:
        name, number = member_name(info.name), len(self.entries)
        regular = info.isreg()
        target = self._files.get(info.linkname) if info.islnk() else None
        image = (regular or (info.islnk() and info.linkname in self._images)) and self._removal.wanted(name)
        own = self._names.unique(name) if image else None
        sample = self._samples.add(name, own in self._removal.names if own is not None else None)
        close = info.offset_data if not regular else end if info.issparse() else info.offset_data + info.size
        link = info if info.islnk() else None
        self.entries.append(_Entry(info.offset, info.offset_data, close, end, own, sample, regular, target, link))
        if regular and image:
            self._images[info.name] = number
        if regular or target is not None:
            self._files[info.name] = number

    def _is_removed(self, entry: _Entry) -> bool:
        if entry.own is not None:
            return entry.own in self._removal.names
        return (entry.regular or entry.link is not None) and self._samples.removes(entry.sample)

    def content(self, entry: _Entry) -> _Entry | None:
        """Return the member with the content of a hard link, if the link would be broken in the result; else None.

        A link is broken if its target is removed or unreadable, or if its target is a broken link."""
        lost = False
        while entry.target is not None:
            entry = self.entries[entry.target]
            lost = lost or entry.removed or entry.lost
        return entry if lost else None


def _next_data(stream: BinaryIO) -> int | None:
    """Return the position of the next block that is not empty; None if there is no such block."""
    while data := stream.read(PIECE):
        if data.strip(b"\0"):
            return (stream.tell() - len(data.lstrip(b"\0"))) // BLOCK * BLOCK
    return None


def _is_there(stream: BinaryIO, end: int) -> bool:
    try:
        stream.seek(max(0, end - 1))
        return end == 0 or len(stream.read(1)) == 1
    except Exception as error:  # hostile bytes make decompressors raise errors of many kinds
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return False


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


def _write_readable(found: _Members, opened: OpenedFile, out: BinaryIO) -> int:
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


def read_members(opened: OpenedFile, removal: Removal) -> _Members:
    """Return the members of a tar up to its end, or up to the first damaged part. Raises OSError."""
    found = _Members(removal)
    found.read(decompressed(opened.file(SMALL)))
    return found


def _write(found: _Members, source: BinaryIO, out: BinaryIO) -> int:
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


def _write_content(link: tarfile.TarInfo, content: _Entry, source: BinaryIO, out: BinaryIO) -> int:
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
