"""Compare the thumbnail stage with a bare decoder: `python -m tests.benchmarks.decode FOLDER... [--rounds 5]`

Prints images per second for each folder: of a bare decoder (read, decode, scale) in a pool of threads and in a pool of
processes, as many as the stage has workers, the faster of which is the floor; and of the whole stage, with digests,
metadata, Parquet and Dask. Pools and stage are warm, and timed alternately. Then prints the rates of other decoders in
threads, with the MSE of their thumbnails to the thumbnails of a full decode; of difPy's build and imagededup's
encode_images, if installed; and by how much `decode: fast` changes the MSE of near-duplicates."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.config.settings import Config, from_mapping
from pipeline.execution.executor import Executor
from pipeline.execution.reporter import Reporter
from pipeline.execution.runner import Runner
from pipeline.plan.discovery import discover
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import make_plan
from pipeline.store.artifact import Record, read_record
from pipeline.store.footers import Footers
from pipeline.store.store import Store
from stages.decoding.decode import decode
from tests.benchmarks.decoders import DECODERS, EXACT, FAST, SIDE, exact, missing

WORKERS = 2
SOME = 400
"""Greatest number of files of a folder on which other decoders are timed."""
VARIANTS = 4


def bare(path: str) -> bytes:
    """Read, decode and scale a file at the scale of `decode: fast`, with transparent pixels over white."""
    with open(path, "rb") as file:  # noqa: PTH123  # faster than pathlib
        image = Image.open(io.BytesIO(file.read()))
    image.draft(None, (4 * SIDE, 4 * SIDE))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=4.0).tobytes()


def bare_chunk(paths: Sequence[str]) -> int:
    """Decode several files in one call, since a call costs more than decoding an icon."""
    return len([bare(path) for path in paths])


def pooled(pool: Pool, paths: Sequence[str]) -> float:
    """Return the images per second of a pool."""
    chunks = [paths[start : start + 16] for start in range(0, len(paths), 16)]
    started = time.perf_counter()
    done = sum(pool.map(bare_chunk, chunks))
    return done / (time.perf_counter() - started)


class Warm:
    """An executor whose workers outlive a run: `close` does nothing; `end` closes the executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.end = executor.close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def close(self) -> None:
        """Keep the workers."""


def staged(config: Config, warm: Warm) -> float:
    """Return the images per second of the thumbnail stage, from the first task to the last artifact."""
    stages = [stage for stage in discover() if stage.name in ("scan", "thumbnail")]
    plan = make_plan(stages, config.params, config.settings)
    images = sum(table.num_rows for table in plan.sources.values())
    resolver = Resolver(plan, Store(config.folder), Footers(Store(config.folder)), config.params, config.settings)
    runner = Runner(plan, resolver, lambda: warm, Reporter())  # type: ignore[arg-type, return-value]  # passes attributes on
    with resolver.footers:
        runner.run()
    unread = [record.summary["failed"] for record in _records(config)]
    if runner.failures or any(unread):
        sys.exit(f"{runner.failures[:1]}, {sum(unread)} images unreadable")
    return images / runner.seconds("thumbnail")


def _records(config: Config) -> list[Record]:
    """Return the footers of the thumbnail artifacts."""
    store = Store(config.folder)
    return [read_record(store.path("thumbnail", name), "thumbnail", name) for name in store.names("thumbnail")]


def configured(folder: Path, output: Path, number: int, images: int | str = "auto") -> Config:
    """Return the config of a run on a folder."""
    given = {
        "run": f"run-{number}",
        "output": str(output),
        "inputs": {"a": [str(folder)]},
        "partition": {"images": images},
        "scheduler": {"kind": "local", "workers": WORKERS},
    }
    return from_mapping(given, discover())


def measure(folder: Path, pools: dict[str, Pool], warm: Warm, output: Path, rounds: int) -> None:
    """Print the figures of a folder: medians over the rounds, after a round that only fills caches."""
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    rates: dict[str, list[float]] = {name: [] for name in [*pools, "stage"]}
    for number in range(rounds + 1):
        for name, pool in pools.items():
            rates[name].append(pooled(pool, paths))
        rates["stage"].append(staged(configured(folder, output, number), warm))
    rates = {name: values[1:] for name, values in rates.items()}
    floor = [max(each) for each in zip(*(rates[name] for name in pools), strict=True)]
    shares = [stage / bare for stage, bare in zip(rates["stage"], floor, strict=True)]
    print(f"{folder}: {len(paths):,} files")
    for name, values in rates.items():
        print(f"  {name:<10} {statistics.median(values):10,.0f} images/s")
    print(f"  the stage keeps {statistics.median(shares):.1%} of the floor  ({', '.join(f'{s:.1%}' for s in shares)})")


