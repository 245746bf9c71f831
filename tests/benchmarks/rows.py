"""Measure the cost of rows: with every pair recorded, and for copies of one page.

    python -m tests.benchmarks.rows [IMAGES] [COPIES]

Thumbnails are synthesised, as in growth.py. The first part records every pair of 8,000 images (`threshold: null`) and
prints the rate of the pairs stage, the bytes and read time per row, and the rate of bare exact products on one core.
The second part compares 100,000 copies of a blank page and prints the number of rows, and the times of the pairs stage
and of the hash stage, whose time is proportional to the number of images.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import threadpoolctl

from pipeline.config.settings import from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.plan.discovery import discover
from pipeline.run import run
from pipeline.stage import Inputs, Job, Result
from stages.kernels.measure.exact import Squares
from tests.benchmarks import growth
from tests.benchmarks.thumbnails import SHAPE, synthesised


def blank(first: int, count: int) -> np.ndarray:
    """Return thumbnails of white pages."""
    return np.full((count, *SHAPE), 255, np.uint8)


def blank_thumbnails(inputs: Inputs, params: Any, job: Job) -> Result:
    """Return rows of the thumbnail stage for white pages."""
    return growth.fake_thumbnails(inputs, params, job, blank)


def record(images: int, folder: Path, thumbnails: Callable[..., Result], pairs: dict[str, Any]) -> dict[str, Any]:
    """Run hash, index and pairs; return the run's record."""
    stages = {stage.name: stage for stage in discover()}
    stages["scan"] = growth.numbered(stages["scan"], images)
    stages["thumbnail"] = growth.thumbnailed(stages["thumbnail"], thumbnails)
    settings = {"run": "rows", "output": str(folder), "inputs": {"a": [str(Path(__file__).parent)]}, "pairs": pairs}
    more = {"cluster": {"threshold": 200.0}, "scheduler": {"kind": "synchronous"}}
    config = from_mapping(settings | more, list(stages.values()))
    for names in (("scan", "thumbnail"), ("scan", "thumbnail", "hash", "embed", "index", "pairs")):
        done = run(config, [stages[name] for name in names], Reporter())
        assert done.exit_code == 0, done.failures
    return dict(done.record)


def every_pair(images: int, folder: Path) -> None:
    """Measure `threshold: null` without turns."""
    made = record(images, folder, growth.fake_thumbnails, {"threshold": None, "rotations": False, "identical": "all"})
    seconds = made["stages"]["pairs"]["seconds"]
    files = list((folder / "rows" / "pairs").glob("*.parquet"))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    size = sum(file.stat().st_size for file in files)
    started = time.perf_counter()
    for file in files:
        pq.read_table(file, columns=["mse"])
    figures = time.perf_counter() - started
    started = time.perf_counter()
    for file in files:
        pq.read_table(file, read_dictionary=["path_a", "path_b"])
    whole = time.perf_counter() - started
    some = synthesised(0, 1_024)
    started = time.perf_counter()
    Squares().cross(some, some)
    product = len(some) ** 2 / (time.perf_counter() - started)
    rate = rows / seconds
    print(f"{images:,} images, every pair: {rows:,} rows at {rate:,.0f} a second, {size / rows:.1f} bytes each")
    print(f"  the exact product alone: {product:,.0f} pairs a second, {product / rate:.1f} times as many")
    print(f"  read at {rows / figures:,.0f} rows a second (mse alone), {rows / whole:,.0f} (all columns)")


def copies(images: int, folder: Path) -> None:
    """Measure many copies of one page."""
    made = record(images, folder, blank_thumbnails, {})
    rows = sum(pq.read_metadata(file).num_rows for file in (folder / "rows" / "pairs").glob("*.parquet"))
    ledger, stages = made["ledger"], made["stages"]
    assert ledger["pairs_total"] == images * (images - 1) // 2 == ledger["matches"]
    print(f"{images:,} copies of a page: {rows:,} rows for {ledger['matches']:,} matches")
    print(f"  pairs {stages['pairs']['seconds']:.1f} s, hash {stages['hash']['seconds']:.1f} s")


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]]
    with threadpoolctl.threadpool_limits(1):
        for work, images in zip((every_pair, copies), counts or (8_000, 100_000), strict=False):
            with tempfile.TemporaryDirectory(dir="outputs") as name:
                work(images, Path(name))


if __name__ == "__main__":
    main()
