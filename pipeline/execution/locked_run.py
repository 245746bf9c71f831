"""Do one run on a locked output: plan, run stale tasks, retire, write run.json."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.cluster.deployment import kind_of
from pipeline.cluster.fitness import Needs, needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.config.settings import Config
from pipeline.execution.executor import Executor, ThreadsExecutor
from pipeline.execution.notices import Warnings
from pipeline.execution.record import RunRecord, record_of
from pipeline.execution.reporter import Reporter, Reporters
from pipeline.execution.runner import REPAIRS, Runner
from pipeline.execution.watch import STALLED
from pipeline.machine.interrupts import interrupts
from pipeline.messages.errors import ArtifactDamaged
from pipeline.plan import racy
from pipeline.plan.past_rows import past_rows
from pipeline.plan.preflight import calls_own_code, largest_task
from pipeline.plan.resolve import Resolver
from pipeline.plan.tasks import Plan, make_plan
from pipeline.stage import Address, Stage
from pipeline.store.atomic import sweep
from pipeline.store.events import EventLog
from pipeline.store.footers import Footers
from pipeline.store.lock import RunLock
from pipeline.store.store import RECORD, Store

AfterSuccess: TypeAlias = Callable[[Store, Collection[str]], Collection[str]]


@dataclass
class LockedRun:
    """One run, while its process holds the lock of the output.

    after_success       see `pipeline.run.run`
    performance_report  path of Dask's own report
    listing             seconds that the source stages took to list their data
    begun               whether the run has reached a state that run.json must record
    later               racy rows that the next run must recheck; None until this run has rechecked the rows of earlier
                        runs"""

    config: Config
    stages: Sequence[Stage[Any]]
    store: Store
    after_success: AfterSuccess
    log: EventLog
    performance_report: Path | None = None
    runner: Runner | None = None
    listing: float = 0.0
    warnings: Warnings | None = None
    begun: bool = False
    later: Sequence[str] | None = None

    def do(self, reporters: Reporters, lock: RunLock) -> RunRecord:
        """Do the run; write run.json even if the run fails or is interrupted."""
        sweep(self.store.folder)
        if self.store.files.size(STALLED) is not None:
            self.store.files.delete([STALLED])  # written by an earlier run
        try:
            with interrupts() as interrupted, Warnings(reporters) as self.warnings:
                if lock.note:
                    logging.getLogger("fast_diff").warning(lock.note)
                return self._run(reporters, interrupted, lock)
        finally:
            if self.begun and lock.held:
                self._write_record(reporters)

    def _run(self, reporter: Reporter, interrupted: threading.Event, lock: RunLock) -> RunRecord:
        try:
            started = time.perf_counter()
            plan = make_plan(
                self.stages,
                self.config.params,
                self.config.settings,
                functools.partial(past_rows, self.store),
                reporter.found,
            )
            self.listing = time.perf_counter() - started
            self.begun = True
            reporter.begin(plan.workloads(), lambda address: plan.nodes[address].task.size)
            racy_rows, later = self._racy_rows(plan)
            start = functools.partial(self._start, plan, reporter)
            resolver = Resolver(
                plan, self.store, Footers(self.store), self.config.params, self.config.settings, racy_rows
            )
            self.runner = Runner(plan, resolver, start, reporter, interrupted.is_set, lock.check)
            if self._computed(self.runner, lock):
                self.later = later
        except KeyboardInterrupt:
            interrupted.set()
            self.begun = True
            if not kind_of(self.config.scheduler.kind).remote:  # workers on other machines may still be writing
                sweep(self.store.folder)
        return RunRecord(self._record(), self.runner.failures if self.runner else [], interrupted.is_set())

    def _start(self, plan: Plan, reporter: Reporter) -> Executor:
        """Open the executor; call the stages' `warm_up` if tasks run in this process."""
        executor = open_executor(
            self.config.scheduler,
            self._needs(plan),
            reporter.cluster,
            self.performance_report,
            tasks=len(plan.nodes),
            own_code=calls_own_code(self.stages, self.config.params, self.config.settings),
            advance=reporter.advance,
        )
        if isinstance(executor, ThreadsExecutor):
            upstream = plan.upstream(self.config.settings)
            for stage in self.stages:
                stage.preflight.warm_up(upstream, lambda name: self.store.files.size(name) is not None)
        return executor

    def _computed(self, runner: Runner, lock: RunLock) -> bool:
        """Run stale tasks, retire old artifacts; return whether all tasks succeeded.

        Artifacts that `after_success` finds damaged are made again. Raises ArtifactDamaged if this fails."""
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
        """Return the requirements for workers: libraries, inputs and memory."""
        libraries = [name for stage in self.stages for name in (*stage.cache_key.libraries, *stage.cache_key.optional)]
        memory, remedy = largest_task(plan, self.stages, self.config.params, self.config.settings)
        roots = [root for roots in self.config.roots.values() for root in roots]
        return needs_of(self.store.folder, roots, libraries, memory, remedy=remedy)

    def _racy_rows(self, plan: Plan) -> tuple[dict[Address, list[str]], list[str]]:
        """Return racy rows of earlier runs, by source task, and racy rows of this run."""
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
        """Retire every artifact and file that does not belong to this run."""
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
                with contextlib.suppress(ArtifactDamaged):
                    files.update(self.store.record(stage, receipt.name, key).files)
        for stage, keep in names.items():
            self.store.retire_all_but(stage, frozenset(keep))
        files.update(self.after_success(self.store, ran))
        self.store.retire_files_but(files, lambda name: any(stage.output.owns(name) for stage in self.stages))

    def _record(self) -> dict[str, Any]:
        """Return the content of run.json."""
        warnings = self.warnings.lines if self.warnings else []
        return record_of(self.config, self.stages, self.runner, self.listing, warnings)

    def _write_record(self, reporter: Reporter) -> None:
        """Write run.json; only report an OSError, which must not hide why the run ended.

        All artifacts are synced before run.json is written, and run.json is synced on return."""
        try:
            self.store.files.sync_all(since=RECORD)
            if self.later is not None:
                racy.write(self.store, self.later)
            self.store.publish_file(RECORD, json.dumps(self._record(), indent=2).encode(), durable=True)
        except OSError as error:
            reporter.message(f"{self.store.folder / RECORD} could not be written: {error.strerror}")
