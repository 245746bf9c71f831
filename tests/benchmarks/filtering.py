"""Measure how long rewriting a container without a tenth of its images takes, against copying the file.

    python -m tests.benchmarks.filtering [--members 20000] [--rounds 3]

There are two sets of members of random bytes: small members of 500 bytes, and a fiftieth as many members of 100 kB. A
round measures the processor seconds of a rewrite (reading, writing, counting and syncing), then of a copy (reading,
writing and syncing). The medians over the rounds are printed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store.atomic import atomic_write
from stages.filtering.outcome import Removal
from stages.filtering.rewriting import current_stamp, write_container
from tests.stages.packing import pack

SIZES = {"small": (500, 1), "large": (100_000, 50)}
"""Of each set: the bytes of a member, and the divisor of `--members` that gives the number of members."""
GONE = 10
ROWS = 100
"""Rows of a row group, as in files of images that Hugging Face's `datasets` writes."""


def stored(folder: Path, count: int, size: int) -> dict[str, tuple[Path, list[bytes]]]:
    """Store members in each format; return each container, and the names of its members in order."""
    generator = random.Random(0)
    images = {f"{number:07}.jpg": generator.randbytes(size) for number in range(count)}
    rows = [{"bytes": data, "path": name} for name, data in images.items()]
    table = pa.table({"image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table, folder / "a.parquet", row_group_size=ROWS, compression="snappy")
    width = len(str(count - 1))
    numbered = [f"#{number:0{width}}:{name}".encode() for number, name in enumerate(images)]
    names = [name.encode() for name in images]
    return {
        "tar": (pack(folder / "a.tar", images), names),
        "zip": (pack(folder / "a.zip", images), names),
        "parquet": (folder / "a.parquet", numbered),
    }


def copied(path: Path, target: Path) -> float:
    start = time.process_time()
    with path.open("rb") as source, atomic_write(target) as file:
        shutil.copyfileobj(source, file, 4 << 20)
    return time.process_time() - start


def filtered(path: Path, names: list[bytes], target: Path) -> float:
    removal = Removal(frozenset(names[::GONE]), lambda name: True)
    start = time.process_time()
    done = write_container(bytes(path), current_stamp(bytes(path), "mtime"), "mtime", removal, target)
    seconds = time.process_time() - start
    assert (done.members, done.images) == (len(names), len(removal.names))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=20_000, help="number of small members")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of measuring")
    options = parser.parse_args()
    for label, (size, fewer) in SIZES.items():
        count = max(GONE, options.members // fewer)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for kind, (path, names) in stored(folder, count, size).items():
                target = folder / "out" / path.name
                rounds = [(filtered(path, names, target), copied(path, target)) for _ in range(options.rounds)]
                ours, floor = (statistics.median(each[place] for each in rounds) for place in (0, 1))
                rate = path.stat().st_size / ours / 1e6
                print(
                    f"{label:<6}  {kind:<8} {count:>7,} members  {ours / count * 1e6:7.1f} µs a member  "
                    f"{rate:6,.0f} MB/s  {ours / max(floor, 1e-9):5.1f} times a copy"
                )


if __name__ == "__main__":
    main()
