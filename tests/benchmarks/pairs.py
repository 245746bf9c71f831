"""How fast pairs are decided, against brute force, against peers, and against the floor; one core, one table.

    python -m tests.benchmarks.pairs [FOLDER ...]

Photographs are 30,000 crops of the images below the folders, or synthesised ones; 64x64 RGB. Each peer is
given some of them and the same job, all the pairs among these; so faiss and scikit-learn, which search for each image
among all, compute every distance twice. The floor is the bare product of matrices at the coarse dimension over all
pairs, in tiles of 1,024, whose results nobody looks at.

The second table has the data that make bounds useless: icons, pages of text, frames of a film, flat sheets. There the
kernel is held against the exact product of all tiles and turns, with the matches taken out, timed on one of them; below
0.8 it would have been better not to filter at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import threadpoolctl

from stages.comparing.metrics.mse import Mse
from stages.kernels import compare
from stages.kernels.arrays import CPU
from stages.kernels.bounds import coarse
from stages.kernels.compare import BlockPair
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Side
from stages.kernels.rules import MatchRules
from stages.pairs import Params
from tests.benchmarks import thumbnails
from tests.benchmarks.thumbnails import SHAPE

COUNT = 30_000
VALUES = 64 * 64 * 3
LIMIT = 200.0


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of the fastest round; one round only where it is long."""
    times: list[float] = []
    while len(times) < rounds and sum(times) < 20:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def side(images: np.ndarray) -> Side:
    """Images that are all of one kind; the thumbnail stage has made their sums."""
    n = len(images)
    vectors = np.concatenate([coarse.vectors(coarse.coarse(images[s : s + 1000]), SHAPE) for s in range(0, n, 1000)])
    rows = np.ascontiguousarray(images)
    return Side(vectors, np.ones(n, np.int64), np.zeros(n, np.int64), None, lambda wanted: (rows, wanted))


def compared(one: Side, **params: object) -> BlockPair:
    """All pairs among the images, compared."""
    kind = Mse(Params(**params), SHAPE, CPU)  # type: ignore[arg-type]  # values of many kinds, by name
    pair = BlockPair(
        one, one, True, MatchRules(kind.limit, 4 if params.get("rotations", True) else 1, "compare"), kind.kernel
    )
    for _ in pair.runs():
        continue
    return pair


@contextmanager
def without_numba() -> Iterator[None]:
    """The form that is taken for small blocks, and where there is no numba."""
    kept = compare.COMPILED
    compare.COMPILED = 1 << 62
    try:
        yield
    finally:
        compare.COMPILED = kept


@contextmanager
def without_numkong() -> Iterator[None]:
    """The exact product as BLAS does it."""
    kept, exact.fast_bytes = exact.fast_bytes, lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        exact.fast_bytes = kept


def floor(vectors: np.ndarray) -> None:
    """The bare product over all pairs."""
    for row in range(0, len(vectors), 1_024):
        for column in range(row, len(vectors), 1_024):
            vectors[row : row + 1_024] @ vectors[column : column + 1_024].T


def product(images: np.ndarray, tile: int = 1_024) -> float:
    """Pairs a second of the exact product of a tile."""
    a, b = images[:tile], images[-tile:]
    return len(a) * len(b) / best(lambda: exact.Squares().cross(a, b))


def looped(images: np.ndarray) -> None:
    """As the older tools do it: pair by pair."""
    for number, a in enumerate(images):
        for b in images[:number]:
            np.square(a.astype(float) - b).sum() / 4096


