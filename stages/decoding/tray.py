"""Thumbnails on their way from a child to its parent: memory that both see, in two halves by turns.

A socket would copy each of them four times, in pieces of which each waits for the other side. The child fills one half
while the parent empties the other; it never waits: what finds no room travels in the message instead."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

HALF = 1 << 21
"""Bytes of a half: some 170 thumbnails of the usual size."""
HEAD = struct.Struct("QQQ")
"""Files that the child has begun, halves that the parent has emptied, and the last file that the child has read."""
SIZE = HEAD.size + 2 * HALF


class Tray:
    """One side's view of it. `number` is an open file, the same on both sides."""

    def __init__(self, number: int) -> None:
        self._memory = mmap.mmap(number, SIZE)
        self._half = 0
        self._end = self._start
        self._free = True

    @staticmethod
    def new() -> int:
        """An open file of zeros in memory, where the system has such files."""
        if hasattr(os, "memfd_create"):
            number = os.memfd_create("fast-diff")
        else:
            with tempfile.TemporaryFile() as file:
                number = os.dup(file.fileno())
        os.truncate(number, SIZE)
        return number

    @property
    def begun(self) -> int:
        """Files that the child has begun since its start."""
        begun: int = HEAD.unpack_from(self._memory)[0]
        return begun

    @property
    def decoding(self) -> bool:
        """Whether the child has read all of the file that it has begun last."""
        begun, _, read = HEAD.unpack_from(self._memory)
        return bool(begun == read)

    def begin_file(self, begun: int) -> None:
        """The child is about to read its next file."""
        struct.pack_into("Q", self._memory, 0, begun)

    def begin_decoding(self) -> None:
        """Record, in the child, that the file begun last has been read."""
        struct.pack_into("Q", self._memory, 16, self.begun)

    @property
    def _start(self) -> int:
        return HEAD.size + self._half % 2 * HALF

    def put(self, data: bytes) -> int | None:
        """Lay a thumbnail down; returns its place, or None where there is no room."""
        if not self._free or self._end + len(data) > self._start + HALF:
            return None
        place = self._end
        self._end += len(data)
        self._memory[place : self._end] = data
        return place

    def sent(self) -> None:
        """The child has told of all that lies in this half; the other half is its next one, if it is empty."""
        self._half += 1
        self._end = self._start
        self._free = HEAD.unpack_from(self._memory)[1] >= self._half - 1

    def get(self, place: int, size: int) -> bytes:
        """A thumbnail that was laid down."""
        return self._memory[place : place + size]

    def emptied(self) -> None:
        """The parent has taken all that the child told of."""
        self._half += 1
        struct.pack_into("Q", self._memory, 8, self._half)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
