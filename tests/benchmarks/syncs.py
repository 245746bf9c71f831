"""Measure the cost of syncing artifacts: each file, no file, each file and its name, and all folders at the end.

    python -m tests.benchmarks.syncs [ARTIFACTS [FOLDER]]

Writes files of 4 KiB with `atomic_write` into seven folders in FOLDER (default: the current folder), in three ways that
alternate: as a run does, without any sync, and with each file's name synced, too. Then measures the end of a run: all
folders are synced once, and once more when nothing has changed."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from pipeline.store.atomic import atomic_write
from pipeline.store.backends.files import LocalFiles

ROUNDS = 10
STAGES = 7


@contextlib.contextmanager
def no_syncs() -> Iterator[None]:
    with patch.object(os, "fsync", lambda number: None):
        yield


def write(folder: Path, count: int, durable: bool = False) -> float:
    """Write `count` artifacts; return the seconds."""
    started = time.perf_counter()
    for number in range(count):
        with atomic_write(folder / f"stage-{number % STAGES}" / f"{time.time_ns()}.parquet", durable) as file:
            file.write(bytes(4096))
    return time.perf_counter() - started


def seconds(files: LocalFiles) -> float:
    started = time.perf_counter()
    files.sync_all("run.json")
    return time.perf_counter() - started


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    each = count // ROUNDS
    taken: dict[str, list[float]] = {"as it is": [], "no sync": [], "each name synced": []}
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else Path()) as name:
        runs = {how: Path(name) / how.replace(" ", "-") for how in taken}
        for _ in range(ROUNDS):
            taken["as it is"].append(write(runs["as it is"], each))
            with no_syncs():
                taken["no sync"].append(write(runs["no sync"], each))
            taken["each name synced"].append(write(runs["each name synced"], each, durable=True))
        files = LocalFiles(runs["as it is"])
        end = seconds(files)
        (runs["as it is"] / "run.json").touch()
        again = statistics.median(seconds(files) for _ in range(ROUNDS))
        for path in runs["as it is"].iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600 * path.is_dir()))
        left = statistics.median(seconds(files) for _ in range(ROUNDS))
    for how, times in taken.items():
        ratio = statistics.median(a / b for a, b in zip(times, taken["as it is"], strict=True))
        print(f"{how:<17} {sum(times) / count * 1e3:6.2f} ms each, {ratio:.2f} times what it takes now")
    print(
        f"all folders once {end * 1e3:.1f} ms; again {again * 1e3:.1f} ms; left alone for an hour {left * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