def compare(folder: Path, threads: Pool) -> None:
    """Print the rates and errors of other decoders on some of a folder's files."""
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())[:SOME]
    true = list(threads.map(exact, paths))
    for name, (decoder, library) in DECODERS.items():
        if missing(library):
            print(f"  {name:<38} {library} is not installed")
            continue
        started = time.perf_counter()
        try:
            found = list(threads.map(decoder, paths))
        except Exception as error:  # a peer may not know a format
            print(f"  {name:<38} failed: {type(error).__name__}")
            continue
        rate = len(paths) / (time.perf_counter() - started)
        off = [float(np.square(a.astype(float) - b).sum() / SIDE**2) for a, b in zip(found, true, strict=True)]
        middle, high, most = np.percentile(off, [50, 95, 100])
        print(f"  {name:<38} {rate:8,.0f} images/s   MSE {middle:.2f}, 95 % {high:.1f}, most {most:.0f}")
    for name, build in PEERS.items():
        print(f"  {name:<38} {build(folder, paths)}")


def difpy(folder: Path, paths: Sequence[str]) -> str:
    """Return the rate of difPy's build, as text, with as many processes as the stage has workers."""
    if missing("difPy"):
        return "difPy is not installed"
    import difPy

    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        difPy.build(str(folder), processes=WORKERS, show_progress=False)
    images = sum(path.is_file() for path in folder.rglob("*"))
    return f"{images / (time.perf_counter() - started):8,.0f} images/s, its start included"


def imagededup(folder: Path, paths: Sequence[str]) -> str:
    """Return the rate of imagededup's perceptual hashes, as text."""
    if missing("imagededup"):
        return "imagededup is not installed"
    from imagededup.methods import PHash

    started = time.perf_counter()
    PHash(verbose=False).encode_images(image_dir=str(folder), num_enc_workers=WORKERS)
    return f"{len(paths) / (time.perf_counter() - started):8,.0f} images/s"


PEERS: dict[str, Callable[[Path, Sequence[str]], str]] = {
    "difPy build": difpy,
    "imagededup encode_images": imagededup,
}


def moved(folder: Path) -> None:
    """Print by how much `decode: fast` changes the root of the MSE of near-duplicates.

    Only images that are large enough for decoding at a reduced scale count."""
    random = np.random.default_rng(0)
    moves = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:SOME]:
        with Image.open(path) as opened:
            if min(opened.size) < 8 * SIDE:
                continue
            image = opened.convert("RGB")
        for _ in range(VARIANTS):
            scale, bright, crop = random.uniform(0.5, 1), random.uniform(0.95, 1.05), random.uniform(0, 0.03)
            width, height = (int(side * scale) for side in image.size)
            box = (crop * image.width, crop * image.height, image.width, image.height)
            variant = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
            variant = variant.point(lambda value, bright=bright: min(255, int(value * bright)))
            buffer = io.BytesIO()
            variant.save(buffer, "JPEG", quality=int(random.integers(30, 95)))
            pairs = [[np.frombuffer(decode(data, options)[0], np.uint8).astype(float) for data in
                      (path.read_bytes(), buffer.getvalue())] for options in (FAST, EXACT)]  # fmt: skip
            roots = [float(np.sqrt(np.square(a - b).sum() / SIDE**2)) for a, b in pairs]
            moves.append(abs(roots[0] - roots[1]))
    if moves:
        figures = np.percentile(moves, [50, 95, 99, 100])
        print(f"  fast moves the root of the MSE of {len(moves):,} near-duplicates by", end=" ")
        print(f"{figures[0]:.2f}, 95 % {figures[1]:.2f}, 99 % {figures[2]:.2f}, most {figures[3]:.2f}")


def main() -> None:
    """Measure each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="images")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as output:
        small = Path(output) / "warm"
        small.mkdir()
        for number in range(600):
            Image.new("RGB", (64, 64), (number % 256, number // 3, 0)).save(small / f"{number}.png")
        warm = Warm(open_executor(configured(small, Path(output), 0).scheduler, needs_of(Path(output), (), (), 0)))
        with ThreadPoolExecutor(WORKERS) as threads, ProcessPoolExecutor(WORKERS, get_context("spawn")) as processes:
            pools: dict[str, Pool] = {"threads": threads, "processes": processes}
            for pool in pools.values():
                pooled(pool, [str(path) for path in small.iterdir()])
            for number in range(2):
                staged(configured(small, Path(output) / "warm-up", number, images=20), warm)
            for number, folder in enumerate(options.folders):
                measure(folder, pools, warm, Path(output) / str(number), options.rounds)
                compare(folder, threads)
                moved(folder)
        warm.end()


if __name__ == "__main__":
    main()
