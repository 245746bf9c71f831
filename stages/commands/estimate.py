"""What a run would take, before it runs: images, pairs, bytes, and a time from a probe of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.settings import Config
from pipeline.machine.cores import usable
from pipeline.plan.tasks import Plan
from pipeline.stage import Address
from stages.comparing.text import human_bytes, human_count, human_seconds
from stages.decoding.lanes import Lanes
from stages.decoding.reading import Expected

PROBED = 64
"""Files that are decoded to see how long it takes."""
OVERHEAD = 700
"""Bytes of all artifacts an image beside its thumbnail: scan, facts, hashes, index."""
COMPARED = (1.5e9, 0.05e9)
"""Pairs a second and core: photographs that are mostly different, and images for which no bound helps. README."""
SECONDS = 1.5
"""What a run takes with nothing to do."""


@dataclass(frozen=True)
class Probe:
    """So many files were decoded on one core, in so many seconds; and how many of them can't be read."""

    files: int
    seconds: float
    failed: int


def probe(config: Config, plan: Plan) -> Probe:
    """Decode some files, evenly chosen, as the thumbnail stage would."""
    tables = [table for _, table in sorted(plan.sources.items())]
    scan = pa.concat_tables(tables).select(["path", "path_bytes", "bytes", "stamp"])
    some = scan.take(np.unique(np.linspace(0, scan.num_rows - 1, min(PROBED, scan.num_rows)).astype(np.int64)))
    files = [
        Expected(row["path_bytes"] or row["path"].encode(), row["bytes"], row["stamp"]) for row in some.to_pylist()
    ]
    params = config.params["thumbnail"]
    options = params.options(config.settings("scan.trust"))
    list(Lanes(files[:1], options, params.limits, lambda: None))  # the start of a process is not part of it
    started = time.perf_counter()
    failed = sum(seen.problem is not None for _, seen, _ in Lanes(files, options, params.limits, lambda: None))
    return Probe(len(files), time.perf_counter() - started, failed)


def lines(config: Config, plan: Plan, current: Mapping[Address, str], cores: int) -> Iterator[str]:
    """The estimate as text. `current`: what is there already; `cores`: how many compute."""
    images, size = _counted(plan, "a"), _counted(plan, "b")
    count = images[0] + size[0]
    pairs = images[0] * size[0] if size[0] else images[0] * (images[0] - 1) // 2
    found = probe(config, plan)
    rest = _share_left(plan, current, "thumbnail")
    decode = rest * count * found.seconds / found.files / cores
    fast, slow = (_share_left(plan, current, "pairs") * pairs / rate / cores for rate in COMPARED)
    failed = f"; {found.failed} of {found.files} that were tried can't be read" if found.failed else ""
    yield f"images      {human_count(count)}, {human_bytes(images[1] + size[1])}{failed}"
    yield f"pairs       {human_count(pairs)}, in {human_count(plan.stages()['pairs'])} block pairs"
    height, width, channels = config.params["thumbnail"].shape
    stored = count * (height * width * channels + OVERHEAD)
    yield f"artifacts   at most {human_bytes(stored)} in {config.folder}, and the report"
    rate = f"{found.files / found.seconds:,.0f} images a second and core by a probe of {found.files} files"
    yield f"thumbnails  {human_seconds(decode)}  ({rate}; {cores} cores{_done(rest)})"
    yield f"comparing   {human_seconds(fast)}, up to {human_seconds(slow)} where images are much alike"
    total = SECONDS + decode
    yield f"in all      {human_seconds(total + fast)} to {human_seconds(total + slow)}, without the report"


def _counted(plan: Plan, name: str) -> tuple[int, int]:
    """Images of a set, and their bytes."""
    tables = [table for (_, key), table in plan.sources.items() if key.startswith(f"{name}-")]
    return sum(map(len, tables)), sum(int(np.sum(table["bytes"].to_numpy())) for table in tables)


def _share_left(plan: Plan, current: Mapping[Address, str], stage: str) -> float:
    """Which part of a stage's tasks would run."""
    total = plan.stages()[stage]
    there = sum(name == stage for name, _ in current)
    return (total - there) / total if total else 0.0


def _done(rest: float) -> str:
    return "" if rest == 1 else f"; {1 - rest:.0%} of them are there already"


def cores_of(config: Config) -> int:
    """How many cores compute, as far as the config tells."""
    return config.scheduler.cores(usable())
