"""Compare fast-diff with its peers on one folder: `python -m tests.benchmarks.peers FOLDER`

    --threshold 200    --only NAME (may be repeated)    --keep

Each program gets its own virtual environment, one process per core, thumbnails of 64x64, quarter turns and the same
threshold. A driver in `peer_drivers/` runs the program. A peer that can't be installed, or fails, is left out, and the
reason is printed. Nothing is written into FOLDER: peers that write beside the images get a copy. `--keep` keeps the
environments in the user's cache, and reuses environments in the cache.

Seconds are of the whole process, from the start of the interpreter to the pairs on disk; on a busy machine, compare the
CPU seconds instead. Memory is the peak of a process and its children together; pages that they share count once.

The column `exact` counts the pairs that should be found. For programs that compare thumbnails, these are the pairs
whose true MSE is at most the threshold. The true MSE is the least over four quarter turns, in exact arithmetic, of
upright thumbnails that are scaled down with antialiasing from every pixel. A peer may miss or add pairs because of its
scaling, its arithmetic, or its search. For perceptual hashes, these are the pairs of the peer's own hashes that differ
in at most ten bits."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.benchmarks.decoders import SIDE, exact

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "peer_drivers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fast-diff-peers"
EVERY = 0.1
"""Seconds between two samples of the memory."""
LIMIT = 3_600
"""Timeout of a peer in seconds."""
BITS = 10
ROWS = 256
"""Images that are compared with all other images at a time."""

Pair = frozenset[str]


class Skipped(Exception):
    """Signal that a peer gets no row; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A program to measure.

    driver    file in `peer_drivers/` that runs the program
    installs  arguments of each call of pip
    python    least version of Python
    writes    whether the program writes into the folder of images"""

    name: str
    driver: str
    installs: tuple[tuple[str, ...], ...]
    python: tuple[int, int] = (3, 11)
    writes: bool = False


PEERS = (
    Peer("fast-diff", "ours.py", (("-e", str(ROOT)),)),
    Peer("fast-diff-py-0.2.3", "fast_diff_py_0.py", (("fast-diff-py==0.2.3",),), writes=True),
    Peer("fast-diff-py-1.0.4", "fast_diff_py_1.py", (("fast-diff-py==1.0.4",),), python=(3, 12), writes=True),
    Peer("difPy-4.2.1", "difpy_4.py", (("difPy==4.2.1",),)),
    Peer(
        "imagededup-0.3.3",
        "imagededup_0.py",
        (("--no-deps", "imagededup==0.3.3"), ("Pillow", "PyWavelets", "scikit-learn", "scipy", "tqdm")),
    ),
)


def interpreter(least: tuple[int, int]) -> str:
    """Return the path of a Python of at least this version. Raises Skipped."""
    names = [f"python3.{minor}" for minor in range(least[1], least[1] + 3)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    others = [*map(shutil.which, names), *sorted(pyenv.glob(f"3.{least[1]}.*/bin/python"))]
    for each in [sys.executable, *filter(None, others)]:
        asked = subprocess.run([each, "-c", f"import sys; sys.exit(sys.version_info < {least})"], capture_output=True)
        if asked.returncode == 0:
            return str(each)
    raise Skipped(f"needs Python {least[0]}.{least[1]}, which is not installed")


def environment(peer: Peer, cache: Path) -> Path:
    """Return the Python of the peer's environment; create the environment if it is missing. Raises Skipped."""
    home = cache / peer.name
    python, made = home / "bin" / "python", home / "made"
    if made.exists():
        return python
    print(f"{peer.name}: installing into {home}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    steps = [[interpreter(peer.python), "-m", "venv", str(home)]]
    steps += [[str(python), "-m", "pip", "install", "--quiet", *given] for given in peer.installs]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"can't be installed: {last_line(done.stderr)}")
    made.touch()
    return python


def last_line(text: str) -> str:
    """Return the last line of a program's output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


class Cost:
    """The peak memory in bytes, and the processor seconds, of a process and its children.

    On Linux, memory that n processes share counts as one nth for each. The last tenth of a second of each process is
    not measured."""

    def __init__(self) -> None:
        self.peak = 0
        self._seconds: dict[tuple[int, float], float] = {}

    def look(self, process: psutil.Process) -> None:
        """Take a sample. Raises psutil.NoSuchProcess if the process has ended."""
        held = 0
        for each in [process, *process.children(recursive=True)]:
            try:
                info, times = each.memory_full_info(), each.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            held += getattr(info, "pss", info.uss)
            self._seconds[each.pid, each.create_time()] = times.user + times.system
        self.peak = max(self.peak, held)

    @property
    def seconds(self) -> float:
        return sum(self._seconds.values())


def watched(command: Sequence[str], log: Path) -> tuple[float, Cost]:
    """Return the seconds and the cost of a command. Raises Skipped if the command fails or hangs."""
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    cost = Cost()
    started = time.perf_counter()
    with log.open("w") as said:
        child = subprocess.Popen(command, stdout=said, stderr=said, cwd=log.parent, env=quiet, start_new_session=True)
        try:
            while time.perf_counter() - started < LIMIT:
                try:
                    cost.look(psutil.Process(child.pid))
                    child.wait(EVERY)
                    break
                except subprocess.TimeoutExpired:
                    continue
                except psutil.NoSuchProcess:
                    child.wait()
                    break
            else:
                raise Skipped(f"took longer than {LIMIT:,} s")
            seconds = time.perf_counter() - started
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if child.returncode:
        raise Skipped(f"failed: {last_line(log.read_text(errors='replace'))}")
    return seconds, cost


def measure(
    peer: Peer, python: Path, folder: Path, files: Sequence[Path], threshold: float
) -> tuple[float, Cost, dict[str, Any]]:
    """Return the seconds, the cost, and the peer's result with paths relative to the folder. Raises Skipped."""
    with tempfile.TemporaryDirectory(prefix="fast-diff-peers-") as name:
        work, out = Path(name) / "work", Path(name) / "found.json"
        work.mkdir()
        given = folder
        if peer.writes:
            given = Path(name) / "images"
            for path in files:
                copy = given / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        words = [str(given), str(work), str(threshold), str(os.cpu_count()), str(out)]
        seconds, cost = watched([str(python), str(DRIVERS / peer.driver), *words], Path(name) / "log")
        return seconds, cost, relative(json.loads(out.read_text()), given)


