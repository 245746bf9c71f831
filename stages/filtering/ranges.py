"""Copy ranges of bytes from one file to another."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 4 << 20
"""Bytes in memory at a time."""


class Ranges:
    """Ranges of a source in the order in which they are copied; neighbours are joined."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []
        self.size = 0
        """Bytes in all ranges."""

    def add(self, start: int, end: int) -> int:
        """Add a range; return where it begins in the copy."""
        place = self.size
        self.size += end - start
        if self.parts and self.parts[-1][1] == start:
            self.parts[-1] = self.parts[-1][0], end
        elif end > start:
            self.parts.append((start, end))
        return place

    def flush(self, source: BinaryIO, out: BinaryIO) -> int:
        """Copy the ranges and forget them; return their bytes. Raises OSError; EOFError where the source is short."""
        for start, end in self.parts:
            source.seek(start)
            copy(source, out, end - start)
        size, self.size, self.parts = self.size, 0, []
        return size


def copy(source: BinaryIO, out: BinaryIO, count: int) -> None:
    """Copy bytes. Raises OSError; EOFError where the source has fewer."""
    while count:
        data = source.read(min(count, PIECE))
        if not data:
            raise EOFError("the file became shorter while it was copied")
        out.write(data)
        count -= len(data)
