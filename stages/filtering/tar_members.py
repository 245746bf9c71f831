"""Read the members of a tar for `tar.py`: headers, hard links, and the part that can't be read."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import BinaryIO

from stages.filtering.outcome import Removal
from stages.filtering.ranges import PIECE
from stages.filtering.samples import Sample, Samples
from stages.listing.members import BLOCK, UniqueNames, member_name, opened_tar


@dataclass(slots=True)
class TarEntry:
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


class TarMembers:
    """The members of a tar, in order.

    whole  whether the tar has an end mark
    rest   position of data after the end mark, such as a second tar; None without such data"""

    def __init__(self, removal: Removal) -> None:
        self.entries: list[TarEntry] = []
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
        self.entries.append(TarEntry(info.offset, info.offset_data, close, end, own, sample, regular, target, link))
        if regular and image:
            self._images[info.name] = number
        if regular or target is not None:
            self._files[info.name] = number

    def _is_removed(self, entry: TarEntry) -> bool:
        if entry.own is not None:
            return entry.own in self._removal.names
        return (entry.regular or entry.link is not None) and self._samples.removes(entry.sample)

    def content(self, entry: TarEntry) -> TarEntry | None:
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
