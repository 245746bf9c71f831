"""Measure how fast pairs are decided on one core, against brute force, peers and a floor.

    python -m tests.benchmarks.pairs [FOLDER ...] [--images 30000]

The first table has photographs, 64x64 RGB: 30,000 crops of the images below the folders, or synthesised images. Each
peer gets some of the images and decides all pairs among these. faiss and scikit-learn search for each image among all
images, so they compute every distance twice. faiss's Panorama index rejects a pair as soon as a bound allows; it gets
orthonormal DCTs of the images, low frequencies first, and the fastest of several numbers of levels counts. The floor is
the bare matrix product of coarse vectors over all pairs, in tiles of 1,024, without use of the results.

Then follow the costs of two options, in processor seconds, measured alternately with and without the option: eight
turns against four, and `pairs.exposure: ignore` against `compare`. The cost of `ignore` is also measured on data of the
last table.

The last table has data for which bounds exclude few pairs: icons, pages of text, frames of a film, and flat sheets. The
kernel is compared with exact products of all tiles and turns and the search of matches in the products, timed on one
tile. Below a ratio of 0.8 it would be better not to filter. `--images` is the greatest number of images of each kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import threadpoolctl
from scipy.fft import dctn

from stages.comparing.metrics.mse import Mse
from stages.kernels import compare
from stages.kernels.arrays import CPU
from stages.kernels.bounds import coarse
from stages.kernels.compare import BlockPair
from stages.kernels.measure import exact
from stages.kernels.measure.metric import Side
from stages.kernels.measure.turns import turned
from stages.kernels.rules import MatchRules
from stages.pairs import Params
from tests.benchmarks import thumbnails
from tests.benchmarks.thumbnails import SHAPE

COUNT = 30_000
VALUES = 64 * 64 * 3
LIMIT = 200.0
LEVELS = (16, 32, 64, 128, 256, 512)
"""Numbers of levels that are tried for the Panorama index of faiss."""
FLAT, PANORAMA = "faiss IndexFlatL2.range_search", "faiss IndexFlatL2Panorama.range_search"


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the seconds of the fastest round; a long round is not repeated."""
    times: list[float] = []
    while len(times) < rounds and sum(times) < 20:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def side(images: np.ndarray, zero_mean: bool = False) -> Side:
    """Return images as a side of a block pair, with coarse vectors computed before any timing."""
    n = len(images)
    sums = np.concatenate([coarse.coarse(images[start : start + 1000]) for start in range(0, n, 1000)])
    vectors = coarse.vectors(sums, SHAPE, zero_mean=zero_mean)
    rows = np.ascontiguousarray(images)
    return Side(vectors, np.ones(n, np.int64), np.zeros(n, np.int64), None, lambda wanted: (rows, wanted))


def compared(one: Side, **params: object) -> BlockPair:
    """Compare all pairs of the images."""
    comparison = Params(**params).comparison  # type: ignore[arg-type]  # values of many kinds, by name
    kind = Mse(comparison, SHAPE, CPU)
    pair = BlockPair(one, one, True, MatchRules(kind.limit, comparison.turns, "compare"), kind.kernel)
    for _ in pair.runs():
        continue
    return pair


@contextmanager
def without_numba() -> Iterator[None]:
    """Use the filter of small blocks, which also runs without numba."""
    kept = compare.TUNING
    compare.TUNING = dataclasses.replace(kept, compiled=1 << 62)
    try:
        yield
    finally:
        compare.TUNING = kept


@contextmanager
def without_numkong() -> Iterator[None]:
    """Compute exact products with BLAS."""
    kept, exact.fast_bytes = exact.fast_bytes, lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        exact.fast_bytes = kept


def floor(vectors: np.ndarray) -> None:
    """Multiply the vectors of all pairs, tile by tile."""
    for row in range(0, len(vectors), 1_024):
        for column in range(row, len(vectors), 1_024):
            vectors[row : row + 1_024] @ vectors[column : column + 1_024].T


