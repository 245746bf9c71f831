"""Measure the peak memory of a run by the number of images.

    python -m tests.benchmarks.memory [IMAGES ...]

Runs fast-diff in one process (`scheduler.kind: synchronous`) on folders of small images; default: 2,000, 4,000 and
8,000 images. Prints the peak resident memory of each run, and the bytes per additional image from the first run to the
last run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.rerun import make

CHILD = """
import resource, sys
from pipeline.cli.main import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(code)
"""


def peak(count: int) -> int:
    """Return the peak resident bytes of a run over `count` images."""
    with tempfile.TemporaryDirectory() as name:
        images, config = Path(name) / "images", Path(name) / "config.yaml"
        make(images, count)
        config.write_text(f"output: {name}/outputs\ninputs: {{a: [{images}]}}\nscheduler: {{kind: synchronous}}\n")
        command = [sys.executable, "-c", CHILD, "run", str(config), "--quiet"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [2_000, 4_000, 8_000]
    peaks = [peak(count) for count in counts]
    for count, size in zip(counts, peaks, strict=True):
        print(f"{count:>8,} images: {size / 2**20:,.0f} MiB")
    print(f"an image more: {(peaks[-1] - peaks[0]) / (counts[-1] - counts[0]):,.0f} bytes")


if __name__ == "__main__":
    main()
