"""Previews of images for the report's page: a JPEG for each content, made on all cores that are idle."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.stage import Job
from stages.gallery import Gallery
from stages.pictures import jpeg, shrunk

VERSION = "1"
"""Raise it when previews come to look otherwise."""


class Previews:
    """Files `report/images/<digest>-<mark>.jpg`, once for each content of a file.

    Their names tell all that they depend on, so one that is there from an earlier run is taken over."""

    def __init__(self, gallery: Gallery, job: Job) -> None:
        self._gallery, self._job = gallery, job
        self.mark = hashlib.sha256(f"{VERSION} {gallery.how}".encode()).hexdigest()[:8]

    def name(self, path: str) -> str:
        """The file of an image, relative to the page."""
        return f"images/{self._gallery.facts[path]['digest'][:20]}-{self.mark}.jpg"

    def make(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Publish those of some images; gives name, relative to the page, and the first image that it shows."""
        first: dict[str, str] = {}
        for path in paths:
            first.setdefault(self.name(path), path)
        missing = {}
        for name, path in first.items():
            if self._job.adopt(f"report/{name}"):
                yield name, path
            else:
                missing[name] = path
        with contextlib.ExitStack() as held:
            cores = 1
            while cores < len(missing) and (core := self._job.spare_core()):
                held.enter_context(contextlib.closing(core))
                cores += 1
            pool = ThreadPoolExecutor(cores)
            held.callback(pool.shutdown, cancel_futures=True)
            for (name, path), data in zip(missing.items(), pool.map(self._draw, missing.values()), strict=True):
                self._job.publish(f"report/{name}", data)
                yield name, path

    def _draw(self, path: str) -> bytes:
        return jpeg(shrunk(self._gallery.image(path)), quality=80)
