"""Measure the listing of a million files: `python -m tests.benchmarks.scan [FILES]`

Makes empty files, on a RAM disk if there is one. Times the scan stage (listing, sorting, cutting into partitions,
publishing artifacts) alternately with a floor, `os.scandir` with one `stat` per file. Prints both times, their ratio,
and the memory of listing per file."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pipeline.config.settings import Config, from_mapping
from pipeline.execution.reporter import Reporter
from pipeline.plan.discovery import discover
from pipeline.plan.tasks import make_plan
from pipeline.run import run

A_FOLDER = 1_000
ROUNDS = 3


def make(folder: Path, files: int) -> None:
    """Make empty files, a thousand per folder."""
    for first in range(0, files, A_FOLDER):
        inside = folder / f"folder-{first // A_FOLDER:05}"
        inside.mkdir(parents=True)
        opened = os.open(inside, os.O_RDONLY)
        for number in range(first, min(files, first + A_FOLDER)):
            os.close(os.open(f"IMG_{number:08}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
        os.close(opened)


def walk(folder: Path) -> int:
    """List every folder and stat every file; return the number of files."""
    count, folders = 0, [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count


def peak() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seconds(work: object, *arguments: object) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    work(*arguments)  # type: ignore[operator]
    return time.perf_counter() - started


def scan(config: Config) -> None:
    """Run the scan stage, from the listing to the artifacts."""
    shutil.rmtree(config.folder, ignore_errors=True)
    record = run(config, [stage for stage in discover() if stage.name == "scan"], Reporter())
    assert not record.failures, record.failures


def main() -> None:
    """Print both times, the ratio, and bytes per file."""
    files = int(dict(enumerate(sys.argv)).get(1, 1_000_000))
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        images = Path(name) / "images"
        make(images, files)
        given = {"run": "scan", "output": name, "inputs": {"a": [str(images)]}, "scheduler": {"kind": "synchronous"}}
        config = from_mapping(given, discover())
        walk(images)
        before = peak()
        plan = make_plan([stage for stage in discover() if stage.name == "scan"], config.params, config.settings)
        assert sum(table.num_rows for table in plan.sources.values()) == files
        held = (peak() - before) / files
        del plan
        floor, ours = [], []
        for _ in range(ROUNDS):
            floor.append(seconds(walk, images))
            ours.append(seconds(scan, config))
    ratios = [stage / bare for stage, bare in zip(ours, floor, strict=True)]
    times = f"scandir and stat {statistics.median(floor):.2f} s, the scan stage {statistics.median(ours):.2f} s"
    print(f"{files:,} files: {times}")
    print(f"  {statistics.median(ratios):.2f} times as long, {held:,.0f} bytes a file")


if __name__ == "__main__":
    main()
