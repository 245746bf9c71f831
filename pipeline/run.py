"""One run from beginning to end: lock, look, plan, run what is missing, retire the rest, say what was done."""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.cluster.checks import missing_files
from pipeline.cluster.deployment import kind_of
from pipeline.cluster.fitness import Needs, needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.config.settings import Config
from pipeline.execution.notices import Warnings
from pipeline.execution.progress import Plain, Reporter, Reporters
from pipeline.execution.runner import REPAIRS, Failure, Runner
from pipeline.execution.watch import STALLED
from pipeline.machine.installation import DISTRIBUTION
from pipeline.machine.interrupts import interrupts
from pipeline.messages.errors import ArtifactDamaged, ConfigError
from pipeline.plan import racy
from pipeline.plan.call import Receipt
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import Plan, in_order, make_plan
from pipeline.stage import Address, Stage, Task, Upstream
from pipeline.store.atomic import sweep
from pipeline.store.backends.locations import use
from pipeline.store.backends.storage import below
from pipeline.store.events import LOG, EventLog
from pipeline.store.footers import Footers
from pipeline.store.lock import RunLock
from pipeline.store.store import Store

RECORD = "run.json"


AfterSuccess: TypeAlias = Callable[[Store, Collection[str]], Collection[str]]


def no_files(store: Store, ran: Collection[str]) -> Collection[str]:
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


def run(
    config: Config,
    stages: Sequence[Stage[Any]],
    reporter: Reporter,
    after_success: AfterSuccess = no_files,
    performance_report: Path | None = None,
) -> RunRecord:
    """Run what is missing. Errors of tasks are in the record that is returned.

    `after_success` is called once all tasks have succeeded, with the run's store and the names of the stages that ran
    tasks. The function writes files that are no artifacts, such as charts of the event log, and returns the names of
    these files, relative to the run's folder: all other files of the same kind are retired.
    `performance_report` is where Dask's own page on the run is to go, if Dask has anything to do.
    Raises ConfigError, LockedError where nothing could be begun, SchedulerLost after run.json is written."""
    use(config.storage)
    check(config, stages)
    if missing := list(missing_files(config.scheduler)):
        raise ConfigError(*missing)
    with RunLock(config.folder) as lock:
        store = Store(config.folder, listed=True)
        log = EventLog(config.folder / LOG, store.files)
        with Reporters(reporter, log) as reporters:
            work = _Work(config, in_order(stages), store, after_success, log, performance_report)
            return _locked(work, reporters, lock)


def _locked(work: _Work, reporters: Reporters, lock: RunLock) -> RunRecord:
    """What `run` does while it holds the lock."""
    sweep(work.store.folder)
    if work.store.files.size(STALLED) is not None:
        work.store.files.delete([STALLED])  # what it tells is of an earlier run
    try:
        with interrupts() as interrupted, Warnings(reporters) as work.warnings:
            if lock.note:
                logging.getLogger("fast_diff").warning(lock.note)
            return work.run(reporters, interrupted, lock)
    finally:
        if work.begun and lock.held:
            work.write_record(reporters)


def check(config: Config, stages: Sequence[Stage[Any]]) -> None:
    """Let every stage look at the settings as a whole. Raises ConfigError with a line per complaint."""
    complaints = [
        line for stage in stages for line in stage.preflight.check(config.params[stage.name], config.settings)
    ]
    if not complaints:
        for stage in stages:
            stage.schema_for(config.params[stage.name], config.settings)
    if complaints:
        raise ConfigError(*complaints)


