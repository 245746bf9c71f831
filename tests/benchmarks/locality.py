"""Count the reads of blocks for comparing all block pairs, for several orders and sizes of cache.

    python -m tests.benchmarks.locality [BLOCKS ...]

The first table is for one worker. It has the reads per block pair, at most 2, with caches of 16 and 64 blocks, for 256
and 1,024 blocks (or BLOCKS). The orders are random, by rows, by rows in alternating direction, by diagonals, by tiles
of 8 or 32 blocks a side, along Hilbert's curve, and the order of the real planner. The second table is for a hundred
workers with a cache each. Bundles of up to 1, 16, 64 or 256 consecutive block pairs of the plan go to the workers in
turn, as with Dask. Cache size 0 means that the cache is emptied before each bundle."""

from __future__ import annotations

import random
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.plan.tasks import Node, in_order, make_plan
from stages.kernels import hilbert
from tests.benchmarks.many import config_of, many

CACHES = (16, 64)
WORKERS = 100
Pairs = list[tuple[int, int]]


class Cache:
    """An LRU cache of blocks; `reads` counts cache misses."""

    def __init__(self, most: int) -> None:
        self.most, self.reads = most, 0
        self._kept: OrderedDict[int, None] = OrderedDict()

    def use(self, pair: Iterable[int]) -> None:
        for block in pair:
            if block in self._kept:
                self._kept.move_to_end(block)
                continue
            self.reads += 1
            self._kept[block] = None
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)


def reads(pairs: Pairs, most: int) -> float:
    """Return the reads per pair of one worker."""
    cache = Cache(most)
    for pair in pairs:
        cache.use(dict.fromkeys(pair))
    return cache.reads / len(pairs)


def planned(blocks: int) -> list[Node]:
    """Return the block pairs in the order of the real planner."""
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(Path(folder), {})
    plan = make_plan(in_order(many(blocks, blocks, config)), config.params, config.settings)
    return sorted((node for node in plan.nodes.values() if node.stage.name == "pairs"), key=lambda node: node.rank)


def pairs_of(nodes: Sequence[Node]) -> Pairs:
    """Return the numbers of the two blocks of each block pair."""
    keys = [node.task.key.split(".") for node in nodes]
    return [(int(a.partition("-")[2], 16), int(b.partition("-")[2], 16)) for a, b in keys]


def bundles(nodes: Sequence[Node], most: int) -> Iterator[Pairs]:
    """Yield bundles of consecutive block pairs of one group, as the runner sends them when all pairs are ready."""
    waiting: list[Node] = []
    for node in nodes:
        if waiting and (len(waiting) == most or waiting[0].task.group != node.task.group):
            yield pairs_of(waiting)
            waiting = []
        waiting.append(node)
    yield pairs_of(waiting)


def dealt(bundled: Sequence[Pairs], most: int) -> float:
    """Return the reads per pair if bundles go to one worker after the other.

    most  blocks in each worker's cache; 0: the cache is emptied before each bundle"""
    caches = [Cache(most or 1 << 30) for _ in range(WORKERS)]
    total = 0
    for number, pairs in enumerate(bundled):
        cache = caches[number % WORKERS] if most else Cache(1 << 30)
        before = cache.reads
        for pair in pairs:
            cache.use(dict.fromkeys(pair))
        total += cache.reads - before
    return total / sum(map(len, bundled))


def orders(blocks: int) -> Iterator[tuple[str, Pairs]]:
    """Yield the name of each order, and the pairs in this order."""
    rows: Pairs = [(a, b) for a in range(blocks) for b in range(a, blocks)]
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)
    yield "random", shuffled
    yield "row", rows
    yield "snake", [(a, b) for a in range(blocks) for b in range(a, blocks)[:: -1 if a % 2 else 1]]
    yield "diagonal", [(a, a + d) for d in range(blocks) for a in range(blocks - d)]
    for side in (8, 32):
        yield f"tiles of {side}", sorted(rows, key=lambda pair: (pair[1] // side, pair[0] // side, pair[1], pair[0]))
    a, b = np.array(rows).T
    yield "Hilbert", [rows[place] for place in np.argsort(hilbert.places(a, b)).tolist()]


def main() -> None:
    for blocks in [int(word) for word in sys.argv[1:]] or [256, 1024]:
        nodes = planned(blocks)
        print(f"{blocks:,} blocks, {len(nodes):,} pairs; reads per pair, and (reads by rows) / reads")
        print(f"  {'one worker, a cache of':<34}" + "".join(f"{cache:>16}" for cache in CACHES))
        by_rows: list[float] = []
        for name, pairs in [*orders(blocks), ("this plan", pairs_of(nodes))]:
            found = [reads(pairs, cache) for cache in CACHES]
            by_rows = found if name == "row" else by_rows
            said = [
                f"{count:.3f}" + (f" ({row / count:4.1f})" if by_rows else " " * 7)
                for count, row in zip(found, by_rows or found, strict=True)
            ]
            print(f"  {name:<34}" + "".join(f"{text:>16}" for text in said), flush=True)
        print(f"  {f'{WORKERS} workers, a cache each of':<34}" + "".join(f"{cache:>16}" for cache in (0, *CACHES)))
        for most in (1, 16, 64, 256):
            bundled = list(bundles(nodes, most))
            counts = [dealt(bundled, cache) for cache in (0, *CACHES)]
            print(f"  {f'bundles of up to {most}':<34}" + "".join(f"{count:>16.3f}" for count in counts), flush=True)


if __name__ == "__main__":
    main()