def relative(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a peer's result with paths relative to the folder."""

    def below(path: str) -> str:
        return os.path.relpath(path, folder)

    return {
        "pairs": {frozenset(map(below, each)) for each in found["pairs"]},
        "groups": [[below(path) for path in group] for group in found.get("groups", [])],
        "hashes": {below(path): int(value, 16) for path, value in found.get("hashes", {}).items()},
        "note": found.get("note", ""),
    }


def thumbnails(folder: Path, files: Sequence[Path]) -> tuple[list[str], np.ndarray]:
    """Return names and thumbnails of the images, int16 (n, SIDE, SIDE, 3), minus 128."""
    names, images = [], []
    for path in files:
        try:
            images.append(exact(str(path)).astype(np.int16) - 128)
        except Exception as error:  # files may be broken in any way
            print(f"{path}: no image ({type(error).__name__})", file=sys.stderr)
        else:
            names.append(str(path.relative_to(folder)))
    return names, np.array(images)


def matches(names: Sequence[str], images: np.ndarray, threshold: float) -> Iterator[Pair]:
    """Yield pairs whose MSE is at most the threshold in some turn; sums below 2^53 are exact in float64."""
    n = len(images)
    flat = images.reshape(n, -1).astype(np.float64)
    norms = np.square(flat).sum(axis=1)
    for start in range(0, n, ROWS):
        some = images[start : start + ROWS]
        least = np.full((len(some), n), np.inf)
        for turn in range(4):
            turned = np.rot90(some, turn, axes=(1, 2)).reshape(len(some), -1).astype(np.float64)
            np.minimum(least, norms[start : start + ROWS, None] + norms - 2 * (turned @ flat.T), out=least)
        for i, j in zip(*np.nonzero(least / SIDE**2 <= threshold), strict=True):
            if start + i < j:
                yield frozenset((names[start + i], names[j]))


def near(hashes: dict[str, int]) -> Iterator[Pair]:
    """Yield pairs whose hashes differ in at most BITS bits."""
    for a, b in itertools.combinations(hashes, 2):
        if (hashes[a] ^ hashes[b]).bit_count() <= BITS:
            yield frozenset((a, b))


def row(found: dict[str, Any], truth: set[Pair]) -> tuple[int, int, int, int]:
    """Return the numbers of pairs: named by the peer, exact, exact but missed, and named but false.

    A pair that the peer does not name, but puts in one group, is not missed if it is exact, and not false otherwise."""
    wanted = set(near(found["hashes"])) if found["hashes"] else truth
    named = {pair for pair in found["pairs"] if len(pair) == 2}
    grouped = {frozenset(pair) for group in found["groups"] for pair in itertools.combinations(group, 2)}
    return len(named), len(wanted), len(wanted - named - grouped), len(named - wanted)


def main() -> None:
    """Measure the peers one after the other."""
    every = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser("python -m tests.benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--threshold", type=float, default=200.0, help="greatest MSE of a match, default 200")
    parser.add_argument("--only", action="append", choices=every, metavar="NAME", help=", ".join(every))
    parser.add_argument("--keep", action="store_true", help=f"use and keep environments in {CACHE}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` kills the running peer
    folder = options.folder.absolute()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names, images = thumbnails(folder, files)
    if len(names) < 2:
        sys.exit(f"{folder} holds {len(names)} images; expected a folder of some hundred")
    truth = set(matches(names, images, options.threshold))
    pairs = len(names) * (len(names) - 1) // 2
    print(f"{len(names):,} images, {pairs:,} pairs, {len(truth):,} of MSE at most {options.threshold:g}", flush=True)
    print(f"{'':<20}{'seconds':>9}{'x ours':>8}{'CPU s':>8}{'MiB':>8}{'pairs/s':>11}", end="")
    print("".join(f"{title:>8}" for title in ("named", "exact", "missed", "false")))
    ours = 0.0
    kept = contextlib.nullcontext(str(CACHE)) if options.keep else tempfile.TemporaryDirectory(prefix=CACHE.name)
    with kept as cache:
        for peer in PEERS:
            if peer.name not in (options.only or [peer.name]):
                continue
            try:
                python = environment(peer, Path(cache))
                seconds, cost, found = measure(peer, python, folder, files, options.threshold)
            except Skipped as reason:
                print(f"{peer.name:<20}  skipped: {reason}", flush=True)
                continue
            ours = ours or (seconds if peer is PEERS[0] else 0.0)
            ratio = f"{seconds / ours:>8.1f}" if ours else " " * 8
            print(f"{peer.name:<20}{seconds:>9.1f}{ratio}{cost.seconds:>8.1f}{cost.peak / 2**20:>8,.0f}", end="")
            print(f"{pairs / seconds:>11,.0f}", end="")
            print("".join(f"{figure:>8,}" for figure in row(found, truth)), found["note"], flush=True)


if __name__ == "__main__":
    main()