def product(images: np.ndarray, tile: int = 1_024) -> float:
    """Return the pairs per second of the exact product of a tile."""
    a, b = images[:tile], images[-tile:]
    return len(a) * len(b) / best(lambda: exact.Squares().cross(a, b))


def looped(images: np.ndarray) -> None:
    """Compare pair by pair in a Python loop, as older tools do."""
    for number, a in enumerate(images):
        for b in images[:number]:
            np.square(a.astype(float) - b).sum() / 4096


def by_frequency(images: np.ndarray) -> np.ndarray:
    """Return orthonormal DCTs of images, low frequencies first, float32 (n, VALUES); distances stay the same."""
    waves = dctn(images.astype(np.float32), axes=(1, 2), norm="ortho").reshape(-1, VALUES)
    order = np.argsort(np.add.outer(np.arange(64), np.arange(64)).repeat(3), kind="stable")
    return np.ascontiguousarray(waves[:, order])


def peers(images: np.ndarray) -> Iterator[tuple[str, int, Callable[[], object], str]]:
    """Yield for each peer its name, the number of images, a function that finds the pairs, and a note.

    If a name occurs several times, the fastest counts."""
    rows = images.reshape(-1, VALUES).astype(np.float32)
    most = LIMIT * 64 * 64
    yield "NumPy loop over pairs", len(images[:80]), lambda: looped(images[:80]), ""
    try:
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(VALUES)
        index.add(rows)
        yield FLAT, len(rows), lambda: index.range_search(rows, most), ""
        if hasattr(faiss, "IndexFlatL2Panorama"):
            waves = by_frequency(images)
            for levels in LEVELS:
                index = faiss.IndexFlatL2Panorama(VALUES, levels)
                index.add(waves)
                yield PANORAMA, len(rows), partial(index.range_search, waves, most), f"{levels} levels"
        else:
            print(f"faiss IndexFlatL2Panorama is left out: faiss {faiss.__version__} lacks it")
    except ImportError:
        print("faiss is left out, not installed: pip install -e '.[bench]'")
    try:
        from sklearn.neighbors import NearestNeighbors

        brute = NearestNeighbors(algorithm="brute", n_jobs=1).fit(rows)
        yield "scikit-learn radius_neighbors", len(rows), lambda: brute.radius_neighbors(rows, most**0.5), ""
    except ImportError:
        print("scikit-learn is left out, not installed: pip install -e '.[bench]'")
    from scipy.spatial.distance import pdist

    few = rows[:400].astype(np.float64)
    yield "SciPy pdist sqeuclidean", len(few), lambda: pdist(few, "sqeuclidean"), ""