@dataclass
class _Work:
    config: Config
    stages: Sequence[Stage[Any]]
    store: Store
    after_success: AfterSuccess
    log: EventLog
    performance_report: Path | None = None
    runner: Runner | None = None
    looked: float = 0.0
    warnings: Warnings | None = None
    begun: bool = False
    later: Sequence[str] | None = None
    """Rows that the next run must check; None until this run has checked those of earlier runs."""

    def run(self, reporter: Reporter, interrupted: threading.Event, lock: RunLock) -> RunRecord:
        try:
            started = time.perf_counter()
            plan = make_plan(self.stages, self.config.params, self.config.settings)
            self.looked = time.perf_counter() - started
            self.begun = True
            reporter.begin(plan.stages())
            racy_rows, later = self._racy_rows(plan)
            start = functools.partial(
                open_executor, self.config.scheduler, self._needs(plan), reporter.cluster, self.performance_report
            )
            resolver = Resolver(
                plan, self.store, Footers(self.store), self.config.params, self.config.settings, racy_rows
            )
            self.runner = Runner(plan, resolver, start, reporter, interrupted.is_set, lock.check)
            if self._computed(self.runner, lock):
                self.later = later
        except KeyboardInterrupt:
            interrupted.set()
            self.begun = True
            if not kind_of(self.config.scheduler.kind).beyond:  # workers elsewhere may still be writing
                sweep(self.store.folder)
        return RunRecord(self.record(), self.runner.failures if self.runner else [], interrupted.is_set())

    def _computed(self, runner: Runner, lock: RunLock) -> bool:
        """Make missing artifacts, then those found damaged while pages are drawn; return whether all tasks succeeded.

        Raises ArtifactDamaged where an artifact is damaged again and again."""
        for attempt in range(REPAIRS + 1):
            with runner.resolver.footers:
                runner.run()
            lock.check(now=True)
            if runner.failures:
                return False
            try:
                self._retire(runner.plan)
                return True
            except ArtifactDamaged as error:
                if attempt == REPAIRS or (error.stage, error.key) not in runner.plan.nodes:
                    raise
                runner.resolver.footers = Footers(self.store)
                runner.make_again((error.stage, error.key))
        raise AssertionError("the last attempt returns or raises")

    def _needs(self, plan: Plan) -> Needs:
        """What this run needs of its workers."""
        libraries = [name for stage in self.stages for name in (*stage.cache_key.libraries, *stage.cache_key.optional)]
        by_stage: dict[str, list[Task]] = {}
        for (stage, _), node in plan.nodes.items():
            by_stage.setdefault(stage, []).append(node.task)
        upstream = Upstream(by_stage, self.config.settings)
        memory, remedy = max(
            (stage.preflight.memory(upstream, self.config.params[stage.name]), stage.preflight.remedy)
            for stage in self.stages
        )
        roots = [root for roots in self.config.roots.values() for root in roots]
        return needs_of(self.store.folder, roots, libraries, memory, remedy)

    def _racy_rows(self, plan: Plan) -> tuple[dict[Address, list[str]], list[str]]:
        """Rows that the last runs could not be sure of, by source task; and those of this one, for the next."""
        rows = racy.read(self.store)
        later = [
            row
            for address, table in plan.sources.items()
            if (source := plan.nodes[address].stage.source) and source.racy
            for row in source.racy(table)
        ]
        if rows is not None:  # a damaged list stays until this run has checked every row
            racy.write(self.store, sorted({*rows, *later}))
        return racy.by_source(plan, rows), later

    def _retire(self, plan: Plan) -> None:
        """After a run that succeeded, a stage's folder holds exactly this run's artifacts."""
        assert self.runner is not None
        ran = {stage for (stage, _), how in self.runner.state.items() if how == "run"}
        if ran:
            self.store.refresh()
            self.log.put()
        names: dict[str, set[str]] = {stage.name: set() for stage in self.stages}
        files: set[str] = set()
        for (stage, key), receipt in self.runner.receipts.items():
            names[stage].add(receipt.name)
            if plan.nodes[stage, key].task.filename:
                for record in self.store.files.records(stage, {receipt.name: receipt.content}):
                    files.update(record.files)
        for stage, keep in names.items():
            self.store.retire_all_but(stage, frozenset(keep))
        files.update(self.after_success(self.store, ran))
        self.store.retire_files_but(files, lambda name: any(stage.output.owns(name) for stage in self.stages))

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
            figures |= stage.output.figures(self._summaries(stage.name))
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
        receipts = self.runner.receipts if self.runner else {}
        return (receipt.summary for (name, _), receipt in receipts.items() if name == stage)

    def write_record(self, reporter: Reporter) -> None:
        """Write run.json, however the run ended; a full disk must not hide why it did.

        All that run.json mentions is on disk before it, and run.json is on disk when this returns."""
        try:
            self.store.files.sync_all(since=RECORD)
            if self.later is not None:
                racy.write(self.store, self.later)
            self.store.publish_file(RECORD, json.dumps(self.record(), indent=2).encode(), durable=True)
        except OSError as error:
            reporter.message(f"{self.store.folder / RECORD} could not be written: {error.strerror}")


def explain(config: Config, stages: Sequence[Stage[Any]]) -> Explanation:
    """What `run` would do now, and why; changes nothing. Raises ConfigError."""
    use(config.storage)
    check(config, stages)
    plan = make_plan(in_order(stages), config.params, config.settings)
    store = Store(config.folder, listed=True)
    with Warnings(Plain()), Footers(store, read_only=True) as footers:
        racy_rows = racy.by_source(plan, racy.read(store))
        return _foreseen(Resolver(plan, store, footers, config.params, config.settings, racy_rows, read_only=True))


def _foreseen(resolver: Resolver) -> Explanation:
    """The verdict on every task, as far as the artifacts tell now."""
    receipts: dict[Address, Receipt] = {}
    reasons: dict[Address, str] = {}
    current: dict[Address, str] = {}
    for node in sorted(resolver.plan.nodes.values(), key=lambda node: node.rank):
        stale = [needed for needed in node.task.inputs if needed not in receipts]
        if stale:
            more = f" and {len(stale) - 1} more" if len(stale) > 1 else ""
            reasons[node.address] = f"decided when its inputs have run: {'/'.join(stale[0])}{more}"
            continue
        verdict = resolver.resolve(node, receipts)
        if verdict.receipt:
            receipts[node.address] = verdict.receipt
            current[node.address] = verdict.receipt.name
        else:
            reasons[node.address] = verdict.reason
            if node.stage.source:
                receipts[node.address] = resolver.foreseen(node, verdict)
    return Explanation(resolver.plan, current, reasons)


def prune(config: Config) -> tuple[int, int]:
    """Delete what was retired; returns how many files and bytes. Raises LockedError, ConfigError."""
    use(config.storage)
    if not (config.folder.is_dir() if isinstance(config.folder, Path) else below(config.folder)):
        raise ConfigError(f"{config.folder} does not exist; nothing to prune")
    with RunLock(config.folder):
        return Store(config.folder, listed=True).prune()
