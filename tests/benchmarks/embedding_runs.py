"""Measure time and memory of a whole run on embeddings, from thumbnails to clusters, against faiss.

    python -m tests.benchmarks.embedding_runs [--images 1000000] [--dimensions 512] [--cosine 0.95]

The vectors are those of `embeddings.py`. A function named by `pairs.embedding` reads them from a file: each thumbnail,
16x16, holds the number of its vector. The stages embed, hash, index, pairs and cluster run on two local workers. Prints
the seconds of each stage, the peak memory of all processes, in which shared pages count in each process, and the
seconds that two exact range searches of faiss would take for the same pairs on the same cores: IndexFlatIP, and
IndexFlatIPPanorama with the faster number of levels. faiss searches for some vectors among all; its time for all
vectors is extrapolated. Takes 5 kB of disk an image, below the current folder."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.main import prepare_process
from tests.benchmarks import embeddings, growth

VECTORS = "FAST_DIFF_BENCHMARK_VECTORS"
"""Environment variable that names the file of vectors."""
SIDE = 16
SEARCHED = 1_000
"""Number of vectors that faiss searches for."""
STAGES = ("embed", "hash", "index", "pairs", "cluster")


def numbers(first: int, count: int) -> np.ndarray:
    """Return thumbnails, each with its number in its first eight values, uint8 (count, SIDE, SIDE, 3)."""
    made = np.zeros((count, SIDE * SIDE * 3), np.uint8)
    made[:, :8] = np.arange(first, first + count, dtype="<i8").view(np.uint8).reshape(count, 8)
    return made.reshape(count, SIDE, SIDE, 3)


def vector(thumbnails: np.ndarray) -> np.ndarray:
    """Return the vectors whose numbers the thumbnails hold, float32 (n, d)."""
    held = np.ascontiguousarray(thumbnails.reshape(len(thumbnails), -1)[:, :8])
    found: np.ndarray = np.load(os.environ[VECTORS], mmap_mode="r")[held.view("<i8")[:, 0]]
    return found


def searched(index: Any, rows: np.ndarray, cosine: float) -> float:
    """Return the seconds of a range search for all vectors among all, extrapolated from some."""
    index.add(rows)
    some = np.ascontiguousarray(rows[:: max(1, len(rows) // SEARCHED)])
    started = time.perf_counter()
    index.range_search(some, cosine)
    return (time.perf_counter() - started) * len(rows) / len(some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--cosine", type=float, default=0.95)
    parser.add_argument("--kind", default="local", help="of scheduler")
    options = parser.parse_args()
    prepare_process()
    rows = embeddings.vectors(options.images, options.dimensions)
    sections: dict[str, Any] = {
        "thumbnail": {"size": [SIDE, SIDE]},
        "pairs": {
            "metric": "embedding",
            "embedding": "tests.benchmarks.embedding_runs:vector",
            "embedding_distance": "cosine",
            "threshold": 1 - options.cosine,
            "rotations": False,
        },
    }
    with tempfile.TemporaryDirectory(dir="outputs") as name:
        os.environ[VECTORS] = str(Path(name).absolute() / "vectors.npy")
        np.save(os.environ[VECTORS], rows)
        del rows
        thumbnails = partial(growth.fake_thumbnails, images=numbers)
        seconds, processor, alone, memory, record = growth.measure(
            options.images, Path(name) / "run", options.kind, thumbnails, **sections
        )
        rows = np.load(os.environ[VECTORS])
    ledger, stages = record["ledger"], record["stages"]
    each = ", ".join(f"{stage} {stages[stage]['seconds']:,.0f}" for stage in STAGES)
    print(f"{options.images:,} vectors of {options.dimensions} entries, cosine {options.cosine:g}")
    print(f"{ledger['pairs_total']:,} pairs, {ledger['matches']:,} matches, {seconds:,.0f} s ({each})")
    print(f"{processor:,.0f} s of the processor")
    print(f"peak memory of all processes {memory / 2**20:,.0f} MiB")
    if embeddings.faiss is None:
        print("faiss is left out, not installed: pip install -e '.[bench]'")
        return
    faiss, turned = embeddings.faiss, embeddings.principal(rows)
    flat = searched(faiss.IndexFlatIP(options.dimensions), rows, options.cosine)
    bounded = min(
        searched(faiss.IndexFlatIPPanorama(options.dimensions, levels), turned, options.cosine)
        for levels in embeddings.LEVELS
    )
    for peer, taken in (("IndexFlatIP", flat), ("IndexFlatIPPanorama", bounded)):
        print(f"faiss {peer}: {taken:,.0f} s, {taken / alone:.1f} times as long as the stage pairs", flush=True)


if __name__ == "__main__":
    main()
