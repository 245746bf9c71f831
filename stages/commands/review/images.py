"""Serve a run's images by number: previews, and originals.

An original is served only if its bytes are those of the run, so another file in its place is never shown. Formats that
browsers don't show are decoded in a separate process, as in a run, and sent as PNG."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cachetools import LRUCache
from PIL import Image

from pipeline.stage import Settings
from stages.commands.review.shown import Shown
from stages.comparing.thumbnails import limits
from stages.decoding.lanes import decode_one
from stages.decoding.options import DecodeOptions
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.report.gallery import display_options
from stages.report.pictures import PREVIEW, jpeg
from stages.report.previews import QUALITY

BROWSER_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}
"""Types of the formats that browsers show; `tile.js` has the same list."""
SIDE = 12_000
"""Longest side of a decoded image, in pixels."""
AT_ONCE = 2
"""Number of images that are read and decoded at a time."""
HELD = 64 << 20
"""Bytes of previews that are kept in memory, at most."""


class Picture(NamedTuple):
    """Bytes of an image, and their type."""

    data: bytes
    type: str


class ServedImages:
    """Images of one run, by number. A method returns None where the file is gone or has changed."""

    def __init__(self, shown: Shown, settings: Settings) -> None:
        self._shown = shown
        self._options = display_options(settings)
        self._limits = limits(settings)
        self._turn = threading.Semaphore(AT_ONCE)
        self._made: LRUCache[int, Picture] = LRUCache(HELD, getsizeof=lambda picture: min(len(picture.data), HELD))
        self._lock = threading.Lock()

    def preview(self, number: int) -> Picture | None:
        """Return an image with a longest side of at most PREVIEW pixels. Raises IndexError."""
        path = self._shown.preview(number)
        if path and (data := _content(path)):
            return Picture(data, "image/jpeg")
        with self._lock:
            found = self._made.get(number)
        if found is None and (image := self._decoded(number, PREVIEW)):
            found = Picture(jpeg(image, QUALITY), "image/jpeg")
            with self._lock:
                self._made[number] = found
        return found

    def original(self, number: int) -> Picture | None:
        """Return an image in full size. Raises IndexError."""
        row = self._shown.rows[number]
        if self._options.upright and row["format"] in BROWSER_TYPES:
            data = self.content(number)
            return Picture(data, BROWSER_TYPES[row["format"]]) if data is not None else None
        image = self._decoded(number, SIDE)
        if image is None:
            return None
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return Picture(buffer.getvalue(), "image/png")

    def content(self, number: int) -> bytes | None:
        """Return the bytes of an image's file. Raises IndexError."""
        with self._turn:
            try:
                return read(self._expected(number), "bytes", self._options.max_bytes)[0]
            except Unreadable:
                return None

    def _expected(self, number: int) -> Expected:
        row = self._shown.rows[number]
        return Expected(row["path_bytes"] or row["path"].encode(), row["bytes"], row["digest"], row["location"] or "")

    def _decoded(self, number: int, side: int) -> Image.Image | None:
        row = self._shown.rows[number]
        scale = min(1.0, side / max(row["width"], row["height"]))
        size = (max(1, round(row["width"] * scale)), max(1, round(row["height"] * scale)))
        with self._turn:
            _, pixels = decode_one(self._expected(number), self._sized(size), self._limits)
        return Image.frombytes("RGB", size, pixels) if pixels is not None else None

    def _sized(self, size: tuple[int, int]) -> DecodeOptions:
        return replace(self._options, size=size)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
