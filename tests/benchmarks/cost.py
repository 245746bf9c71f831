"""Calculate the cost of 10^8 images on a thousand cores, from the rates of the other benchmarks.

    python -m tests.benchmarks.cost [--images 100000000] [--cores 1000] ...

Prints a table in Markdown. Partitions and blocks have the sizes of `auto`. Rates, bytes and prices are options; the
table names their values. If indexes are too large for the cache (`block_cache.INDEXES`), each block pair reads two
indexes; else the number of reads is PER_PAIR, from `tests.benchmarks.locality` with bundles of 64. An image takes one
request. A Parquet file takes two requests for its footer, and one request for each column and row group that is
read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from stages.comparing.block_cache import INDEXES
from stages.scan import partition_sizes
from tests.benchmarks.many import config_of

TERA = 10**12
COLUMNS = 8
"""Number of columns of the index that a pairs task reads under the default rules."""
ROW_GROUP, THUMBNAILS = 1 << 17, 128
"""Rows of a row group of the index, and of the thumbnails."""
PER_PAIR = 0.25
"""Reads of an index per block pair, if indexes are cached."""


def table(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the table: quantity, value, and origin of the value."""
    images, seconds = options.images, options.cores * 3600
    mean, block = partition_sizes(config_of(Path("outputs"), {}).settings, images)
    partitions, blocks = -(-images // mean), -(-images // block)
    tasks = blocks * (blocks + 1) // 2
    decode = images / options.decode / seconds
    compare = images**2 / 2 / options.compare / seconds
    yield "partitions, blocks, block pairs", f"{partitions:,}, {blocks:,}, {tasks:,}", "`partition: auto`"
    yield "thumbnails", f"{decode:.1f} h", f"{options.decode:,} images a second and core (`… efficiency`)"
    yield "pairs", f"{compare:.1f} h", f"{options.compare:.1e} pairs a second and core (`… growth 1000000`)"
    written = images * options.stored
    yield "written", f"{written / TERA:.1f} TB", f"{options.stored:,} bytes an image (`… growth`)"
    whole = block * options.indexed
    index_reads = int(tasks * (PER_PAIR if 16 * whole <= INDEXES else 2))
    candidates = int(images * options.candidates)
    piece = THUMBNAILS * (options.stored - options.indexed)
    found = index_reads * whole + 2 * candidates * piece
    said = f"{options.file_bytes:,} bytes a file; each once"
    yield "read: images", f"{images * options.file_bytes / TERA:.0f} TB", said
    said = f"{index_reads / tasks:.2f} indexes a pair (`… locality`), {options.candidates:g} candidates an image"
    yield "read: to compare", f"{found / TERA:.0f} TB", said
    gets = images + index_reads * (2 + COLUMNS * -(-block // ROW_GROUP)) + 2 * candidates * 3 + 8 * partitions
    puts = 3 * partitions + blocks + tasks
    yield "GET requests", f"{gets / 1e6:,.0f} million", f"of these {images / 1e6:,.0f} million for the images"
    yield "PUT requests", f"{puts / 1e6:,.2f} million", "one an artifact"
    price = gets * options.get / 1000 + puts * options.put / 1000
    said = f"${options.get:g} and ${options.put:g} a thousand (S3 Standard, us-east-1; traffic inside it is free)"
    yield "price of requests", f"${price:,.0f}", said
    hours = (decode + compare) * options.cores
    yield "price of cores", f"${hours * options.core_hour:,.0f}", f"${options.core_hour:g} an hour and core"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10**8)
    parser.add_argument("--cores", type=int, default=1000)
    parser.add_argument("--decode", type=float, default=150, help="images decoded per second and core")
    parser.add_argument("--compare", type=float, default=1.6e9, help="pairs of images compared per second and core")
    parser.add_argument("--file-bytes", type=int, default=2_000_000, help="bytes of an image file")
    parser.add_argument("--stored", type=int, default=15_000, help="bytes of all artifacts per image")
    parser.add_argument("--indexed", type=int, default=450, help="bytes of the index per image")
    parser.add_argument("--candidates", type=float, default=0.03, help="pairs measured exactly, per image")
    parser.add_argument("--get", type=float, default=0.0004, help="dollars for a thousand GET requests")
    parser.add_argument("--put", type=float, default=0.005, help="dollars for a thousand PUT requests")
    parser.add_argument("--core-hour", type=float, default=0.04, help="dollars for a core and hour")
    options = parser.parse_args()
    print(f"| {options.images:,} images, {options.cores:,} cores | | from |\n|---|---|---|")
    for row in table(options):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
