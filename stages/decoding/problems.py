"""Why an image could not be read: a stable code, and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What stands in an image's row: `code` is for scripts and does not change, `sentence` is for people."""

    code: str
    sentence: str


EMPTY = Problem("not-an-image", "the file is empty")
NO_IMAGE = Problem("not-an-image", "the bytes are no image of a known format")
TRUNCATED = Problem("truncated", "the image's data is cut short or broken")
MANY_BYTES = Problem("too-large", "the file has more bytes than thumbnail.max_bytes allows")
MANY_PIXELS = Problem("too-large", "the image has more pixels than thumbnail.max_pixels allows")
UNSUPPORTED = Problem("unsupported", "the image uses a feature that can't be decoded")
DRAWING = Problem("unsupported", "a drawing or a document that another program would have to draw")
GONE = Problem("changed", "the file was gone when it was to be read")
CHANGED = Problem("changed", "the file changed between the scan and its reading")
FORBIDDEN = Problem("unreadable", "the file may not be read: permission denied")
NO_FILE = Problem("unreadable", "what stands under this name is no regular file")
BROKEN_DISK = Problem("unreadable", "the file could not be read: input/output error")
CRASHED = Problem("crashed", "the decoder crashed on this file")
MEMORY = Problem("memory", "decoding needs more memory than thumbnail.max_memory allows")
SLOW = Problem("timeout", "reading the file took longer than thumbnail.timeout allows")
TIMEOUT = Problem("timeout", "decoding took longer than thumbnail.timeout allows")

PASSING = frozenset({"unreadable", "changed", "crashed", "timeout", "memory"})
"""Codes that the next run tries again, unless the row has a limit; the others are final until the file changes."""
LIMITS = {MEMORY: "max_memory", TIMEOUT: "timeout"}
"""Problems that recur under the same limit, and the thumbnail stage's parameter that sets the limit. Such an image is
tried again only under a higher limit."""


def needs(name: str, extra: str) -> Problem:
    """An image of a format that an extra of this distribution reads, which is not installed.

    The sentence is part of results, so how to install the extra here is left to the command."""
    return Problem("unsupported", f"{name}: to read it, add the extra {extra}; fast-diff formats says how")


class Unreadable(Exception):
    """An error of one image; `decoder` is what would have to be installed to read it."""

    def __init__(self, problem: Problem, decoder: str | None = None) -> None:
        super().__init__(problem.sentence)
        self.problem, self.decoder = problem, decoder
