"""Measure the gain of a second worker, and the loss of workers over the network.

    python -m tests.benchmarks.efficiency [--images 4000] [--pairs-images 200000] [--threshold 800] [--rounds 5]
        [--folder PHOTOGRAPHS] [--stage thumbnail|pairs]

Times the thumbnail stage on a folder of JPEGs (synthesised if no folder is given), and the pairs stage with finished
inputs. Each round times three executors in turn: one worker of a local cluster, two workers, and two `dask worker`
processes over loopback (`scheduler.kind: address`). A single worker and its decoding processes are pinned to one core:
otherwise reading, decoding and writing would share two cores. Prints medians over the rounds, medians of the ratios
within a round, and the share of the two cores that driver and scheduler use. For the thumbnail stage, a floor shows the
gain of a second process that only decodes: the limit of the machine. Each timed run begins with fresh workers that have
run the stage once, and without artifacts of the stage."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.config.settings import Config, from_mapping
from pipeline.execution.executor import Executor
from pipeline.execution.reporter import Reporter
from pipeline.execution.runner import Runner
from pipeline.plan.discovery import discover
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import in_order, make_plan
from pipeline.stage import Stage
from pipeline.store.footers import Footers
from pipeline.store.store import Store
from tests.benchmarks.decode import Warm, bare_chunk
from tests.benchmarks.growth import numbered, thumbnailed
from tests.benchmarks.scale import cluster


def make_photographs(folder: Path, count: int) -> None:
    """Make JPEGs of 0.8 megapixels with some detail."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(count):
        coarse = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((1024, 768), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:06}.jpg", quality=85)


def run_stages(config: Config, stages: Sequence[Stage], executor: Executor) -> Runner:
    """Run the tasks of some stages whose artifacts are missing."""
    plan = make_plan(in_order(stages), config.params, config.settings)
    resolver = Resolver(plan, Store(config.folder), Footers(Store(config.folder)), config.params, config.settings)
    warm: Any = Warm(executor)  # Warm passes all attributes of an executor on
    runner = Runner(plan, resolver, lambda: warm, Reporter())
    with resolver.footers:
        runner.run()
    assert not runner.failures, runner.failures[:3]
    return runner


class Job:
    """A stage that is timed, with finished inputs."""

    def __init__(
        self, name: str, folder: Path, inputs: Path, stages: Sequence[Stage], partition: dict[str, int], **more: Any
    ) -> None:
        self.name, self.stages = name, stages
        settings = {"run": name, "output": str(folder), "inputs": {"a": [str(inputs)]}, "partition": partition}
        self.config = from_mapping(settings | more, discover())

    def measure(self, executor: Executor) -> tuple[float, float]:
        """Return the seconds from the stage's first task to its last artifact, and this process's processor seconds.

        This process is driver and scheduler."""
        shutil.rmtree(self.config.folder / self.name, ignore_errors=True)
        run_stages(self.config, self.stages, executor)  # loads imports and compiled code; the first call makes inputs
        shutil.rmtree(self.config.folder / self.name)
        busy = time.process_time()
        runner = run_stages(self.config, self.stages, executor)
        ran = [address for address, how in runner.state.items() if how == "run"]
        assert {stage for stage, _ in ran} == {self.name}
        return runner.seconds(self.name), time.process_time() - busy


def jobs(options: argparse.Namespace, folder: Path) -> Iterator[Job]:
    photographs = Path(options.folder or folder / "photographs")
    if not options.folder:
        make_photographs(photographs, options.images)
    stages = {stage.name: stage for stage in discover()}
    scan = stages["scan"]
    assert scan.source is not None
    scan = dataclasses.replace(scan, source=dataclasses.replace(scan.source, racy=None))
    yield Job("thumbnail", folder, photographs, [scan, stages["thumbnail"]], {"images": max(8, options.images // 40)})
    fake, thumbnail = numbered(scan, options.pairs_images), thumbnailed(stages["thumbnail"])
    block = min(32_000, max(100, options.pairs_images // 8))
    partition = {"images": max(50, block // 4), "block": block}
    compared = [fake, thumbnail, stages["hash"], stages["index"], stages["pairs"]]
    yield Job("pairs", folder, photographs, compared, partition, pairs={"threshold": options.threshold})


def bare_gain(paths: Sequence[str]) -> float:
    """Return the rate at which two processes decode `paths`, divided by the rate of one process on one core."""
    seconds = []
    for workers in (1, 2):
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(bare_chunk, [paths[:8]] * 4))
            if workers == 1:
                hold_to_one_core(psutil.Process().children(recursive=True))
            chunks = [paths[start : start + 16] for start in range(0, len(paths), 16)]
            started = time.perf_counter()
            list(pool.map(bare_chunk, chunks))
            seconds.append(time.perf_counter() - started)
    return seconds[0] / seconds[1]


@contextlib.contextmanager
def executor(kind: str, folder: Path) -> Iterator[Executor]:
    """Yield an executor: one or two workers of a local cluster, or two workers over loopback."""
    libraries = [name for stage in discover() for name in stage.cache_key.libraries]
    with contextlib.ExitStack() as stack:
        scheduler: dict[str, Any] = {"workers": int(kind)} if kind.isdigit() else {}
        if not scheduler:
            scheduler, _ = stack.enter_context(cluster(folder / "cluster", 2))
        config = from_mapping({"run": "x", "inputs": {"a": [str(folder)]}, "scheduler": scheduler}, discover())
        opened = open_executor(config.scheduler, needs_of(folder, (), libraries, 0))
        stack.callback(opened.close)
        if kind == "1":
            hold_to_one_core(psutil.Process().children(recursive=True))
        yield opened


def hold_to_one_core(processes: Sequence[psutil.Process]) -> None:
    """Pin all threads of some processes to one core; processes that they start later inherit the core."""
    for process in processes:
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--pairs-images", type=int, default=200_000)
    parser.add_argument("--threshold", type=float, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="photographs; synthesised if not given")
    parser.add_argument("--stage", choices=["thumbnail", "pairs"], help="time only this stage")
    options = parser.parse_args()
    kinds = ("1", "2", "loopback")
    with tempfile.TemporaryDirectory(dir="outputs") as name:
        folder = Path(name).resolve()
        for job in jobs(options, folder):
            if options.stage not in (None, job.name):
                continue
            rounds: list[dict[str, float]] = []
            shares: list[float] = []
            bare: list[float] = []
            for number in range(options.rounds):
                rounds.append({})
                if job.name == "thumbnail":
                    (root,) = job.config.settings("inputs.a")
                    bare.append(bare_gain(sorted(str(path) for path in Path(root).rglob("*.jpg"))))
                for kind in kinds if number % 2 else reversed(kinds):
                    with executor(kind, folder) as opened:
                        rounds[-1][kind], busy = job.measure(opened)
                    if kind == "2":
                        shares.append(busy / 2 / rounds[-1][kind])
            median = {kind: statistics.median(seconds[kind] for seconds in rounds) for kind in kinds}
            gain = statistics.median(seconds["1"] / seconds["2"] for seconds in rounds)
            kept = statistics.median(seconds["2"] / seconds["loopback"] for seconds in rounds)
            print(
                f"{job.name}: 1 worker {median['1']:.2f} s, 2 workers {median['2']:.2f} s: {gain:.2f} times as fast; "
                f"2 over loopback {median['loopback']:.2f} s: {kept:.2f} of local; driver and scheduler took "
                f"{statistics.median(shares):.0%} of both cores",
                flush=True,
            )
            if bare:
                print(f"    two processes that only decode: {statistics.median(bare):.2f} times as fast as one process")


if __name__ == "__main__":
    main()
