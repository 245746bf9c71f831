"""Measure a run with nothing to do, against a walk with stat of each file and the import of distributed.

    python -m tests.benchmarks.rerun [IMAGES] [--rounds 7]

Makes a folder of small images (default: 10,000), and runs once. Then alternately times `fast-diff run` with nothing to
do and a floor: a fresh interpreter that walks the folder, stats every file and imports `distributed`. Prints the median
of each, and the median of their ratios."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FLOOR = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        os.stat(os.path.join(folder, name))
import distributed
"""


def make(folder: Path, count: int) -> None:
    """Make small PNGs, a hundred per folder."""
    random = np.random.default_rng(1)
    for number in range(count):
        path = folder / f"{number // 100:04}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((24, 24)).save(path)


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="?", type=int, default=10_000, metavar="IMAGES")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    count = options.images
    with tempfile.TemporaryDirectory() as name:
        images, config = Path(name) / "images", Path(name) / "config.yaml"
        make(images, count)
        config.write_text(f"output: {name}/outputs\ninputs: {{a: [{images}]}}\n")
        run = [sys.executable, "-m", "pipeline.cli.main", "run", str(config), "--quiet"]
        first = seconds(run)
        time.sleep(2.5)  # so that the time stamps of the last images are no longer racy
        seconds(run)
        pairs = [(seconds(run), seconds([sys.executable, "-c", FLOOR, str(images)])) for _ in range(options.rounds)]
    ours, floor = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{count:,} images: first run {first:.1f} s")
    print(f"nothing to do {ours:.2f} s, floor (walk, stat, import distributed) {floor:.2f} s: ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
