"""Measure how fast all pairs of embeddings are decided on one core, against exact range searches of faiss.

    python -m tests.benchmarks.embeddings [--images 12000] [--dimensions 128 512 1024]

The vectors are synthesised to resemble the vectors of a network: a common mean, images in clusters of all sizes, and a
spectrum in random directions that falls as a power of the rank. One image in ten is a near-duplicate of another. The
task is to find all pairs with a cosine of at least 0.9, 0.95 or 0.98, without turns. faiss searches for each image
among all images, so faiss computes every cosine twice. IndexFlatIP is timed once per length, since its time hardly
depends on the threshold. IndexFlatIPPanorama gets the vectors in the basis of their principal directions; the faster of
two numbers of levels counts. Times are processor seconds from vectors in memory to matches, without building an index.

More than BLOCK vectors are cut into blocks. At most PAIRS of their block pairs are compared, and faiss searches for
some of the vectors among all vectors. The rates count only compared pairs.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from stages.comparing.metrics.embedding import Embedding
from stages.kernels.arrays import CPU
from stages.kernels.bounds.keys import BlockName
from stages.kernels.compare import BlockPair
from stages.kernels.measure.metric import Side
from stages.kernels.rules import MatchRules
from stages.pairs import Params

try:
    import faiss
except ImportError:
    faiss = None

LIMITS = (0.9, 0.95, 0.98)
"""Least cosines of a match."""
LEVELS = (16, 32)
"""Numbers of levels that are tried for the Panorama index of faiss."""
BLOCK = 32_768
"""Greatest number of vectors in a block."""
PAIRS = 16
"""Greatest number of block pairs that are compared."""
COSINES = 1_500_000_000
"""Greatest number of cosines that faiss computes."""
DECAY = 0.6
"""Power of the rank by which the standard deviation along a principal direction falls."""


def vectors(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors, float32 (count, length)."""
    random = np.random.default_rng(seed)
    spread = np.arange(1, length + 1) ** -DECAY
    turn = np.linalg.qr(random.normal(size=(length, length)))[0].astype(np.float32)

    def drawn(rows: int) -> np.ndarray:
        return (random.normal(size=(rows, length)) * spread).astype(np.float32)

    centres, mean = drawn(max(1, count // 50)), drawn(1)
    sizes = random.pareto(1.0, len(centres)) + 1
    cluster = random.choice(len(centres), count, p=sizes / sizes.sum())
    made = np.empty((count, length), np.float32)
    parts = [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
    for part in parts:
        some = 0.75 * centres[cluster[part]]
        made[part] = some + 0.65 * drawn(len(some)) + 0.5 * mean
    copies = np.sort(random.choice(count, count // 10, replace=False))
    for some in np.array_split(copies, len(parts)):
        noise = random.uniform(0.02, 0.5, (len(some), 1)).astype(np.float32)
        made[some] = made[random.integers(0, count, len(some))] + noise * drawn(len(some))
    for part in parts:
        some = made[part] @ turn
        made[part] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return made


class Compared(NamedTuple):
    """Block pairs that were compared.

    pairs       number of pairs of vectors
    seconds     processor time
    matches     number of matches
    candidates  number of pairs left after the leading directions"""

    pairs: int
    seconds: float
    matches: int
    candidates: int


def compared(rows: np.ndarray, cosine: float) -> Compared:
    """Compare pairs of the vectors, block pair by block pair, like the stage `pairs`."""
    params = Params(metric="embedding", embedding_distance="cosine", threshold=1 - cosine, rotations=False)
    kind = Embedding(params.comparison, (64, 64, 3), CPU)
    kind._first = rows.shape[1], ""
    run, sides = object(), []  # new block names, so that caches of an earlier call are not used
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        ones, name = np.ones(len(part), np.int64), BlockName(run, start)
        points = part[:, None]
        sides.append(Side(part, ones, 0 * ones, None, partial(located, points), name=name))
    every = [(a, b) for a in range(len(sides)) for b in range(a, len(sides))]
    chosen = np.random.default_rng(1).permutation(len(every))[:PAIRS]
    pairs = matches = candidates = 0
    started = time.process_time()
    for a, b in (every[number] for number in chosen):
        pair = BlockPair(sides[a], sides[b], a == b, MatchRules(kind.limit, 1, "compare"), kind.kernel)
        for _ in pair.runs():
            continue
        pairs += pair.ledger.decided
        matches += pair.ledger.matches
        candidates += pair.levels.directions
    return Compared(pairs, time.process_time() - started, matches, candidates)


def located(points: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a block, and the positions in these points of the wanted points."""
    return points, wanted


def principal(rows: np.ndarray) -> np.ndarray:
    """Return vectors in the basis of their principal directions, largest first, as Panorama expects."""
    basis = np.linalg.eigh(rows[:4_096].T.astype(np.float64) @ rows[:4_096])[1][:, ::-1]
    return np.ascontiguousarray((rows @ basis).astype(np.float32))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def flat(rows: np.ndarray, cosine: float) -> float:
    """Return the pairs per second of faiss's plain range search; NaN without faiss."""
    return math.nan if faiss is None else searched(faiss.IndexFlatIP(rows.shape[1]), rows, cosine)


def panorama(rows: np.ndarray, cosine: float, levels: int) -> float:
    """Return the pairs per second of faiss's range search with early rejection by bounds; NaN without the index."""
    if not hasattr(faiss, "IndexFlatIPPanorama"):
        return math.nan
    return searched(faiss.IndexFlatIPPanorama(rows.shape[1], levels), rows, cosine)


def searched(index: Any, rows: np.ndarray, cosine: float) -> float:
    """Return the pairs per second of a range search for some vectors among all; each pair counts once."""
    index.add(rows)
    some = np.ascontiguousarray(rows[:: max(1, len(rows) ** 2 // COSINES)])
    return len(some) * (len(rows) - 1) / 2 / seconds(lambda: index.range_search(some, cosine))


def table(count: int, length: int) -> None:
    """Print the lines of one length of vectors."""
    rows = vectors(count, length)
    compared(rows[:BLOCK], LIMITS[-1])  # loads compiled code
    ours = {
        cosine: min((compared(rows, cosine) for _ in range(3 if count <= BLOCK else 1)), key=lambda each: each.seconds)
        for cosine in LIMITS
    }
    without = flat(rows, LIMITS[1])
    turned = principal(rows)
    for cosine, found in ours.items():
        bounded = max(panorama(turned, cosine, levels) for levels in LEVELS)
        rate = found.pairs / found.seconds
        print(
            f"{length:>10}{cosine:>8g}{rate:>16,.0f}{rate / without:>14.2f}{rate / bounded:>22.2f}"
            f"{found.pairs:>18,}{found.matches:>12,}{found.candidates:>13,}",
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
        print(f"{options.images:,} vectors, all pairs; ratios are the time of faiss divided by the time of fast-diff")
        print(
            f"{'dimensions':>10}{'cosine':>8}{'pairs a second':>16}{'IndexFlatIP':>14}{'IndexFlatIPPanorama':>22}"
            f"{'pairs compared':>18}{'matches':>12}{'candidates':>13}"
        )
        for length in options.dimensions:
            table(options.images, length)


if __name__ == "__main__":
    main()
