"""Measure the time of the two steps that find the largest distance inside clusters.

    python -m tests.benchmarks.spread [CLUSTERS]

Runs `distinct` and `farthest` on clusters (default: 1,000) of 2 to 11 thumbnails and one copy, and `np.unique` over the
rows of some of these clusters. Prints ratios of times of the same run. The first ratio should be small: removing copies
must not cost more than comparing the remaining thumbnails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stages.kernels.measure.exact import Squares
from stages.kernels.measure.spread import distinct, farthest
from tests.benchmarks.thumbnails import SHAPE


def seconds(action: Callable[[np.ndarray], Any], clusters: Sequence[np.ndarray]) -> float:
    """Return the mean seconds per cluster."""
    started = time.perf_counter()
    for images in clusters:
        action(images)
    return (time.perf_counter() - started) / len(clusters)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    random = np.random.default_rng(1)
    clusters = []
    for _ in range(count):
        images = random.integers(0, 256, (int(random.integers(2, 12)), *SHAPE), dtype=np.uint8)
        clusters.append(np.concatenate([images, images[:1]]))
    seconds(distinct, clusters[:50]), seconds(lambda images: farthest(images, 4, Squares()), clusters[:50])  # warm-up
    ours, compare = seconds(distinct, clusters), seconds(lambda images: farthest(images, 4, Squares()), clusters)
    rows = seconds(lambda images: np.unique(images.reshape(len(images), -1), axis=0), clusters[:20])
    print(f"{count:,} clusters, ms each: distinct {ours * 1e3:.3f}, farthest {compare * 1e3:.3f}")
    print(f"distinct takes {ours / compare:.3f} of farthest; np.unique over rows {rows / ours:,.0f} times distinct")


if __name__ == "__main__":
    main()
