"""Measure time and memory from thumbnails to clusters, for growing numbers of images.

    python -m tests.benchmarks.growth [IMAGES ...] [--kind local]

Makes IMAGES thumbnails (not timed), 64x64 RGB, with the spectrum and the spread of brightness and contrast of
photographs; one in a hundred is a near-duplicate of another. Then runs hash, index, pairs and cluster with four turns
and threshold 200 on two local workers, or on another `scheduler.kind`. Prints for each number of images the time, the
processor time, the time of the pairs stage, the exponents of the growth of the first and the third since the previous
number, and the peak memory of all processes together. Needs 15 kB of disk per image, in the current folder. Default:
4,000, 16,000, 64,000, 256,000."""

from __future__ import annotations

import argparse
import dataclasses
import math
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa

from pipeline.cli.main import prepare_process
from pipeline.config.settings import from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.plan.discovery import discover
from pipeline.run import run
from pipeline.stage import Inputs, Job, Result, Settings, Stage, Task
from stages import scan, thumbnail
from stages.kernels import cut
from stages.kernels.bounds.coarse import coarse
from stages.listing.table import FileTable
from tests.benchmarks.thumbnails import synthesised


def fake_scan(images: int, params: Any, settings: Settings) -> Iterator[tuple[Task, pa.Table]]:
    """Yield partitions of files that do not exist."""
    paths = pa.array([b"/synthesised/%012d.jpg" % n for n in range(images)], pa.large_binary())
    ones = np.ones(images, np.int64)
    files = FileTable(paths, [b"/synthesised"], np.zeros(images, np.int32), ones, ones, ones)
    mean, block = scan.partition_sizes(settings, images)
    yield from scan.partitions("a", files, cut.window(mean), cut.window(block), params.trust)


def fake_thumbnails(inputs: Inputs, params: Any, job: Job, images: Callable[..., Any] = synthesised) -> Result:
    """Return synthesised rows of the thumbnail stage."""
    files = inputs.table("scan", thumbnail.SCAN)
    paths = files["path"].to_pylist()
    pixels = np.ascontiguousarray(images(int(Path(paths[0]).stem), len(paths)))
    schema = thumbnail.schema(params, job.settings)
    columns: dict[str, Any] = {name: [None] * len(paths) for name in schema.names}
    columns |= {name: files[name] for name in ("path", "path_bytes", "set", "bytes", "stamp")}
    columns |= {"width": [640] * len(paths), "height": [480] * len(paths), "digest": paths}
    columns["thumbnail"] = [image.tobytes() for image in pixels]
    columns["coarse"] = list(coarse(pixels))
    summary = {"images": len(paths), "readable": len(paths), "failed": 0, "errors": {}}
    return Result((pa.table(columns, schema=schema),), summary=summary)


class Numbered:
    """A fake scan of a number of images, which pickle can send to workers."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __call__(self, params: Any, settings: Settings, *given: Any) -> Iterator[tuple[Task, pa.Table]]:
        return fake_scan(self.images, params, settings)


def numbered(stage: Stage[Any], images: int) -> Stage[Any]:
    """Return the stage `scan` with a listing of `images` files that do not exist."""
    assert stage.source is not None
    return dataclasses.replace(stage, source=dataclasses.replace(stage.source, list=Numbered(images), racy=None))


def thumbnailed(stage: Stage[Any], compute: Callable[..., Result] = fake_thumbnails) -> Stage[Any]:
    """Return the stage `thumbnail` with a `compute` that reads no file."""
    return dataclasses.replace(stage, compute=compute, reuse=dataclasses.replace(stage.reuse, recheck=None))


class Peak(threading.Thread):
    """The peak memory of this process and its children in bytes; shared pages count in each process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.wait(0.2):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, total)


class Measured(NamedTuple):
    """What a run takes after the thumbnails.

    seconds    wall time
    processor  processor seconds of this process and of the workers that have ended
    alone      wall time of the pairs stage
    memory     peak memory in bytes; see `Peak`
    record     the run's record"""

    seconds: float
    processor: float
    alone: float
    memory: int
    record: dict[str, Any]


def spent() -> float:
    """Return the processor seconds of this process and of its ended children."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def measure(
    images: int, folder: Path, kind: str, compute: Callable[..., Result] = fake_thumbnails, **sections: dict[str, Any]
) -> Measured:
    """Measure a run over this many images, without making the thumbnails.

    compute   makes the thumbnails
    sections  sections of the config"""
    stages = {stage.name: stage for stage in discover()}
    stages["scan"] = numbered(stages["scan"], images)
    stages["thumbnail"] = thumbnailed(stages["thumbnail"], compute)
    scheduler: dict[str, Any] = {"kind": kind} | ({"workers": 2} if kind == "local" else {})
    every: list[Stage] = [stage for name, stage in stages.items() if name != "plot"]
    settings = {"run": "growth", "output": str(folder), "inputs": {"a": [str(Path(__file__).parent)]}}
    config = from_mapping(settings | sections | {"scheduler": scheduler}, list(stages.values()))
    made = run(config, [stages["scan"], stages["thumbnail"]], Reporter())
    assert made.exit_code == 0, made.failures
    peak = Peak()
    peak.start()
    started, before = time.perf_counter(), spent()
    done = run(config, every, Reporter())
    seconds, processor = time.perf_counter() - started, spent() - before
    peak.over.set()
    assert done.exit_code == 0, done.failures
    return Measured(seconds, processor, done.record["stages"]["pairs"]["seconds"], peak.bytes, dict(done.record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=int, metavar="IMAGES", default=[4_000, 16_000, 64_000, 256_000])
    parser.add_argument("--kind", default="local", help="kind of scheduler")
    options = parser.parse_args()
    prepare_process()
    before: tuple[int, float, float] | None = None
    print("   images       pairs    seconds  processor  pairs stage  exponents      memory    matches")
    for images in options.images:
        with tempfile.TemporaryDirectory(dir="outputs") as name:
            seconds, processor, alone, memory, record = measure(images, Path(name), options.kind)
        exponents = ""
        if before:
            ratio = math.log(images / before[0])
            exponents = f"{math.log(seconds / before[1]) / ratio:.2f} {math.log(alone / before[2]) / ratio:.2f}"
        ledger = record["ledger"]
        print(
            f"{images:>9,} {ledger['pairs_total']:>11.3g} {seconds:>10.1f} {processor:>10.1f} {alone:>12.1f}"
            f"  {exponents:>9}  {memory / 2**20:>6,.0f} MiB {ledger['matches']:>10,}",
            flush=True,
        )
        before = images, seconds, alone


if __name__ == "__main__":
    main()
