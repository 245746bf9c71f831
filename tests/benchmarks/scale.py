"""Measure driver and scheduler for 10,000 partitions and 100,000 block pairs, with kernels that return at once.

    python -m tests.benchmarks.scale [--partitions 10000] [--pairs 100000] [--workers 2] [--seconds 0]

Runs the real planner, runner and stages (`tests/benchmarks/many.py`) on a real Dask scheduler and workers, in separate
processes over TCP. Prints the time to plan; for a first run, the time to the first task, tasks per second, and the peak
memory of driver and scheduler; the same for a feed, in which workers answer without publishing anything; and the time
of a run with nothing to do. Each figure has a floor of the same benchmark: `client.map` of as many no-ops, a loop of
`client.submit`, bare publishing of such artifacts by as many processes, listing the folders and reading as many footers
with pyarrow alone, and `os.stat` of each artifact. Processor time is of the whole process, imports included."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.cli.main import prepare_process
from pipeline.execution import on_dask
from pipeline.execution.reporter import Reporter
from pipeline.execution.task import Outcome, run_task
from pipeline.plan.call import Call, Receipt
from pipeline.plan.tasks import in_order, make_plan
from pipeline.stage import Address
from pipeline.store.artifact import Record, artifact_name
from pipeline.store.store import SUMMARY, Store
from tests.benchmarks.many import SUMMARIES, blocks_for, config_of, many

MIB = 1 << 20
SUBMITTED = 5_000
"""Greatest number of no-ops that are submitted one by one."""


class First(Reporter):
    """A reporter that records when tasks end, in seconds since the start, and the first and last end by stage."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.worked: list[float] = []
        self.ends: dict[str, list[float]] = {}

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        now = time.perf_counter() - self.began
        if how == "run" and address[0] != "scan":
            self.worked.append(now)
        self.ends.setdefault(address[0], [now, now])[1] = now


