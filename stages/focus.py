"""How sharp images are: for the rule `sharpness`, which looks at the files themselves once more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Job
from stages.decoding.child import Limits
from stages.decoding.decode import Options
from stages.decoding.lanes import Lanes
from stages.decoding.reading import Expected

SIDE = 512
"""Pixels a side at which images are compared: large enough to tell an enlarged copy from its original."""
UNKNOWN = -1.0
"""Of a file that is not as it was any more."""


def sharpness(images: pa.Table, job: Job) -> NDArray[np.float64]:
    """Variance of the Laplacian of each image in grey, scaled to SIDE x SIDE: float64 (n,). `images` has columns path,
    path_bytes, bytes and digest."""
    files = [
        Expected(row["path_bytes"] or row["path"].encode(), row["bytes"], row["digest"])
        for row in images.select(["path", "path_bytes", "bytes", "digest"]).to_pylist()
    ]
    options = Options(
        (SIDE, SIDE),
        "L",
        fast=True,
        background=(255, 255, 255),
        upright=job.settings("thumbnail.orientation") == "exif",
        max_bytes=1 << 40,
        max_pixels=1 << 40,
        trust="bytes",
    )
    limits = Limits(plugins=tuple(job.settings("thumbnail.plugins")))
    found = np.full(len(files), UNKNOWN)
    for number, value in _measured(files, options, limits, job):
        found[number] = value
    return found


def _measured(files: list[Expected], options: Options, limits: Limits, job: Job) -> Iterator[tuple[int, float]]:
    for number, _, grey in Lanes(files, options, limits, job.spare_core):
        if grey is not None:
            yield number, laplacian_variance(np.frombuffer(grey, np.uint8).reshape(SIDE, SIDE))


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Variance of what each inner pixel differs from its four neighbours, uint8 (H, W)."""
    values = grey.astype(np.int32)
    inner = 4 * values[1:-1, 1:-1]
    edges = inner - values[:-2, 1:-1] - values[2:, 1:-1] - values[1:-1, :-2] - values[1:-1, 2:]
    return float(edges.var())