def peers(images: np.ndarray) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Names, how many images, and what finds the pairs among them."""
    rows = images.reshape(-1, VALUES).astype(np.float32)
    most = LIMIT * 64 * 64
    yield "NumPy loop over pairs", 80, lambda: looped(images[:80])
    try:
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(VALUES)
        index.add(rows)
        yield "faiss IndexFlatL2.range_search", len(rows), lambda: index.range_search(rows, most)
    except ImportError:
        print("faiss is left out, not installed: pip install -e '.[bench]'")
    try:
        from sklearn.neighbors import NearestNeighbors

        brute = NearestNeighbors(algorithm="brute", n_jobs=1).fit(rows)
        yield "scikit-learn radius_neighbors", len(rows), lambda: brute.radius_neighbors(rows, most**0.5)
    except ImportError:
        print("scikit-learn is left out, not installed: pip install -e '.[bench]'")
    from scipy.spatial.distance import pdist

    few = rows[:400].astype(np.float64)
    yield "SciPy pdist sqeuclidean", len(few), lambda: pdist(few, "sqeuclidean")


def photographs(images: np.ndarray) -> None:
    """The first table."""
    one, n = side(images), len(images)
    pairs = n * (n - 1) // 2
    rates: dict[str, float] = {}
    for name, count, work in peers(images[:2_048]):
        rates[name] = count * (count - 1) / 2 / best(work)
    rates["floor: bare product, 64 columns"] = pairs / best(lambda: floor(one.vectors), 1)
    rates["ours, every pair recorded"] = product(images)
    with without_numkong():
        rates["  the same without NumKong"] = product(images)
    notes: dict[str, str] = {}
    ways: list[tuple[str, dict[str, object]]] = [
        ("ours, no rotations", {"rotations": False}),
        ("ours, four turns", {}),
        *((f"ours, four turns, threshold {limit:g}", {"threshold": limit}) for limit in (0.0, 50.0, 2000.0)),
    ]
    for name, params in ways:
        compared(one, **params)
        rates[name] = pairs / best(lambda params=params: compared(one, **params))  # type: ignore[misc]
        found = compared(one, **params)
        notes[name] = f"{found.ledger.matches:,} matches of {found.levels.sums:,} candidates"
    with without_numba():
        for name, params in ways[:2]:
            rates[f"{name}, without numba"] = pairs / best(lambda params=params: compared(one, **params), 1)  # type: ignore[misc]
    peer = rates.get("faiss IndexFlatL2.range_search")
    bare = rates["floor: bare product, 64 columns"]
    print(f"\n{n:,} photographs, {pairs:,} pairs, threshold {LIMIT:g} unless another is named")
    print(f"{'':<36}{'pairs a second':>16}{'x faiss':>10}{'x floor':>9}")
    for name, rate in rates.items():
        beside = f"{rate / peer:>10,.3g}" if peer else " " * 10
        print(f"{name:<36}{rate:>16,.0f}{beside}{rate / bare:>9.2g}  {notes.get(name, '')}".rstrip())


def brute(images: np.ndarray, one: Side, rotations: bool, threshold: float) -> float:
    """Pairs a second of the exact product of all tiles, of which one is timed: with its matches, and nothing else."""
    kind = Mse(Params(rotations=rotations, threshold=threshold), SHAPE, CPU)
    turns, n = 4 if rotations else 1, len(images)
    height = min(n // 2, 1_024)
    a, b = images[:height], images[n // 2 : n // 2 + height]
    lefts = [exact.turned(a, 4 - turn) if turn else a for turn in range(turns)]
    wanted = np.ones((len(a), len(b)), bool)
    assert kind.limit is not None
    limit = float(kind.limit)
    rate = len(a) * len(b) / best(lambda: exact.Squares().near(lefts, [b] * turns, wanted, limit))
    tiles = sum(min(1_024, n - start) * (n - start) for start in range(0, n, 1_024))
    return n * (n - 1) / 2 / (tiles / rate)


def hard(name: str, images: np.ndarray, rotations: bool, threshold: float) -> None:
    """A line of the second table."""
    one, n = side(images), len(images)
    pairs = n * (n - 1) // 2
    exactly = brute(images, one, rotations, threshold)
    before = psutil.Process().memory_info().rss
    seconds = best(lambda: compared(one, rotations=rotations, threshold=threshold), 2)
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    found = compared(one, rotations=rotations, threshold=threshold)
    levels, rate = found.levels, pairs / seconds
    print(
        f"{name:<26}{4 if rotations else 1:>2}{threshold:>7g}{rate:>16,.0f}{rate / exactly:>10.2f}"
        f"{found.ledger.matches:>12,}{levels.sums:>13,}{levels.checked:>12,}{levels.products:>13,}{grown:>8.0f}",
        flush=True,
    )


def main() -> None:
    folders = [Path(word) for word in sys.argv[1:]]
    with threadpoolctl.threadpool_limits(1):
        photographs(thumbnails.crops(folders, COUNT) if folders else thumbnails.synthesised(0, COUNT))
        print(
            f"\n{'data':<26}{'':>2}{'limit':>7}{'pairs a second':>16}{'x exact':>10}{'matches':>12}{'candidates':>13}"
            f"{'one by one':>12}{'in products':>13}{'MiB':>8}"
        )
        for name, images in (
            ("20,000 icons", thumbnails.icons(20_000)),
            ("16,384 icons", thumbnails.icons(16_384)),
            ("5,000 pages of text", thumbnails.scans(5_000)),
            ("5,000 frames of a film", thumbnails.frames(5_000)),
            ("5,000 flat sheets", thumbnails.flat(5_000)),
            ("1,000 frames of a film", thumbnails.frames(1_000)),
        ):
            for rotations in (False, True):
                for threshold in (50.0, 200.0, 800.0):
                    hard(name, images, rotations, threshold)


if __name__ == "__main__":
    main()
