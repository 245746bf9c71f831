"""Inject random faults for a long time: `python -m tests.end_to_end.soak [MINUTES] [SEED]` (default: 30 and 1)

Runs over 2,000 images on a Dask cluster, one after the other, while random things are done to it. Whatever was done:
a run that ends well has the artifacts of an undisturbed one, to the byte, and a ledger that is complete; one that does
not end well says so in one line, and the same command goes on from there. Prints what was done, and how often."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.faulty import Cluster

IMAGES = 2_000
CONFIG = {"partition": {"images": 20, "block": 200}, "plot": {"pairs": 0, "clusters": 0}}
CALM = (0.5, 4.0)
"""Seconds from one fault to the next."""
PATIENCE = 60
"""Seconds that a run waits for workers."""
LAST = 300
"""Seconds that a run may take after the last fault."""
KINDS = 7
"""Number of kinds of faults."""
LINES = (
    "fast-diff: the Dask scheduler is gone",
    "fast-diff: all workers are gone",
    "scheduler.address: no Dask scheduler answers",
    "each worker that ran this task died",
    "disk full while writing",
    "in use by another run",
    "another run has just started",
)
"""Beginnings of the error lines that a failed run may print."""


@dataclass
class Soak:
    """Runs one after the other on a cluster with faults, and counts of faults and exit codes."""

    expected: tuple[Project, dict[str, bytes]]
    folder: Path
    chance: random.Random
    did: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    clusters: int = 0

    def __enter__(self) -> Soak:
        self._new_cluster()
        self.driver = self.cluster.drive()
        return self

    def __exit__(self, *error: object) -> None:
        self.driver.kill()
        self.driver.wait()
        self.cluster.__exit__()

    def _new_cluster(self) -> None:
        folder = self.folder / f"cluster{self.clusters}"
        folder.mkdir()
        self.clusters += 1
        self.full = folder / "full"
        self.cluster = Cluster(self.expected, folder)
        self.cluster.project.config["output"] = str(self.folder / "outputs")
        self.cluster.start(
            MEDDLE_FULL=str(self.full), MEDDLE_SLOW="0.15", DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5 seconds"
        )
        self.cluster.project.config["scheduler"]["wait_timeout"] = PATIENCE

    def kill_worker(self) -> None:
        """Kill one of the two workers; the worker's nanny starts another worker."""
        for worker in self.cluster.workers()[:1]:
            worker.send_signal(signal.SIGKILL)

    def freeze_worker(self) -> None:
        """Suspend a worker, for less or more time than the scheduler's timeout."""
        for worker in self.cluster.workers()[-1:]:
            worker.suspend()
            time.sleep(self.chance.choice((1.0, 8.0)))
            worker.resume()

    def fill_disk(self) -> None:
        """Let the disk be full for a moment."""
        self.full.touch()
        time.sleep(self.chance.uniform(0.2, 2.0))
        self.full.unlink()

    def kill_driver(self) -> None:
        self.driver.kill()
        self.driver.communicate()
        self.driver = self.cluster.drive()

    def interrupt_driver(self) -> None:
        """Interrupt the run as by Ctrl-C, unless the run has just ended."""
        self.driver.send_signal(signal.SIGINT)
        self.ends(1, 130)
        self.driver = self.cluster.drive()

    def start_second_driver(self) -> None:
        """Start a second run on the same output: the run is refused, unless the first run has just ended."""
        second = subprocess.run(self.cluster.project.command(), capture_output=True, text=True, timeout=LAST)
        assert "Traceback" not in second.stderr
        assert second.returncode == 1 or self.driver.poll() is not None, second.stderr

    def kill_scheduler(self) -> None:
        """Kill the scheduler, which ends the run, and start another cluster."""
        self.cluster.scheduler().kill()
        self.ends(1, 2)
        self.cluster.__exit__()
        self._new_cluster()
        self.driver = self.cluster.drive()

    def ends(self, *codes: int) -> None:
        """Assert that the run ends with success and correct results, or with one of `codes` and a line of reason."""
        _, errors = self.driver.communicate(timeout=LAST)
        code = self.driver.returncode
        self.ended[str(code)] += 1
        assert "Traceback" not in errors, errors
        assert code in (0, *codes), errors
        if code == 0:
            project, (_, artifacts) = self.cluster.project, self.expected
            assert project.artifacts() == artifacts
            ledger = project.record()["ledger"]
            assert ledger["pairs_total"] == IMAGES * (IMAGES - 1) // 2
            assert ledger["pairs_total"] == ledger["decided"] + ledger["skipped_by_rule"]
            shutil.rmtree(project.run_folder)
        elif code in (1, 2):
            assert any(line in errors for line in LINES), errors

    def go_on(self, seconds: float) -> None:
        """Let runs go on for some seconds; when a run ends, the next run starts."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self.driver.wait(left)
            except subprocess.TimeoutExpired:
                return
            self.ends(1)
            self.driver = self.cluster.drive()


def faults(soak: Soak) -> Iterator[Callable[[], None]]:
    """Yield all faults in random order, again and again."""
    every = [
        *(soak.kill_worker, soak.freeze_worker, soak.fill_disk, soak.kill_driver),
        *(soak.interrupt_driver, soak.start_second_driver, soak.kill_scheduler),
    ]
    while True:
        yield from soak.chance.sample(every, len(every))


@contextmanager
def prepared(folder: Path, seed: int) -> Iterator[Soak]:
    """Yield a soak on new images."""
    project = Project(folder / "undisturbed", CONFIG)
    make_images(project.folder / "images", IMAGES)
    assert project.run() == 0
    with Soak((project, project.artifacts()), folder, random.Random(seed)) as soak:
        yield soak


def soaked(minutes: float, seed: int, folder: Path) -> Soak:
    """Inject faults for some minutes, each fault at least once, then let the last run end.

    Raises AssertionError if a result is wrong."""
    with prepared(folder, seed) as soak:
        end = time.monotonic() + 60 * minutes
        for fault in faults(soak):
            soak.go_on(soak.chance.uniform(*CALM))
            if time.monotonic() > end and len(soak.did) == KINDS:
                break
            fault()
            soak.did[fault.__name__] += 1
        soak.ends(1)
        while not soak.ended["0"] or soak.driver.returncode:
            soak.driver = soak.cluster.drive()
            soak.ends(1)
        return soak


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        soak = soaked(minutes, seed, Path(folder))
    print("what was done:", ", ".join(f"{name} {count}" for name, count in sorted(soak.did.items())))
    print("how runs ended:", ", ".join(f"exit {code} {count} times" for code, count in sorted(soak.ended.items())))


if __name__ == "__main__":
    main()
