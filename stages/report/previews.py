"""Make previews of images for the report's page, on all idle cores; files with the same bytes share one JPEG."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from pipeline.stage import Job
from stages.report.gallery import Gallery
from stages.report.pictures import PREVIEW, jpeg, shrunk

QUALITY = 80
TOGETHER = 256
"""Greatest number of previews in memory that wait to be written."""
SUFFIXES = ("", "", "-small", "-raw", "-raw-small")
"""Suffixes of the names of previews by kind.

The kinds are: no preview, from the image, from the thumbnail, from camera RAW, and from the thumbnail of camera RAW.
`view.js` has the same list."""
PreviewKey: TypeAlias = tuple[str, bool]
"""The digest of a file's bytes, and whether the file was decoded as camera RAW."""
WRITERS = 16
"""Number of previews that are written at the same time, since disks and object stores have a latency."""


class Previews:
    """Preview files `report/images/<digest>-<mark>.jpg`; all images with the same bytes share one preview.

    `mark` is a digest of the options of previews. The same bytes have a second preview if a file with these bytes is
    decoded as camera RAW.

    A name depends on everything that determines the preview, so previews of earlier runs are reused. If no file with
    the bytes exists any more, the preview is made from the thumbnail and has another name, so that the next run tries
    the file again."""

    def __init__(self, gallery: Gallery, job: Job) -> None:
        self._gallery, self._job = gallery, job
        self.mark = hashlib.sha256(f"{PREVIEW} {QUALITY} {gallery.how}".encode()).hexdigest()[:8]
        self._kinds: dict[PreviewKey, int] = {}

    def kind(self, path: str) -> int:
        """Return the kind of an image's preview, an index into SUFFIXES; 0 without a preview."""
        return self._kinds.get(self._content(path), 0)

    def _content(self, path: str) -> PreviewKey:
        facts = self._gallery.facts[path]
        return facts["digest"], facts["format"] == "RAW"

    def _name(self, content: PreviewKey) -> str:
        """Return the name of a preview, relative to the page."""
        return f"images/{content[0][:20]}-{self.mark}{SUFFIXES[self._kinds[content]]}.jpg"

    def make(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Publish previews; yield the name of each preview, and the path of the first image with its content.

        Names are relative to the page."""
        alike: dict[PreviewKey, list[str]] = {}
        for path in paths:
            alike.setdefault(self._content(path), []).append(path)
        missing = []
        for content, images in alike.items():
            self._kinds[content] = 3 if content[1] else 1
            if self._job.adopt(f"report/{self._name(content)}"):
                yield self._name(content), images[0]
            else:
                missing.append(content)
        with contextlib.ExitStack() as held:
            cores = 1
            while cores < len(missing) and (core := self._job.spare_core()):
                held.enter_context(contextlib.closing(core))
                cores += 1
            artists, writers = ThreadPoolExecutor(cores), ThreadPoolExecutor(WRITERS)
            for pool in (artists, writers):
                held.callback(pool.shutdown, cancel_futures=True)
            for start in range(0, len(missing), TOGETHER):
                some = missing[start : start + TOGETHER]
                drawn = artists.map(self._draw, (alike[content] for content in some))
                for content, name in zip(some, writers.map(self._write, some, drawn), strict=True):
                    yield name, alike[content][0]

    def _draw(self, alike: Sequence[str]) -> tuple[bytes, bool]:
        """Return a preview of images with the same content, and whether the preview comes from an unchanged file."""
        for path in alike:
            image, original = self._gallery.seen(path)
            if original:
                break
        return jpeg(shrunk(image), QUALITY), original

    def _write(self, content: PreviewKey, drawn: tuple[bytes, bool]) -> str:
        """Publish a preview; return its name, relative to the page."""
        data, original = drawn
        self._kinds[content] += not original
        self._job.publish(f"report/{self._name(content)}", data)
        return self._name(content)
