"""How fast pairs are decided, against brute force.

    python -m tests.benchmarks.pairs [FOLDER]

Thumbnails come from the images below FOLDER, or are smooth random ones. One core, 64x64 RGB, threshold 200, four
turns. Prints pairs a second of the block-pair kernel, of the exact product of whole tiles (the floor: brute force as
BLAS does it), of a NumPy loop over pairs (as the older tools do it), of faiss' exact range search if it is installed,
and the ratios; and what one gathered candidate costs, in pairs of the exact product: the reciprocal of `tile.DENSE`."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import threadpoolctl

from stages.decode import Options, Unreadable, decode
from stages.kernels import coarse, exact
from stages.kernels.tile import BlockPair, Rules, Side

SHAPE = (64, 64, 3)
TURNS = 4


def thumbnails(folder: Path | None, count: int = 4_000) -> np.ndarray:
    """uint8 (n, 64, 64, 3)."""
    if folder is None:
        random = np.random.default_rng(1)
        steps = random.normal(0, 9, (count, *SHAPE)).cumsum(axis=1).cumsum(axis=2) / 6
        return np.clip(steps + random.integers(0, 256, (count, 1, 1, 3)), 0, 255).astype(np.uint8)
    options = Options((64, 64), "RGB", True, (255, 255, 255), True, 2**30, 10**9, "mtime")
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                found.append(decode(path.read_bytes(), options).pixels)
            except Unreadable as error:
                print(f"{path.name}: {error.code}, left out")
    return np.array(found)


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def side(images: np.ndarray) -> Side:
    n = len(images)
    return Side(
        coarse.vectors(coarse.coarse(images), SHAPE),
        np.ones(n, np.int64),
        np.zeros(n, np.int64),
        None,
        lambda rows: images[rows],
    )


def kernel(one: Side) -> int:
    """All pairs among the images; returns the number of matches."""
    rules = Rules(SHAPE, coarse.limit(200.0, 64 * 64), TURNS, "compare")
    pair = BlockPair(one, one, True, rules)
    for _ in pair.row_tiles():
        continue
    return pair.ledger.matches


def main() -> None:
    images = thumbnails(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    n = len(images)
    pairs = n * (n - 1) // 2
    some = images[:512]
    few = images[:60]
    flat = some.reshape(len(some), -1)
    with threadpoolctl.threadpool_limits(1):
        one = side(images)  # the thumbnail stage has made the sums
        print(f"{n:,} thumbnails, {pairs:,} pairs, {kernel(one):,} matches; pairs a second:")
        ours = pairs / best(lambda: kernel(one))
        print(f"  block-pair kernel, four turns    {ours:>15,.0f}")
        product = len(some) ** 2 / best(lambda: exact.cross_over_turns(some, some, TURNS))
        print(f"  exact product, four turns        {product:>15,.0f}   ratio {ours / product:,.0f}")

        def loop() -> None:
            for a in few:
                for b in few:
                    min(np.square(a.astype(float) - np.rot90(b, k)).sum() / 4096 for k in range(TURNS))

        looped = len(few) ** 2 / best(loop)
        print(f"  NumPy loop, four turns           {looped:>15,.0f}   ratio {ours / looped:,.0f}")
        if importlib.util.find_spec("faiss"):
            import faiss

            faiss.omp_set_num_threads(1)
            index = faiss.IndexFlatL2(flat.shape[1])
            index.add(flat.astype(np.float32))
            peer = len(some) ** 2 / best(lambda: index.range_search(flat.astype(np.float32), 200.0 * 4096))
            print(f"  faiss range search, no turns     {peer:>15,.0f}   ratio {ours / peer:,.0f}")
        else:
            print("  faiss is not installed: left out")
        i, j = np.random.default_rng(2).integers(0, len(some), (2, 2_000))
        gathered = TURNS * 2_000 / best(lambda: exact.least_over_turns(some[i], some[j], TURNS))
        cost = product * TURNS / gathered
        print(f"in one turn, a gathered candidate costs as much as {cost:.0f} pairs of the exact product")


if __name__ == "__main__":
    main()
