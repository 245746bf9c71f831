"""Read images by path for display.

If a file was deleted or has changed, the enlarged thumbnail is shown instead."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
from PIL import Image

from pipeline.stage import Artifact, Inputs, Job, Settings
from stages.comparing.thumbnails import limits, thumbnail_shape
from stages.decoding.lanes import decode_one
from stages.decoding.options import DecodeOptions
from stages.decoding.sources import Expected
from stages.report.reads import FACTS

SIDE = 400
"""Longest side of a displayed image, in pixels."""
UNLIMITED = 1 << 40


def display_options(settings: Settings) -> DecodeOptions:
    """Return the options that decode images for display; the caller sets the size."""
    return DecodeOptions(
        (1, 1),
        "RGB",
        fast=True,
        background=(255, 255, 255),
        upright=settings("thumbnail.orientation") == "exif",
        max_bytes=settings("thumbnail.max_bytes"),
        max_pixels=settings("thumbnail.max_pixels"),
        trust="bytes",
        srgb=settings("thumbnail.colour") == "srgb",
        salvage=settings("thumbnail.truncated") == "accept",
    )


class Gallery:
    """Images for display.

    facts  for each path, a row with the columns FACTS"""

    def __init__(self, inputs: Inputs, job: Job, paths: Collection[str]) -> None:
        self._shape = thumbnail_shape(job.settings)
        self._options = display_options(job.settings)
        self._limits = limits(job.settings)
        self.facts: dict[str, dict[str, Any]] = {}
        self._thumbnails: dict[str, tuple[Artifact, int]] = {}
        wanted = frozenset(paths)
        for artifact in inputs.of("thumbnail"):
            here = [n for n, path in enumerate(artifact.table(["path"])["path"].to_pylist()) if path in wanted]
            if here:
                rows = artifact.table(FACTS).take(pa.array(here)).to_pylist()
                self.facts |= {row["path"]: row for row in rows}
                self._thumbnails |= {row["path"]: (artifact, n) for row, n in zip(rows, here, strict=True)}
        self.seen = functools.lru_cache(maxsize=64)(self._seen)

    def image(self, path: str) -> Image.Image:
        """Return the upright image as RGB, at most SIDE pixels wide and high."""
        return self.seen(path)[0]

    @property
    def how(self) -> str:
        """Return the versions and options that determine how a file is displayed, as a string.

        The string does not depend on the limits on bytes and pixels."""
        options = replace(self._options, max_bytes=UNLIMITED, max_pixels=UNLIMITED)
        return repr((PIL.__version__, SIDE, options, self._limits.plugins))

    def _seen(self, path: str) -> tuple[Image.Image, bool]:
        """Return the image, and whether the image comes from the file; otherwise the image comes from the thumbnail."""
        facts = self.facts[path]
        width, height = facts["width"], facts["height"]
        scale = min(1.0, SIDE / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        options = replace(self._options, size=size)
        name = facts["path_bytes"] or path.encode()
        file = Expected(name, facts["bytes"], facts["digest"], facts["location"] or "")
        _, pixels = decode_one(file, options, self._limits)
        if pixels is None:
            return self._from_thumbnail(path, size), False
        return Image.frombytes("RGB", size, pixels), True

    def _from_thumbnail(self, path: str, size: tuple[int, int]) -> Image.Image:
        artifact, row = self._thumbnails[path]
        data = artifact.take(["thumbnail"], [row])["thumbnail"][0].as_py()
        pixels = np.frombuffer(data, np.uint8).reshape(self._shape)
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[self._shape[2]]
        return Image.frombytes(mode, self._shape[1::-1], pixels.tobytes()).convert("RGB").resize(size)
