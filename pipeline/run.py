"""One run from beginning to end: lock, look, plan, run what is missing, retire the rest, say what was done."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.atomic import sweep
from pipeline.config import Config
from pipeline.errors import ArtifactDamaged, ConfigError
from pipeline.events import LOG, EventLog
from pipeline.lock import RunLock
from pipeline.plan import Plan, in_order, make_plan
from pipeline.progress import Reporter, Reporters
from pipeline.resolve import Resolver, doubtful_rows
from pipeline.runner import Failure, Runner
from pipeline.scheduler import DISTRIBUTION, open_executor
from pipeline.stage import Address, Stage
from pipeline.store import Store, StoredArtifact
from pipeline.task import Receipt

DOUBTFUL = ".doubtful.json"
RECORD = "run.json"


Aside: TypeAlias = Callable[[Path], Collection[str]]


def nothing_aside(folder: Path) -> Collection[str]:
    """The default of `run`: no files but those of artifacts."""
    return ()


@dataclass(frozen=True)
class RunRecord:
    """How a run ended: the content of run.json, the tasks that failed, and the exit code."""

    record: Mapping[str, Any]
    failures: Sequence[Failure]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        return 130 if self.interrupted else 1 if self.failures else 0


@dataclass(frozen=True)
class Explanation:
    """What a run would do: the reason per task that would run, and the names of the artifacts that are current."""

    plan: Plan
    current: Mapping[Address, str]
    reasons: Mapping[Address, str]


def run(config: Config, stages: Sequence[Stage], reporter: Reporter, aside: Aside = nothing_aside) -> RunRecord:
    """Run what is missing. Errors of tasks are in the record that is returned.

    `aside` is called in the end, with the run's folder, if all went well: it draws what is no result, such as what the
    event log tells, and returns the names of its files, relative to that folder; they stay beside the artifacts' own.
    Raises ConfigError, LockedError where nothing could be begun, SchedulerLost after run.json is written."""
    check(config, stages)
    store = Store(config.folder)
    with RunLock(config.folder), Reporters(reporter, EventLog(config.folder / LOG)) as reporters:
        sweep(config.folder)
        work = _Work(config, in_order(stages), store, aside)
        try:
            with _interrupts() as interrupted, _Warnings(reporters) as work.warnings:
                return work.run(reporters, interrupted)
        finally:
            if work.begun:
                work.write_record(reporters)


def check(config: Config, stages: Sequence[Stage]) -> None:
    """Let every stage look at the settings as a whole. Raises ConfigError with a line per complaint."""
    complaints = [line for stage in stages for line in stage.check(config.params[stage.name], config.settings)]
    if complaints:
        raise ConfigError("\n".join(complaints))


@dataclass
class _Work:
    config: Config
    stages: Sequence[Stage]
    store: Store
    aside: Aside
    runner: Runner | None = None
    looked: float = 0.0
    warnings: _Warnings | None = None
    begun: bool = False

    def run(self, reporter: Reporter, interrupted: threading.Event) -> RunRecord:
        try:
            started = time.perf_counter()
            plan = make_plan(self.stages, self.config.params, self.config.settings)
            self.looked = time.perf_counter() - started
            self.begun = True
            reporter.begin(plan.stages())
            doubts, later = self._doubts(plan)
            resolver = Resolver(plan, self.store, self.config.params, self.config.settings, doubts)
            start = functools.partial(open_executor, self.config.scheduler)
            self.runner = Runner(plan, resolver, start, reporter, interrupted.is_set)
            self.runner.run()
            if not self.runner.failures:
                self._retire(plan)
                self._write_doubtful(later)
        except KeyboardInterrupt:
            interrupted.set()
            self.begun = True
            if self.config.scheduler.kind != "address":  # workers of a cluster may still be writing
                sweep(self.store.folder)
        return RunRecord(self.record(), self.runner.failures if self.runner else [], interrupted.is_set())

    def _doubts(self, plan: Plan) -> tuple[dict[Address, list[str]], list[str]]:
        """Rows that the last runs could not be sure of, by source task; and those of this one, for the next."""
        rows = _doubtful_before(self.store)
        doubts: dict[Address, list[str]] = {}
        later: list[str] = []
        for address, table in plan.sources.items():
            stage = plan.nodes[address].stage
            if stage.doubtful:
                later.extend(stage.doubtful(table))
                if rows:
                    doubts[address] = doubtful_rows(table, table.column_names[0], rows)
        self._write_doubtful(sorted({*rows, *later}))
        return doubts, later

    def _write_doubtful(self, rows: Sequence[str]) -> None:
        path = self.store.folder / DOUBTFUL
        if rows:
            self.store.publish_file(DOUBTFUL, json.dumps(sorted(rows)).encode())
        else:
            path.unlink(missing_ok=True)

    def _retire(self, plan: Plan) -> None:
        """After a run that succeeded, a stage's folder holds exactly this run's artifacts."""
        assert self.runner is not None
        names: dict[str, set[str]] = {stage.name: set() for stage in self.stages}
        files: set[str] = set()
        for (stage, key), receipt in self.runner.receipts.items():
            names[stage].add(receipt.name)
            if plan.nodes[stage, key].task.filename:
                files.update(StoredArtifact(stage, key, self.store.path(stage, receipt.name)).record.files)
        for stage, keep in names.items():
            self.store.retire_all_but(stage, frozenset(keep))
        self.store.retire_files_but(files.union(self.aside(self.store.folder)))

    def record(self) -> dict[str, Any]:
        """The content of run.json."""
        figures: dict[str, Any] = {}
        counts: dict[str, dict[str, Any]] = {}
        for stage in self.stages:
            counts[stage.name] = {"tasks_run": 0, "tasks_skipped": 0, "tasks_failed": 0, "seconds": 0.0}
            if self.runner:
                counts[stage.name]["seconds"] = round(
                    self.runner.seconds(stage.name) + (self.looked if stage.source else 0), 3
                )
            figures |= stage.figures(self._summaries(stage.name))
        if self.runner:
            words = {"run": "tasks_run", "skipped": "tasks_skipped", "failed": "tasks_failed", "blocked": ""}
            for (name, _), how in self.runner.state.items():
                if words[how]:
                    counts[name][words[how]] += 1
        return {
            "run": self.config.run,
            "version": metadata.version(DISTRIBUTION),
            "config": self.config.as_dict(),
            **figures,
            "stages": counts,
            "warnings": self.warnings.lines if self.warnings else [],
            "failures": [
                {"task": "/".join(failure.address), "message": failure.message}
                for failure in (self.runner.failures if self.runner else ())
            ],
        }

    def _summaries(self, stage: str) -> Iterator[Mapping[str, Any]]:
        for (name, key), receipt in (self.runner.receipts if self.runner else {}).items():
            if name == stage:
                with contextlib.suppress(ArtifactDamaged):
                    yield StoredArtifact(name, key, self.store.path(name, receipt.name)).summary

    def write_record(self, reporter: Reporter) -> None:
        """Write run.json, whatever happened; a disk that is full must not hide why the run ended."""
        try:
            self.store.publish_file(RECORD, json.dumps(self.record(), indent=2).encode())
        except OSError as error:
            reporter.message(f"{self.store.folder / RECORD} could not be written: {error.strerror}")


def _doubtful_before(store: Store) -> list[str]:
    """Rows that earlier runs could not be sure of."""
    with contextlib.suppress(OSError, ValueError):
        return list(json.loads((store.folder / DOUBTFUL).read_text()))
    return []


class _Warnings(logging.Handler):
    """While it is open, what the stages log under the name `fast_diff` reaches the user and run.json."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self.reporter = reporter
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.reporter.message(f"warning: {self.lines[-1]}")

    def __enter__(self) -> _Warnings:
        logging.getLogger("fast_diff").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("fast_diff").removeHandler(self)


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM, as batch systems send it, end a run alike; the event stays set.

    A KeyboardInterrupt alone can get lost: compiled code that is called at that moment may swallow it."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def interrupt(number: int, frame: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def explain(config: Config, stages: Sequence[Stage]) -> Explanation:
    """What `run` would do now, and why; changes nothing. Raises ConfigError."""
    check(config, stages)
    plan = make_plan(in_order(stages), config.params, config.settings)
    store = Store(config.folder)
    rows = _doubtful_before(store)
    doubts = {address: doubtful_rows(table, table.column_names[0], rows) for address, table in plan.sources.items()}
    resolver = Resolver(plan, store, config.params, config.settings, doubts, read_only=True)
    receipts: dict[Address, Receipt] = {}
    reasons: dict[Address, str] = {}
    current: dict[Address, str] = {}
    for node in sorted(plan.nodes.values(), key=lambda node: node.rank):
        stale = [needed for needed in node.task.inputs if needed not in receipts]
        if stale:
            more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
            reasons[node.address] = f"decided when its inputs have run: {'/'.join(stale[0])}{more}"
            continue
        verdict = resolver.judge(node, receipts)
        if verdict.receipt:
            receipts[node.address] = verdict.receipt
            current[node.address] = verdict.receipt.name
        else:
            reasons[node.address] = verdict.reason
            if node.stage.source:
                receipts[node.address] = resolver.foreseen(node, verdict)
    return Explanation(plan, current, reasons)


def prune(config: Config) -> tuple[int, int]:
    """Delete what was retired; returns how many files and bytes. Raises LockedError, ConfigError."""
    if not config.folder.is_dir():
        raise ConfigError(f"{config.folder} does not exist; nothing to prune")
    with RunLock(config.folder):
        return Store(config.folder).prune()
