"""Measure the sharpness of images for the keeper rule `sharpness`.

The files are decoded again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Job
from stages.comparing.thumbnails import limits
from stages.decoding.lanes import Lanes
from stages.decoding.options import DecodeOptions
from stages.decoding.problems import LIMITS, TRANSIENT_CODES
from stages.decoding.sources import Expected

Ints = NDArray[np.int64]

SIDE = 512
"""Pixels per side for measuring: enough to tell an enlarged copy from its original."""


class Sharpness:
    """Function that measures images for the rule `sharpness`, by decoding the files.

    unmeasured  number of files that could not be measured
    passing     number of unmeasured files with a transient error, which a later run may measure"""

    def __init__(self, job: Job, family: Ints) -> None:
        """Set the family of each image, int64 (n,).

        Images that may share a cluster have equal numbers."""
        self._job, self._family = job, family
        self.unmeasured = self.passing = 0

    def __call__(self, images: pa.Table) -> NDArray[np.float64]:
        """Return the variance of the Laplacian of each image in grey at SIDE x SIDE.

        The result is float64 (n,).

        images  has columns path, path_bytes, bytes, digest and location

        If a file can't be measured, all images of its family get 0. The rule then decides nothing in the family, so a
        blurred copy does not win over an unmeasured image."""
        files = [
            Expected(row["path_bytes"] or row["path"].encode(), row["bytes"], row["digest"], row["location"] or "")
            for row in images.select(["path", "path_bytes", "bytes", "digest", "location"]).to_pylist()
        ]
        found = np.zeros(len(files))
        unknown = np.zeros(len(files), np.bool_)
        for number, seen, grey in Lanes(files, _options(self._job), limits(self._job.settings), self._job.spare_core):
            if grey is not None:
                found[number] = laplacian_variance(np.frombuffer(grey, np.uint8).reshape(SIDE, SIDE))
                continue
            unknown[number] = True
            self.unmeasured += 1
            self.passing += (
                seen.problem is not None and seen.problem.code in TRANSIENT_CODES and seen.problem not in LIMITS
            )
        if self.unmeasured:
            found[np.isin(self._family, self._family[unknown])] = 0.0
        return found


def _options(job: Job) -> DecodeOptions:
    """Return decode options without size limits: the thumbnail stage has checked sizes."""
    return DecodeOptions(
        (SIDE, SIDE),
        "L",
        fast=True,
        background=(255, 255, 255),
        upright=job.settings("thumbnail.orientation") == "exif",
        max_bytes=1 << 40,
        max_pixels=1 << 40,
        trust="bytes",
    )


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian over inner pixels of uint8 (H, W).

    The Laplacian is four times a pixel minus its four neighbours."""
    values = grey.astype(np.int32)
    inner = 4 * values[1:-1, 1:-1]
    edges = inner - values[:-2, 1:-1] - values[2:, 1:-1] - values[1:-1, :-2] - values[1:-1, 2:]
    return float(edges.var())
