"""Previews of images for the report's page: a JPEG for each content, made on all cores that are idle."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.stage import Job
from stages.report.gallery import Gallery
from stages.report.pictures import PREVIEW, jpeg, shrunk

QUALITY = 80
TOGETHER = 256
"""Previews that may wait in memory to be written."""
WRITERS = 16
"""Previews that are written at a time: a disk, and an object store above all, lets each of them wait."""


class Previews:
    """Files `report/images/<digest>-<mark>.jpg`, once for each content of a file.

    Their names tell all that they depend on, so one that an earlier run has made is taken over. One that had to be made
    from a thumbnail, since no file with this content is there, has another name, and is made again."""

    def __init__(self, gallery: Gallery, job: Job) -> None:
        self._gallery, self._job = gallery, job
        self.mark = hashlib.sha256(f"{PREVIEW} {QUALITY} {gallery.how}".encode()).hexdigest()[:8]
        self._kinds: dict[str, int] = {}

    def kind(self, path: str) -> int:
        """1 if there is a preview of an image, 2 if it is from its thumbnail; else 0."""
        return self._kinds.get(self._gallery.facts[path]["digest"], 0)

    def make(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Publish those of some images; gives name, relative to the page, and the first image that it shows."""
        alike: dict[str, list[str]] = {}
        for path in paths:
            alike.setdefault(self._gallery.facts[path]["digest"], []).append(path)
        missing = []
        for digest, of_it in alike.items():
            name = f"images/{digest[:20]}-{self.mark}.jpg"
            if self._job.adopt(f"report/{name}"):
                self._kinds[digest] = 1
                yield name, of_it[0]
            else:
                missing.append(digest)
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
                drawn = artists.map(self._draw, (alike[digest] for digest in some))
                for digest, name in zip(some, writers.map(self._write, some, drawn), strict=True):
                    yield name, alike[digest][0]

    def _draw(self, alike: Sequence[str]) -> tuple[bytes, bool]:
        """A preview from the first of these files that is as it was, and whether there was one."""
        for path in alike:
            image, original = self._gallery.seen(path)
            if original:
                break
        return jpeg(shrunk(image), QUALITY), original

    def _write(self, digest: str, drawn: tuple[bytes, bool]) -> str:
        """Publish a preview; returns its name, relative to the page."""
        data, original = drawn
        self._kinds[digest] = 1 if original else 2
        name = f"images/{digest[:20]}-{self.mark}{'' if original else '-small'}.jpg"
        self._job.publish(f"report/{name}", data)
        return name
