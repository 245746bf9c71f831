"""Measure how fast all pairs of embeddings are decided, against the exact range searches of faiss, on one core.

    python -m tests.benchmarks.embeddings [--images 12000] [--dimensions 128 512 1024]

The vectors are drawn like those of a network: a common mean, images in clusters of all sizes, a spectrum that falls as
a power of the rank, in random directions; one image in ten is a near-duplicate of another. The job is all pairs with a
cosine of at least 0.9, 0.95 or 0.98, without turns. faiss searches for each image among all, so faiss computes every
cosine twice, and is timed once for each length: its time hardly depends on the threshold. Its Panorama index, whose
time does, gets the vectors in the order of their principal directions, and counts with the number of levels that is
faster. Times are of the processor, from vectors in memory to matches; the index of faiss is built before.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import threadpoolctl

from stages.comparing.metrics.embedding import Embedding
from stages.kernels.arrays import CPU
from stages.kernels.compare import BlockPair
from stages.kernels.measure.metric import Side
from stages.kernels.rules import MatchRules
from stages.pairs import Params

try:
    import faiss
except ImportError:
    faiss = None

LIMITS = (0.9, 0.95, 0.98)
"""Cosines."""
LEVELS = (16, 32)
"""Numbers of levels that are tried for the Panorama index of faiss."""
DECAY = 0.6
"""Power of the rank by which the standard deviation along a principal direction falls."""


def vectors(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors, float32 (count, length)."""
    random = np.random.default_rng(seed)
    spread = np.arange(1, length + 1) ** -DECAY
    turn = np.linalg.qr(random.normal(size=(length, length)))[0]

    def drawn(rows: int) -> np.ndarray:
        return random.normal(size=(rows, length)) * spread

    centres = drawn(max(1, count // 50))
    sizes = random.pareto(1.0, len(centres)) + 1
    cluster = random.choice(len(centres), count, p=sizes / sizes.sum())
    made = 0.75 * centres[cluster] + 0.65 * drawn(count) + 0.5 * drawn(1)
    copies = random.choice(count, count // 10, replace=False)
    originals = random.integers(0, count, len(copies))
    noise = random.uniform(0.02, 0.5, (len(copies), 1))
    made[copies] = made[originals] + noise * drawn(len(copies))
    made = made @ turn
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def compared(rows: np.ndarray, cosine: float) -> BlockPair:
    """Compare all pairs of the vectors, as the stage `pairs`."""
    params = Params(metric="embedding", embedding_distance="cosine", threshold=1 - cosine, rotations=False)
    kind = Embedding(params.comparison, (64, 64, 3), CPU)
    kind._first = rows.shape[1], ""
    points = rows[:, None]
    ones = np.ones(len(rows), np.int64)
    one = Side(rows, ones, 0 * ones, None, lambda wanted: (points, wanted))
    pair = BlockPair(one, one, True, MatchRules(kind.limit, 1, "compare"), kind.kernel)
    for _ in pair.runs():
        continue
    return pair


def principal(rows: np.ndarray) -> np.ndarray:
    """Return vectors in the order of their principal directions, as Panorama wants."""
    basis = np.linalg.eigh(rows[:4_096].T.astype(np.float64) @ rows[:4_096])[1][:, ::-1]
    return np.ascontiguousarray((rows @ basis).astype(np.float32))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def flat(rows: np.ndarray, cosine: float) -> float:
    """Return the time of the range search of faiss; NaN without faiss."""
    if faiss is None:
        return math.nan
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return seconds(lambda: index.range_search(rows, cosine))


def panorama(rows: np.ndarray, cosine: float, levels: int) -> float:
    """Return the time of the range search of faiss that leaves a pair as soon as a bound allows."""
    if not hasattr(faiss, "IndexFlatIPPanorama"):
        return math.nan
    index = faiss.IndexFlatIPPanorama(rows.shape[1], levels)
    index.add(rows)
    return seconds(lambda: index.range_search(rows, cosine))


def table(count: int, length: int) -> None:
    """Print the lines of one length of vectors."""
    rows = vectors(count, length)
    turned, pairs = principal(rows), count * (count - 1) / 2
    searched = flat(rows, LIMITS[1])
    compared(rows, LIMITS[-1])  # loads compiled code
    for cosine in LIMITS:
        ours = min(seconds(lambda cosine=cosine: compared(rows, cosine)) for _ in range(3))  # type: ignore[misc]
        bounded = min(panorama(turned, cosine, levels) for levels in LEVELS)
        found = compared(rows, cosine)
        print(
            f"{length:>10}{cosine:>8g}{pairs / ours:>16,.0f}{searched / ours:>14.2f}{bounded / ours:>22.2f}"
            f"{found.ledger.matches:>12,}{found.levels.directions:>13,}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12_000, help="number of vectors")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[128, 512, 1_024], help="lengths of vectors")
    options = parser.parse_args()
    with threadpoolctl.threadpool_limits(1):
        if faiss is None:
            print("faiss is left out, not installed: pip install -e '.[bench]'")
        else:
            faiss.omp_set_num_threads(1)
        print(f"{options.images:,} vectors, all pairs; the ratios say how many times as long faiss takes")
        print(
            f"{'dimensions':>10}{'cosine':>8}{'pairs a second':>16}{'IndexFlatIP':>14}{'IndexFlatIPPanorama':>22}"
            f"{'matches':>12}{'candidates':>13}"
        )
        for length in options.dimensions:
            table(options.images, length)


if __name__ == "__main__":
    main()
