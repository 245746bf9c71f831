"""Measure runs over many tiny images in shards: listing, kill -9 and resume, nothing to do, one changed shard.

    python -m tests.benchmarks.shards FOLDER [--shards 100] [--members 10000] [--kill 60]

Makes the shards below FOLDER, then runs the command line on the shards. The shards repeat a few images many times, so
that comparing costs little. Seconds are processor seconds of all processes of a run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from stages.listing.files import find
from stages.listing.rules import ListingRules
from tests.stages.packing import pack

DIFFERENT = 200


def tiny() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(DIFFERENT):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def make(folder: Path, shards: int, members: int) -> list[Path]:
    images = tiny()
    paths = []
    for shard in range(shards):
        paths.append(folder / f"{shard:04}.tar")
        if not paths[-1].exists():
            pack(paths[-1], ((f"{n:06}.png", images[(shard + n) % DIFFERENT]) for n in range(members)))
    return paths


def command(folder: Path, shards: int) -> list[str]:
    config = folder / "config.yaml"
    text = {
        "run": "shards",
        "output": str(folder / "outputs"),
        "inputs": {"a": [f"{folder}/{{0000..{shards - 1:04}}}.tar"]},
        "thumbnail": {"size": [16, 16]},
        "pairs": {"rotations": False, "threshold": 0},
        "plot": {"pairs": 0, "clusters": 0, "page": 0},
    }
    config.write_text(json.dumps(text))
    return [sys.executable, "-m", "pipeline.cli.main", "run", str(config), "--quiet"]


def run(what: str, words: list[str], folder: Path, kill: float | None = None) -> None:
    before = os.times()
    process = subprocess.Popen(words, start_new_session=True)
    if kill is not None:
        time.sleep(kill)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = len(list((folder / "outputs/shards/thumbnail").glob("*.parquet")))
        print(f"{what:<16} killed after {kill:g} s, {kept:,} artifacts of thumbnails kept", flush=True)
        return
    code = process.wait()
    after = os.times()
    record = json.loads((folder / "outputs/shards/run.json").read_text())
    thumbnails = record["stages"]["thumbnail"]
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(
        f"{what:<16} exit {code}, {record['images']['total']:,} images, {thumbnails['tasks_run']:,} of "
        f"{thumbnails['tasks_run'] + thumbnails['tasks_skipped']:,} tasks of thumbnails, {spent:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--kill", type=float, default=60.0, help="seconds after which the first run is killed")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    paths = make(folder, arguments.shards, arguments.members)
    start = time.process_time()
    count = len(find([str(path) for path in paths], ListingRules()))
    listed = time.process_time() - start
    each = 1e6 * listed / count
    print(
        f"{'listing':<16} {count:,} members of {len(paths):,} shards in {listed:.1f} s, {each:.0f} µs each", flush=True
    )
    words = command(folder, arguments.shards)
    run("first run", words, folder, arguments.kill)
    run("resumed", words, folder)
    run("nothing to do", words, folder)
    pack(paths[0], ((f"{n:06}.png", data) for n, data in enumerate(tiny())))
    os.utime(paths[0], (1_600_000_100, 1_600_000_100))
    run("a shard changed", words, folder)


if __name__ == "__main__":
    main()
