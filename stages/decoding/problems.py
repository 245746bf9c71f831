"""List the reasons why an image can't be read, each with a stable code and a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A reason, as stored in an image's row.

    code      stable, for scripts
    sentence  for people"""

    code: str
    sentence: str


EMPTY = Problem("not-an-image", "the file is empty")
NO_IMAGE = Problem("not-an-image", "not a recognised image format")
TRUNCATED = Problem("truncated", "the image data is truncated or damaged")
MANY_BYTES = Problem("too-large", "the file has more bytes than thumbnail.max_bytes allows")
MANY_PIXELS = Problem("too-large", "the image has more pixels than thumbnail.max_pixels allows")
UNSUPPORTED = Problem("unsupported", "the image uses an unsupported feature")
DRAWING = Problem("unsupported", "vector drawings and documents are not supported")
GONE = Problem("changed", "the file disappeared between scanning and reading")
CHANGED = Problem("changed", "the file changed between scanning and reading")
FORBIDDEN = Problem("unreadable", "permission denied")
NO_FILE = Problem("unreadable", "not a regular file")
BROKEN_DISK = Problem("unreadable", "input/output error while reading the file")
CONTAINER = Problem("container", "the container can't be listed: it is truncated, damaged or of another format")
CONTAINER_ENDS = Problem("container", "the container is damaged: members after the damage can't be listed")
CONTAINER_MORE = Problem("container", "data after the end of the tar, such as a second tar, is not read")
MEMBER_CUT = Problem("truncated", "the container ends inside this member")
MEMBER_BROKEN = Problem("truncated", "the member's data in the container is damaged")
ENCRYPTED = Problem("encrypted", "the member is encrypted")
METHOD = Problem("unsupported", "the member is compressed by an unsupported method")
SPARSE = Problem("unsupported", "the member is stored as a sparse file")
NO_VALUE = Problem("not-an-image", "the row has no image bytes")
NAMED = Problem(
    "not-an-image",
    "the row names a file and has no image bytes: give the files as a list, or store their bytes in the table",
)
DICTIONARY = Problem("container", "Arrow files with dictionary columns are not read: write the table as Parquet")
NO_COLUMN = Problem("container", "no column of images was found; name the column as {path: ..., column: ...}")
ABSENT = Problem("unreadable", "the file that the list names does not exist")
CRASHED = Problem("crashed", "the decoder crashed on this file")
MEMORY = Problem("memory", "decoding needs more memory than thumbnail.max_memory allows")
SLOW = Problem("timeout", "reading the file took longer than thumbnail.timeout allows")
TIMEOUT = Problem("timeout", "decoding took longer than thumbnail.timeout allows")
NO_VECTOR = Problem("no-vector", "the model of pairs.embedding gives no direction for this image")

TRANSIENT_CODES = frozenset({"unreadable", "changed", "crashed", "timeout", "memory"})
"""Codes of errors that the next run retries, unless a limit applies; other errors stay until the file changes."""
LIMITS = {MEMORY: "max_memory", TIMEOUT: "timeout"}
"""Problems that recur under the same limit, and the thumbnail stage's parameter that sets the limit.

Such an image is retried only under a higher limit."""


def needs(name: str, extra: str) -> Problem:
    """Return the problem of a format whose extra is not installed.

    The sentence is stored in results, so it holds on every machine; `fast-diff formats` prints how to install."""
    return Problem("unsupported", f"{name}: needs the extra {extra}; see fast-diff formats")


class Unreadable(Exception):
    """Signal that one image can't be read.

    decoder  the missing library, if any"""

    def __init__(self, problem: Problem, decoder: str | None = None) -> None:
        super().__init__(problem.sentence)
        self.problem, self.decoder = problem, decoder
