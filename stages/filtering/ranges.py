"""Copy ranges of bytes from one file to another."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 4 << 20
"""Bytes in memory at a time."""


class Ranges:
    """Ranges of a source in the order in which they are copied; adjacent ranges are joined."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []
        self.size = 0
        """Number of bytes in all ranges."""

    def add(self, start: int, end: int) -> int:
        """Add a range; return the position in the copy at which the range will begin."""
        place = self.size
        self.size += end - start
        if self.parts and self.parts[-1][1] == start:
            self.parts[-1] = self.parts[-1][0], end
        elif end > start:
            self.parts.append((start, end))
        return place

    def flush(self, source: BinaryIO, out: BinaryIO) -> int:
        """Copy all ranges, then forget the ranges; return the number of bytes.

        Raises:
            OSError: a file can't be read or written.
            EOFError: the source ends before the end of a range."""
        for start, end in self.parts:
            source.seek(start)
            copy(source, out, end - start)
        size, self.size, self.parts = self.size, 0, []
        return size


def copy(source: BinaryIO, out: BinaryIO, count: int) -> None:
    """Copy `count` bytes.

    Raises:
        OSError: a file can't be read or written.
        EOFError: the source has fewer bytes."""
    while count:
        data = source.read(min(count, PIECE))
        if not data:
            raise EOFError("the file became shorter while it was copied")
        out.write(data)
        count -= len(data)