def peak_memory(pid: int) -> int:
    """Return the peak memory of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Start a scheduler and workers over TCP on loopback; yield the config section and the scheduler's process id."""
    folder.mkdir(parents=True, exist_ok=True)
    file, host = folder / "scheduler.json", ["--host", "127.0.0.1"]
    file.unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *words]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    listen = ("--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file))
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(start("scheduler", *host, *listen))
        stack.callback(scheduler.kill)
        while not (file.exists() and file.read_text().endswith("}")):
            time.sleep(0.05)
        words = ("--scheduler-file", str(file), "--nworkers", str(workers), "--nthreads", "1", "--no-dashboard")
        words += ("--death-timeout", "20", "--local-directory", str(folder / "scratch"))
        worker = stack.enter_context(start("worker", *host, *words))
        stack.callback(worker.terminate)
        yield {"kind": "address", "address": json.loads(file.read_text())["address"]}, scheduler.pid


def step_plan(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the time and the memory to make the plan."""
    config = config_of(Path(options.folder), {})
    stages = in_order(many(options.partitions, blocks_for(options.pairs), config))
    before = peak_memory(os.getpid())
    started = time.perf_counter()
    plan = make_plan(stages, config.params, config.settings)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tasks": len(plan.nodes), "memory": peak_memory(os.getpid()) - before}


def step_run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure a run like the command line's; in a feed, workers answer without work."""
    from pipeline.run import no_files, run
    from stages.commands.run.work import draw_work

    prepare_process()
    config = config_of(Path(options.folder), json.loads(options.scheduler) or {})
    stages = many(options.partitions, blocks_for(options.pairs), config, options.seconds)
    feed = options.step == "feed"
    if feed:
        on_dask.run_bundle = answer
    heard = First()
    done = run(config, stages, heard, no_files if feed else functools.partial(draw_work, config))
    seconds = time.perf_counter() - heard.began
    assert not done.failures, done.failures[:3]
    span = heard.worked[-1] - heard.worked[0] if heard.worked else 0.0
    return {
        "seconds": seconds,
        "first": heard.worked[0] if heard.worked else 0.0,
        "first_pair": heard.ends["pairs"][0],
        "last_thumbnail": heard.ends["thumbnail"][1],
        "ran": len(heard.worked),
        "rate": len(heard.worked) / span if span else 0.0,
        "memory": peak_memory(os.getpid()),
        "processor": sum(os.times()[:2]),
    }


def step_noop(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the floors of Dask: `client.map` of as many no-ops as there are tasks, and a loop of `client.submit`."""
    from distributed import Client, wait

    count = options.pairs + 3 * options.partitions
    with Client(json.loads(options.scheduler)["address"]) as client:
        started = time.perf_counter()
        wait(client.map(abs, range(count), pure=False))
        rate, some = count / (time.perf_counter() - started), min(count, SUBMITTED)
        before = time.process_time()
        wait([client.submit(abs, number, pure=False) for number in range(some)])
        return {"rate": rate, "tasks": count, "processor": (time.process_time() - before) / some}


def publish_some(job: tuple[str, int]) -> int:
    """Publish artifacts of the pairs stage in a loop, without a runner."""
    folder, count = job
    config = config_of(Path(folder), {})
    (stage,) = (stage for stage in many(1, 1, config) if stage.name == "pairs")
    schema = stage.schema_for(config.params["pairs"], config.settings)
    for number in range(count):
        record = Record("pairs", str(number), "f" * 64, {"params": {}}, {}, summary=SUMMARIES["pairs"])
        Store(Path(folder)).publish(f"{os.getpid()}-{number}.parquet", record, schema, [schema.empty_table()])
    return count


def step_publish(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the floor of publishing: artifacts per second of as many processes in a loop."""
    count = max(100, min(3_000, options.pairs // 10))
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        pool.map(publish_some, [(options.folder, 10)] * options.workers, 1)  # imports are not timed
        started = time.perf_counter()
        done = sum(pool.map(publish_some, [(options.folder, count)] * options.workers, 1))
        return {"rate": done / (time.perf_counter() - started)}


def step_footers(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the floor of a run with nothing to do: list all folders, and read each footer with pyarrow."""
    started = time.perf_counter()
    folders = [entry.path for entry in os.scandir(f"{options.folder}/many") if entry.is_dir()]
    paths = [entry.path for folder in folders for entry in os.scandir(folder) if entry.stat().st_size]
    paths = [path for path in paths if path.endswith(".parquet")]
    listed = time.perf_counter() - started
    read = [pq.read_metadata(path).metadata for path in paths]
    seconds, before = time.perf_counter() - started, time.process_time()
    for path in paths:
        os.stat(path)  # noqa: PTH116  # the floor is the bare call
    return {"seconds": seconds, "listing": listed, "footers": len(read), "stat": time.process_time() - before}


STEPS = {
    "plan": step_plan,
    "noop": step_noop,
    "publish": step_publish,
    "feed": step_run,
    "run": step_run,
    "again": step_run,
    "footers": step_footers,
}


def answer(calls: Iterable[Call], seconds: float, topic: str) -> list[Outcome]:
    """Return outcomes as if all tasks had been published; run only tasks with `filename`."""
    outcomes = []
    for call in calls:
        if call.task.filename:
            outcomes.append(run_task(call))
            continue
        content = dict.fromkeys([*call.context.schema.names, SUMMARY], "0" * 32)
        name = artifact_name(call.task.key, call.fingerprint, call.task.filename)
        receipt = Receipt(name, content, 0, SUMMARIES.get(call.context.stage.name, {}))
        outcomes.append(Outcome(call.address, receipt, seconds=1e-4))
    return outcomes


def do(step: str, options: argparse.Namespace, folder: Path, scheduler: Mapping[str, Any] | None = None) -> Any:
    """Run one step in a new process, so that its peak memory and caches are its own; return the figures."""
    words = ["--step", step, "--folder", str(folder), "--scheduler", json.dumps(scheduler)]
    sizes = [f"--{name}={getattr(options, name)}" for name in ("partitions", "pairs", "workers", "seconds")]
    command = [sys.executable, "-m", "tests.benchmarks.scale", *words, *sizes]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield each line as soon as its numbers are known."""
    plan = do("plan", options, folder)
    yield f"plan: {plan['tasks']:,} tasks in {plan['seconds']:.1f} s, {plan['memory'] / MIB:,.0f} MiB"
    with cluster(folder / "noop", options.workers) as (section, _):
        noop = do("noop", options, folder, section)
    yield (
        f"floor of Dask: client.map of {noop['tasks']:,} no-ops, {noop['rate']:,.0f} a second; client.submit, "
        f"{noop['processor'] * 1e6:,.0f} µs of the processor for each"
    )
    publish = do("publish", options, folder / "floor")
    yield f"floor of publishing: {publish['rate']:,.0f} artifacts a second by {options.workers} processes"
    for step, said, floor in (("feed", "feed, nothing published", noop), ("run", "first run", publish)):
        with cluster(folder / step, options.workers) as (section, pid):
            ran = do(step, options, folder / step, section)
            memory = peak_memory(pid)
        yield (
            f"{said}: {ran['ran']:,} tasks in {ran['seconds']:.1f} s, {ran['rate']:,.0f} a second, "
            f"{ran['rate'] / floor['rate']:.2f} of the floor; the first after {ran['first']:.2f} s, the first pair "
            f"after {ran['first_pair']:.2f} s, the last thumbnail after {ran['last_thumbnail']:.1f} s; peak of the "
            f"driver {ran['memory'] / MIB:,.0f} MiB, of the scheduler {memory / MIB:,.0f} MiB; processor time of the "
            f"driver {ran['processor']:.1f} s, {ran['processor'] / ran['ran'] * 1e6:,.0f} µs a task, "
            f"{ran['processor'] / ran['ran'] / noop['processor']:.2f} of client.submit"
        )
    again, floor = do("again", options, folder / "run"), do("footers", options, folder / "run")
    yield (
        f"finished run: {again['seconds']:.1f} s, {again['memory'] / MIB:,.0f} MiB; floor (listing in "
        f"{floor['listing']:.2f} s, then {floor['footers']:,} footers with pyarrow) {floor['seconds']:.1f} s: "
        f"ratio {again['seconds'] / floor['seconds']:.2f}; processor time {again['processor']:.1f} s, "
        f"{again['processor'] / plan['tasks'] * 1e6:,.0f} µs a task, {again['processor'] / floor['stat']:.1f} times "
        "os.stat of each artifact"
    )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="seconds that the kernel of a block pair sleeps")
    parser.add_argument("--folder", help="working folder; default: a temporary folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--scheduler", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.step:
        print(json.dumps(STEPS[options.step](options)))
        return
    with contextlib.ExitStack() as stack:
        folder = Path(options.folder or stack.enter_context(tempfile.TemporaryDirectory(dir="outputs")))
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{os.cpu_count()} cores, {options.workers} workers, load {os.getloadavg()[0]:.1f}", flush=True)
        for line in measure(options, folder):
            print(line, flush=True)


if __name__ == "__main__":
    main()
