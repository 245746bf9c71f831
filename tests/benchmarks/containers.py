"""Measure how fast images inside containers are listed and decoded, against the same images as loose files.

    python -m tests.benchmarks.containers PHOTOGRAPHS [--icons 3000] [--rounds 3]

There are two sets: the photographs, and synthesised icons, which decode so fast that the cost of containers shows. Each
set is stored as files, tar, zip, Parquet and compressed tar. A round measures the processor seconds of this process and
its decoding processes for each format in turn. The ratio is the rate of a format divided by the rate of files in the
same round; the median over the rounds is printed. `list` is the share of the time that listing takes.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from stages.decoding.lanes import Lanes
from stages.decoding.options import Limits
from stages.decoding.sources import Expected
from stages.listing.files import find
from stages.listing.rules import ListingRules
from stages.listing.stamps import stamps
from stages.thumbnail import Params
from tests.stages.packing import pack

PARTITION = 1_000


def icons(count: int) -> dict[str, bytes]:
    random = np.random.default_rng(0)
    found = {}
    for number in range(count):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(buffer, "JPEG")
        found[f"{number:06}.jpg"] = buffer.getvalue()
    return found


def photographs(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    return {f"{number:06}{path.suffix.lower()}": path.read_bytes() for number, path in enumerate(paths)}


def stored(images: dict[str, bytes], folder: Path) -> dict[str, Path]:
    """Store a set in every format; return the path of each format."""
    (folder / "files").mkdir(parents=True)
    for name, data in images.items():
        (folder / "files" / name).write_bytes(data)
    rows = [{"bytes": data, "path": name} for name, data in images.items()]
    table = pa.table({"image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table, folder / "a.parquet", row_group_size=PARTITION)
    return {
        "files": folder / "files",
        "tar": pack(folder / "a.tar", images),
        "zip": pack(folder / "a.zip", images),
        "parquet": folder / "a.parquet",
        "tar.gz": pack(folder / "a.tar.gz", images),
    }


def spent() -> float:
    """Return the processor seconds of this process and its children."""
    children = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(child.cpu_times()[:2]) for child in children)


def seconds(path: Path) -> tuple[float, float]:
    """Return the processor seconds of listing, and of listing and decoding, partition by partition."""
    options, limits = Params().options("mtime"), Limits()
    start = spent()
    found = find([str(path)], ListingRules())
    places = found.locations.to_pylist() if found.locations is not None else [""] * len(found)
    columns = found.paths.to_pylist(), found.sizes.tolist(), stamps(found, "mtime").to_pylist(), places
    files = [Expected(*row) for row in zip(*columns, strict=True)]
    listed = spent() - start
    for first in range(0, len(files), PARTITION):
        for _, seen, _ in Lanes(files[first : first + PARTITION], options, limits, lambda: None):
            assert seen.problem is None, seen.problem
    return listed, spent() - start


def compare(name: str, ways: dict[str, Path], count: int, rounds: int) -> None:
    seconds(ways["files"])  # fills the page cache, and starts the decoding process
    rates: dict[str, list[float]] = {way: [] for way in ways}
    shares: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        order: Sequence[str] = list(ways) if number % 2 else list(ways)[::-1]
        taken = {way: seconds(ways[way]) for way in order}
        for way, (listed, whole) in taken.items():
            rates[way].append(taken["files"][1] / whole)
            shares[way].append(listed / whole)
    for way in ways:
        ratio, share = statistics.median(rates[way]), statistics.median(shares[way])
        print(
            f"{name:<12} {count:>7,} images  {way:<8} {ratio:>6.0%} of the rate of files  list {share:.0%}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--icons", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    sets = {"photographs": photographs(arguments.photographs), "icons": icons(arguments.icons)}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for name, images in sets.items():
            compare(name, stored(images, Path(folder) / name), len(images), arguments.rounds)


if __name__ == "__main__":
    main()
