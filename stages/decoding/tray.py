"""Pass thumbnails from a child to its parent through shared memory.

The memory has two halves: the child fills one half while the parent empties the other half. A socket would copy each
thumbnail four times. The child never waits: a thumbnail that does not fit is sent in the message instead."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

HALF = 1 << 21
"""Bytes of a half: some 170 thumbnails of the default size."""
HEADER = struct.Struct("QQQ")
"""Number of files that the child has begun, of halves that the parent has emptied, and of the last file read."""
TRAY_BYTES = HEADER.size + 2 * HALF


class Tray:
    """One side's view of the shared memory.

    number  the descriptor of an open file, the same file on both sides"""

    def __init__(self, number: int) -> None:
        self._memory = mmap.mmap(number, TRAY_BYTES)
        self._half = 0
        self._end = self._start
        self._free = True

    @staticmethod
    def new() -> int:
        """Return the descriptor of a new file of zeros, in memory where the system can."""
        if hasattr(os, "memfd_create"):
            number = os.memfd_create("fast-diff")
        else:
            with tempfile.TemporaryFile() as file:
                number = os.dup(file.fileno())
        os.truncate(number, TRAY_BYTES)
        return number

    @property
    def begun(self) -> int:
        """Return how many files the child has begun since its start."""
        begun: int = HEADER.unpack_from(self._memory)[0]
        return begun

    @property
    def decoding(self) -> bool:
        """Return whether the child has finished reading the file begun last."""
        begun, _, read = HEADER.unpack_from(self._memory)
        return bool(begun == read)

    def begin_file(self, begun: int) -> None:
        """Record that the child begins to read its next file, which is number `begun`."""
        struct.pack_into("Q", self._memory, 0, begun)

    def begin_decoding(self) -> None:
        """Record that the child has read the file begun last."""
        struct.pack_into("Q", self._memory, 16, self.begun)

    @property
    def _start(self) -> int:
        return HEADER.size + self._half % 2 * HALF

    def put(self, data: bytes) -> int | None:
        """Store a thumbnail; return its offset, or None if the half is full."""
        if not self._free or self._end + len(data) > self._start + HALF:
            return None
        place = self._end
        self._end += len(data)
        self._memory[place : self._end] = data
        return place

    def sent(self) -> None:
        """Switch the child to the other half, after the message about the current half.

        `put` stores nothing in a half that the parent has not emptied yet."""
        self._half += 1
        self._end = self._start
        self._free = HEADER.unpack_from(self._memory)[1] >= self._half - 1

    def get(self, place: int, size: int) -> bytes:
        """Return a stored thumbnail."""
        return self._memory[place : place + size]

    def emptied(self) -> None:
        """Record that the parent has emptied the current half."""
        self._half += 1
        struct.pack_into("Q", self._memory, 8, self._half)

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()