def photographs(images: np.ndarray) -> None:
    """Print the first table."""
    one, n = side(images), len(images)
    pairs = n * (n - 1) // 2
    rates: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name, count, work, note in peers(images[:2_048]):
        rate = count * (count - 1) / 2 / best(work)
        if rate > rates.get(name, 0):
            rates[name], notes[name] = rate, note
    fastest = max(rates.values())
    rates["floor: bare product, 64 columns"] = pairs / best(lambda: floor(one.vectors), 1)
    rates["ours, every pair recorded"] = product(images)
    with without_numkong():
        rates["  the same without NumKong"] = product(images)
    ways: list[tuple[str, dict[str, object]]] = [
        ("ours, no rotations", {"rotations": False}),
        ("ours, four turns", {}),
        ("ours, eight turns", {"mirror": True}),
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
    flat = rates.get(FLAT)
    bare = rates["floor: bare product, 64 columns"]
    print(f"\n{n:,} photographs, {pairs:,} pairs, threshold {LIMIT:g} unless another is named")
    print(f"{'':<40}{'pairs a second':>16}{'x faiss':>10}{'x fastest peer':>16}{'x floor':>9}")
    for name, rate in rates.items():
        beside = (f"{rate / flat:>10,.3g}" if flat else " " * 10) + f"{rate / fastest:>16,.3g}"
        print(f"{name:<40}{rate:>16,.0f}{beside}{rate / bare:>9.2g}  {notes.get(name, '')}".rstrip())


def priced(name: str, images: np.ndarray, key: str, values: tuple[object, object], rounds: int = 5) -> None:
    """Print the times with the first and the second value of a key, and their ratio, for four turns and for one."""
    sides = [side(images, value == "ignore") for value in values]
    for rotations in (True, False):
        for threshold in (50.0, 200.0, 800.0):
            times: tuple[list[float], list[float]] = ([], [])
            matches = [0, 0]
            for which in (0, 1) * (rounds + 1):
                started = time.process_time()
                found = compared(sides[which], rotations=rotations, threshold=threshold, **{key: values[which]})
                times[which].append(time.process_time() - started)
                matches[which] = found.ledger.matches
            without, with_ = (min(each[1:]) for each in times)  # the first round is a warm-up
            about = f"  {key}, {len(images):,} {name}, {4 if rotations else 1}, {threshold:g}"
            figures = f"{without:>10.3f}{with_:>10.3f}{with_ / without:>8.2f}{matches[0]:>12,}{matches[1]:>12,}"
            print(f"{about:<46}{figures}", flush=True)


def brute(images: np.ndarray, one: Side, rotations: bool, threshold: float) -> float:
    """Return the pairs per second of exact products and matches of all tiles, extrapolated from one tile."""
    kind = Mse(Params(rotations=rotations, threshold=threshold).comparison, SHAPE, CPU)
    turns, n = 4 if rotations else 1, len(images)
    height = min(n // 2, 1_024)
    a, b = images[:height], images[n // 2 : n // 2 + height]
    lefts = [turned(a, 4 - turn) if turn else a for turn in range(turns)]
    wanted = np.ones((len(a), len(b)), bool)
    assert kind.limit is not None
    limit = float(kind.limit)
    rate = len(a) * len(b) / best(lambda: exact.Squares().near(lefts, [b] * turns, wanted, limit))
    tiles = sum(min(1_024, n - start) * (n - start) for start in range(0, n, 1_024))
    return n * (n - 1) / 2 / (tiles / rate)


def hard(name: str, images: np.ndarray, rotations: bool, threshold: float) -> None:
    """Print a line of the last table."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="photographs")
    parser.add_argument("--images", type=int, default=COUNT, help="greatest number of images of each kind of data")
    options = parser.parse_args()
    most = min(COUNT, options.images)
    with threadpoolctl.threadpool_limits(1):
        crops = thumbnails.crops(options.folders, most) if options.folders else thumbnails.synthesised(0, most)
        photographs(crops)
        about = "option, images, turns, threshold"
        print(f"\n{about:<46}{'without':>10}{'with':>10}{'ratio':>8}{'matches':>12}{'with':>12}")
        priced("crops", crops, "mirror", (False, True))
        priced("crops", crops, "exposure", ("compare", "ignore"))
        for kind, make in (("icons", thumbnails.icons), ("pages", thumbnails.scans), ("frames", thumbnails.frames)):
            priced(kind, make(min(5_000, most)), "exposure", ("compare", "ignore"), 1)
        print(
            f"\n{'data':<26}{'':>2}{'limit':>7}{'pairs a second':>16}{'x exact':>10}{'matches':>12}{'candidates':>13}"
            f"{'one by one':>12}{'in products':>13}{'MiB':>8}"
        )
        for kind, make, count in (
            ("icons", thumbnails.icons, 20_000),
            ("icons", thumbnails.icons, 16_384),
            ("pages of text", thumbnails.scans, 5_000),
            ("frames of a film", thumbnails.frames, 5_000),
            ("flat sheets", thumbnails.flat, 5_000),
            ("frames of a film", thumbnails.frames, 1_000),
        ):
            images = make(min(count, most))
            for rotations in (False, True):
                for threshold in (50.0, 200.0, 800.0):
                    hard(f"{len(images):,} {kind}", images, rotations, threshold)


if __name__ == "__main__":
    main()
