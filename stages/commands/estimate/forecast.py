"""Estimate a run: images, pairs, bytes, and a time from a probe of this machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.settings import Config
from pipeline.messages.words import counted
from pipeline.plan.tasks import Plan
from pipeline.stage import Address
from stages.comparing.folders import rule_folders
from stages.comparing.text import human_bytes, human_count, human_seconds
from stages.decoding.lanes import Lanes
from stages.decoding.sources import Expected

PROBED = 64
"""Maximum number of files in a probe."""
OVERHEAD = 700
"""Bytes stored for an image besides its thumbnail: scan, facts, hashes, index."""
COMPARED = (1.5e9, 0.05e9)
"""Pairs per second and core: of mostly different photographs, and of images whose pairs no bound excludes."""
SECONDS = 1.5
"""Seconds of a run in which every task is up to date."""


@dataclass(frozen=True)
class Probe:
    """A probe: `files` decoded on one core in `seconds`, `failed` of them unreadable."""

    files: int
    seconds: float
    failed: int


def probe(config: Config, plan: Plan) -> Probe:
    """Decode some files, evenly spaced among all, as the thumbnail stage would."""
    tables = [table for _, table in sorted(plan.sources.items())]
    scan = pa.concat_tables(tables).select(["path", "path_bytes", "bytes", "stamp", "location"])
    some = scan.take(np.unique(np.linspace(0, scan.num_rows - 1, min(PROBED, scan.num_rows)).astype(np.int64)))
    files = [
        Expected(row["path_bytes"] or row["path"].encode(), row["bytes"], row["stamp"], row["location"] or "")
        for row in some.to_pylist()
    ]
    params = config.params["thumbnail"]
    options = params.options(config.settings("scan.trust"))
    list(Lanes(files[:1], options, params.limits, lambda: None))  # start the process before timing
    started = time.perf_counter()
    failed = sum(seen.problem is not None for _, seen, _ in Lanes(files, options, params.limits, lambda: None))
    return Probe(len(files), time.perf_counter() - started, failed)


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a run.

    `skipped`: pairs that `pairs.folders` excludes; `decoding` and `comparing` (least, most): seconds on `cores`;
    `left`: share of thumbnails that are not up to date; `most_bytes`: upper bound of bytes to store."""

    images: int
    bytes: int
    pairs: int
    skipped: int
    block_pairs: int
    most_bytes: int
    folder: str
    probe: Probe
    cores: int
    left: float
    decoding: float
    comparing: tuple[float, float]

    @property
    def total(self) -> tuple[float, float]:
        """Least and most seconds of the whole run, without the report."""
        least, most = (SECONDS + self.decoding + compared for compared in self.comparing)
        return least, most

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for machines; times are pairs of least and most seconds."""
        return {
            "images": self.images,
            "bytes": self.bytes,
            "pairs": self.pairs,
            "skipped_by_folder": self.skipped,
            "block_pairs": self.block_pairs,
            "most_bytes_stored": self.most_bytes,
            "folder": self.folder,
            "cores": self.cores,
            "probe": {"files": self.probe.files, "seconds": round(self.probe.seconds, 4), "failed": self.probe.failed},
            "seconds": {
                "thumbnails": round(self.decoding, 3),
                "comparing": [round(each, 3) for each in self.comparing],
                "total": [round(each, 3) for each in self.total],
            },
        }


def forecast(config: Config, plan: Plan, current: Mapping[Address, str], cores: int) -> Estimate:
    """Return the forecast of a run.

    `current`: artifacts that are up to date; `cores`: number of cores that compute."""
    (first, first_bytes), (second, second_bytes) = _counted(plan, "a"), _counted(plan, "b")
    count = first + second
    pairs = first * second if second else first * (first - 1) // 2
    found = probe(config, plan)
    left = _share_left(plan, current, "thumbnail")
    skipped = _skipped(config, plan, pairs)
    to_compare = _share_left(plan, current, "pairs") * (pairs - skipped)
    fast, slow = (to_compare / rate / cores for rate in COMPARED)
    height, width, channels = config.params["thumbnail"].shape
    return Estimate(
        count,
        first_bytes + second_bytes,
        pairs,
        skipped,
        plan.stages()["pairs"],
        count * (height * width * channels + OVERHEAD),
        str(config.folder),
        found,
        cores,
        left,
        left * count * found.seconds / found.files / cores,
        (fast, slow),
    )


def lines(found: Estimate) -> Iterator[str]:
    """Yield a forecast as text."""
    probe, (fast, slow) = found.probe, found.comparing
    failed = f"; {probe.failed} of {counted(probe.files, 'probed file')} can't be read" if probe.failed else ""
    yield f"images      {human_count(found.images)}, {human_bytes(found.bytes)}{failed}"
    skipped = f", {human_count(found.skipped)} of them skipped by pairs.folders" if found.skipped else ""
    yield f"pairs       {human_count(found.pairs)}, in {counted(found.block_pairs, 'block pair')}{skipped}"
    yield f"artifacts   at most {human_bytes(found.most_bytes)} in {found.folder}, and the report"
    rate = f"{probe.files / probe.seconds:,.0f} images per second and core, in a probe of {probe.files}"
    done = "" if found.left == 1 else f"; {1 - found.left:.0%} of the thumbnails are up to date"
    yield f"thumbnails  {human_seconds(found.decoding)}  ({rate}; {counted(found.cores, 'core')}{done})"
    yield f"comparing   {human_seconds(fast)}, up to {human_seconds(slow)} where images are much alike"
    least, most = found.total
    yield f"in all      {human_seconds(least)} to {human_seconds(most)}, without the report"


def _counted(plan: Plan, name: str) -> tuple[int, int]:
    """Return the number of images of a set, and the bytes of their files."""
    tables = [table for (_, key), table in plan.sources.items() if key.startswith(f"{name}-")]
    return sum(map(len, tables)), sum(int(np.sum(table["bytes"].to_numpy())) for table in tables)


def _skipped(config: Config, plan: Plan, pairs: int) -> int:
    """Return the number of pairs that `pairs.folders` excludes."""
    rule = config.params["pairs"].folders
    if rule == "any":
        return 0
    sizes: dict[str, Counter[str]] = {"a": Counter(), "b": Counter()}
    roots = (*config.settings("inputs.a"), *config.settings("inputs.b"))
    for (_, key), table in plan.sources.items():
        names = rule_folders(table["path"], roots, config.params["pairs"].folder_depth)
        for row in pc.value_counts(names).to_pylist():
            sizes[key[0]][row["values"]] += row["counts"]
    first, second = sizes["a"], sizes["b"]
    if second:
        within = sum(count * second[name] for name, count in first.items())
    else:
        within = sum(count * (count - 1) // 2 for count in first.values())
    return within if rule == "across" else pairs - within


def _share_left(plan: Plan, current: Mapping[Address, str], stage: str) -> float:
    """Return the share of a stage's tasks that would run."""
    total = plan.stages()[stage]
    return 1 - sum(name == stage for name, _ in current) / total if total else 0.0
