"""Time `fast-diff run` on folders of photographs, against a bare decoder, a bare walk, and imagededup.

    python -m tests.benchmarks.small FOLDER [FOLDER ...] [--rounds 5] [--imagededup PYTHON]

Nothing is written into FOLDER: all files but one photograph are linked, or copied if the file system refuses links,
into a temporary folder below TMPDIR. After two untimed runs, each round times these jobs, in an order that every round
reverses: the first run, into an empty output; then, each from a copy of the finished output, the same run again, the
run with the missing photograph added, with another threshold, and with another keep rule. Each round also times two
floors: a pool of processes that only decodes and scales, and an interpreter that imports pyarrow, walks the folder and
stats each file. With `--imagededup`, the Python of an environment with imagededup, its perceptual hashes are timed too.

Seconds are medians: wall time until the command ends, and processor time of the command and all its child processes,
including children that outlive the command. Ratios are medians of the ratios within a round. Memory is the proportional
set size (PSS) of all processes, sampled ten times a second in a first run. Needs Linux."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.peers import watched

DECODER = """
import os, sys
from multiprocessing import get_context
from PIL import Image

def decode(path):
    try:
        with Image.open(path) as image:
            image.draft(None, (256, 256))
            image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC, reducing_gap=4.0)
    except OSError:
        pass

paths = [os.path.join(folder, name) for folder, _, names in os.walk(sys.argv[1]) for name in names]
with get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
    list(pool.imap_unordered(decode, paths, min(16, 1 + len(paths) // 64)))
"""
"""Decodes to four times the thumbnail's size and scales with a gap of 4, as `stages/decoding/decode.py` does."""
WALK = """
import os, sys
import pyarrow
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        os.stat(os.path.join(folder, name))
"""
DRIVER = Path(__file__).parent / "peer_drivers" / "imagededup_0.py"
FIRST, NOTHING, ADDED = "first run", "nothing to do", "one photograph added"
THRESHOLD, KEEP = "another threshold", "another keep rule"
BARE, FLOOR, PEER = "floor: bare decoder, all cores", "floor: import pyarrow, walk, stat", "imagededup PHash"
OPTIONS = {FIRST: "", NOTHING: "", ADDED: "", THRESHOLD: "--threshold 100", KEEP: "--keep oldest"}
Seconds = tuple[float, float]  # wall time, processor time


class Bench:
    """A linked copy of a folder without one photograph, `added`, and the commands that are timed on the copy."""

    def __init__(self, source: Path, work: Path, python: str | None) -> None:
        self.images, self.output, self.kept, self.log = (work / name for name in ("images", "out", "kept", "log"))
        self.python = python
        files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
        places = {path: self.images / path.relative_to(source) for path in files}
        self.count = len(files) - 1
        self.added = files[self.count // 2], places[files[self.count // 2]]
        for path, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            link(path, place)
        self.added[1].unlink()

    def command(self, job: str) -> list[str]:
        """Return the command line of a job."""
        if job in OPTIONS:
            program = str(Path(sys.executable).with_name("fast-diff"))
            return [program, "run", str(self.images), "--output", str(self.output), *OPTIONS[job].split()]
        if job == PEER:
            words = [str(self.images), "-", "-", str(len(os.sched_getaffinity(0))), str(self.log.with_suffix(".json"))]
            return [str(self.python), str(DRIVER), *words]
        return [sys.executable, "-c", {BARE: DECODER, FLOOR: WALK}[job], str(self.images)]

    def time(self, job: str) -> Seconds:
        """Prepare the output for a job; return the seconds of the job."""
        if job in OPTIONS:
            shutil.rmtree(self.output, ignore_errors=True)
            if job != FIRST:
                shutil.copytree(self.kept, self.output)
        if job == ADDED:
            link(*self.added)
        taken = self.seconds(self.command(job))
        self.added[1].unlink(missing_ok=True)
        return taken

    def seconds(self, command: list[str]) -> Seconds:
        """Return the wall time and the processor time of a command, in seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        with self.log.open("w") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd=self.log.parent)
        wall = time.perf_counter() - started
        reap()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {self.log.read_text()[-2000:]}")
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def prepare(self) -> int:
        """Fill caches and keep a finished output; return the peak memory of a first run in bytes."""
        self.time(FIRST)
        time.sleep(2.5)  # files that change less than two seconds before a run are read again by the next run
        shutil.rmtree(self.output)
        peak = watched(self.command(FIRST), self.log)[1].peak
        reap()
        self.output.rename(self.kept)
        return peak

    def measure(self, rounds: int) -> dict[str, list[Seconds]]:
        """Return the seconds of each job in each round."""
        jobs = [*OPTIONS, BARE, FLOOR, *([PEER] if self.python else [])]
        taken: dict[str, list[Seconds]] = {job: [] for job in jobs}
        for number in range(rounds):
            for job in reversed(jobs) if number % 2 else jobs:
                taken[job].append(self.time(job))
        return taken


def reap() -> None:
    """Wait for the processes that a command has left behind."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def link(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:  # the file system refuses links
        shutil.copy2(path, place)


def ratio(above: list[Seconds], below: list[Seconds], which: int = 0) -> float:
    """Return the median of the ratios of each round; `which`: 0 for wall time, 1 for processor time."""
    return statistics.median(a[which] / b[which] for a, b in zip(above, below, strict=True))


def line(name: str, wall: str, processor: str = "") -> None:
    print(f"  {name:<46}{wall:>9}{processor:>13}".rstrip(), flush=True)


def report(taken: dict[str, list[Seconds]]) -> None:
    """Print the table of seconds, then the ratios."""
    line("medians", "wall s", "processor s")
    for job, each in taken.items():
        wall, processor = (statistics.median(seconds) for seconds in zip(*each, strict=True))
        line(job, f"{wall:.2f}", f"{processor:.2f}")
    first = taken[FIRST]
    for job, other in ((FIRST, BARE), (FIRST, PEER), (NOTHING, FLOOR)):
        if other in taken:
            times = [f"{ratio(taken[job], taken[other], which):.2f}" for which in (0, 1)]
            line(f"{job} / {other.removeprefix('floor: ')}", *times)
    left = statistics.median(a[0] - 1.5 * b[0] for a, b in zip(first, taken[BARE], strict=True))
    line("first run, less 1.5 times the bare decoder", f"{left:.2f}")
    for job in (ADDED, THRESHOLD, KEEP):
        line(f"{job} / first run", *[f"{ratio(taken[job], first, which):.1%}" for which in (0, 1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="photographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--imagededup", metavar="PYTHON", help="the Python of an environment with imagededup")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphaned processes become children of this one
    peer = options.imagededup
    if peer and subprocess.run([peer, "-c", "import imagededup"], capture_output=True).returncode:
        print(f"imagededup is left out: {peer} can't import it")
        peer = None
    for folder in options.folders:
        with tempfile.TemporaryDirectory(prefix="fast-diff-small-") as name:
            if sum(path.is_file() for path in folder.rglob("*")) < 2:
                parser.error(f"{folder}: expected a folder of two photographs or more")
            bench = Bench(folder.resolve(), Path(name), peer)
            print(f"{folder}: {bench.count:,} files, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
            peak = bench.prepare()
            report(bench.measure(options.rounds))
            line("peak memory (PSS) of a first run, MiB", f"{peak / 2**20:,.0f}")


if __name__ == "__main__":
    main()
