"""Measure how long no task ends when workers are killed: `python -m tests.benchmarks.stall [KILLS] [IMAGES]`

Runs on two `dask worker` processes, and kills a worker every three seconds, KILLS times (default: 10); the worker's
nanny starts another. IMAGES is the number of images (default: 900). Prints the longest time without the end of a task,
for this run and for a run without kills, and how many tasks began twice."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.faulty import Cluster
from tests.end_to_end.meddling import begun

EVERY = 3.0


def measured(project: Project, folder: Path, kills: int) -> str:
    """Run once, and kill `kills` workers; return the figures as a sentence."""
    with Cluster((project, {}), folder) as cluster:
        cluster.start()
        killed: list[float] = []
        with cluster.drive() as driver:
            cluster.wait_for("thumbnail/*.parquet", driver)
            while driver.poll() is None:
                time.sleep(EVERY)
                if len(killed) < kills and (workers := cluster.workers()):
                    workers[0].send_signal(signal.SIGKILL)
                    killed.append(time.time())
            assert driver.returncode == 0, driver.stderr and driver.stderr.read()
        log = (cluster.project.run_folder / ".events.jsonl").read_text().splitlines()
        ends = [event["time"] for event in map(json.loads, log) if event["event"] == "task"]
        gaps = [later - sooner for sooner, later in pairwise(ends)]
        again = sum(count > 1 for count in begun(cluster.log).values())
        took = f"{len(ends):,} tasks in {ends[-1] - ends[0]:.1f} s, {len(killed)} workers killed"
        return f"{took}: the longest time without the end of a task {max(gaps):.2f} s; {again} tasks began twice"


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    kills, images = given + [10, 900][len(given) :]
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name) / "images", {"partition": {"images": 4, "block": 40}})
        make_images(project.folder / "images", images)
        for number in sorted({0, kills}):
            folder = Path(name) / f"kills-{number}"
            folder.mkdir()
            print(measured(project, folder, number), flush=True)


if __name__ == "__main__":
    main()
