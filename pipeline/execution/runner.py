"""Run a plan: one loop for every scheduler.

The driver keeps the number of missing inputs per task, and a queue of ready tasks by rank. A ready task is resolved: a
current artifact is a cache hit and needs no Dask. Any other task is submitted with its inputs as plain arguments, and
its future is released as soon as the task ends. At most `Executor.window` bundles of tasks are submitted at a time.

Short tasks go in bundles: neighbours in the queue, of one stage and one group, run one after the other on one worker,
which reads shared inputs once. The executor chooses the size of a bundle from the number of tasks left and their
duration. A bundle that takes too long ends early: tasks that have not begun are ready again. A failed task is retried
alone (`attempts.py`).
"""

from __future__ import annotations

import contextlib
import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.execution.attempts import Attempts
from pipeline.execution.executor import ROUNDS, Executor, LiveBundles
from pipeline.execution.reporter import Reporter
from pipeline.execution.task import Outcome, drop_manifests, run_source, storage_message, without_inputs
from pipeline.plan.call import Call, Receipt
from pipeline.plan.reasons import UNREADABLE_ARTIFACT
from pipeline.plan.resolve import Resolver, Verdict
from pipeline.plan.tasks import Node, Plan
from pipeline.stage import Address
from pipeline.store.backends.storage import remove

REPAIRS = 3
"""Number of times that a damaged input is made again before the task that reads the input fails."""
MOMENT = 0.2
"""Seconds of submitting after which the driver collects outcomes, even if more tasks are ready."""
SMOOTHING = 8
"""Approximate number of tasks in the moving mean that estimates the duration of a stage's tasks."""


@dataclass(frozen=True)
class Failure:
    """A task that failed; `detail` is a traceback for developers."""

    address: Address
    message: str
    detail: str = ""


@dataclass
class Runner:
    """One run of a plan. `start` opens the executor when the first task must run.

    Between tasks the runner calls `stop` and `check`. The run ends with KeyboardInterrupt if `stop` returns True, and
    with any exception that `check` raises."""

    plan: Plan
    resolver: Resolver
    start: Callable[[], Executor]
    reporter: Reporter
    stop: Callable[[], bool] = lambda: False
    check: Callable[[], None] = lambda: None
    receipts: dict[Address, Receipt] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    state: dict[Address, str] = field(default_factory=dict)
    """How each settled task ended: run, skipped, failed or blocked."""

    def __post_init__(self) -> None:
        self._unmet = {address: len(set(node.task.inputs)) for address, node in self.plan.nodes.items()}
        self._ready = [(node.rank, address) for address, node in self.plan.nodes.items() if not node.task.inputs]
        heapq.heapify(self._ready)
        self._left = Counter(self.plan.stages())
        self._running: dict[Address, Verdict] = {}
        self._live = LiveBundles()
        self._task_seconds: dict[str, float] = {}
        self._attempts = Attempts(self._again)
        self._waiting: dict[Address, list[Address]] = {}
        self._unreadable: set[Address] = set()
        self._executor: Executor | None = None
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._manifests = False
        self._spans: dict[str, list[float]] = {}

    def run(self) -> None:
        """Run every stale task; collect the errors of tasks in `failures`.

        Raises SchedulerLost."""
        try:
            while self._ready or self._running or self._attempts:
                self._fill_window()
                if self._running and self._executor:
                    for outcome in self._executor.finished(MOMENT if self._attempts.pausing else None):
                        self._settle(outcome)
                elif self._attempts.pausing and not self._ready:
                    time.sleep(MOMENT)
                if self.stop():
                    raise KeyboardInterrupt
                self.check()
        finally:
            with contextlib.closing(self._executor) if self._executor else contextlib.nullcontext():
                self._executor = None
                if self._manifests:
                    drop_manifests(self.resolver.store.folder)

    def make_again(self, damaged: Address) -> None:
        """Delete a damaged artifact, so that `run` makes it again."""
        receipt = self.receipts.pop(damaged, None)
        if receipt is None:
            return  # another reader has reported the damage before
        with contextlib.suppress(OSError):  # a file that can't be deleted is overwritten later
            remove(self.resolver.store.path(damaged[0], receipt.name))
        self.resolver.footers.forget(damaged[0], receipt.name)
        self._unreadable.add(damaged)
        self._again(self.plan.nodes[damaged])

    def seconds(self, stage: str) -> float:
        """Return a stage's wall time from first start to last end; stages overlap."""
        return self._spans[stage][1] - self._spans[stage][0] if stage in self._spans else 0.0

    def _fill_window(self) -> None:
        self._attempts.release()
        if not (self._ready or self._running):
            self._attempts.release_suspect()
        bundles: list[list[Call]] = []
        began = time.perf_counter()
        while self._ready and self._room(began):
            calls = self._next_bundle()
            if calls:
                bundles.append(calls)
                self._live.add([call.address for call in calls])
            if self._executor and len(bundles) >= self._executor.slots:
                self._executor.submit(bundles)
                bundles = []
        if bundles and self._executor:
            self._executor.submit(bundles)

    def _room(self, began: float) -> bool:
        """Return whether to submit more tasks before the next collection of outcomes.

        Once every slot has work, submitting stops after a moment."""
        if self._executor is None:
            return True
        busy = self._live.bundles >= ROUNDS * self._executor.slots
        if busy and (time.perf_counter() - began > MOMENT or len(self._running) >= self._executor.window):
            return False
        return self._live.bundles < self._executor.window

    def _next_bundle(self) -> list[Call]:
        """Return calls of ready tasks for one bundle; record cache hits on the way."""
        calls: list[Call] = []
        most = 1
        first: Node | None = None
        while self._ready and len(calls) < most:
            node = self.plan.nodes[self._ready[0][1]]
            alone = first and (first.stage.name, first.task.group) != (node.stage.name, node.task.group)
            if first and not node.stage.source and (alone or node.address in self._attempts.tries):
                break
            heapq.heappop(self._ready)
            if self._must_wait(node):
                continue
            self._left[node.stage.name] -= 1
            verdict = self.resolver.resolve(node, self.receipts)
            if verdict.receipt:
                self._done(node, verdict.receipt, "skipped")
                continue
            if self.stop():
                raise KeyboardInterrupt
            if node.address in self._unreadable:
                verdict = verdict._replace(reason=UNREADABLE_ARTIFACT)
            self._spans.setdefault(node.stage.name, [time.perf_counter()] * 2)
            self._running[node.address] = verdict
            if node.stage.source:
                self._settle(run_source(verdict.call, self.plan.sources[node.address]))
                continue
            self._executor = self._executor or self.start()
            try:
                calls.append(without_inputs(verdict.call._replace(tasks_per_machine=self._executor.tasks_per_machine)))
            except OSError as error:
                self._settle(Outcome(node.address, message=storage_message(error, verdict.call), transient=True))
                continue
            self._manifests |= calls[-1].manifest is not None
            if first is None and node.address not in self._attempts.tries:
                first = node
                most = self._executor.bundle_size(self._left[node.stage.name], self._task_seconds.get(node.stage.name))
        return calls

    def _must_wait(self, node: Node) -> bool:
        """Return whether a ready task must wait for an input that was found damaged."""
        gone = {needed for needed in node.task.inputs if needed not in self.receipts}
        for needed in gone:
            self._waiting.setdefault(needed, []).append(node.address)
        self._unmet[node.address] += len(gone)
        return bool(gone)

    def _settle(self, outcome: Outcome) -> None:
        verdict = self._running.pop(outcome.address)
        self._live.drop(outcome.address)
        node = self.plan.nodes[outcome.address]
        if not outcome.begun:
            self._again(node)
            return
        self._spans[node.stage.name][1] = time.perf_counter()
        self.resolver.footers.add(outcome.footer)
        if outcome.receipt:
            if outcome.ran:
                seconds = self._task_seconds.get(node.stage.name, outcome.seconds)
                self._task_seconds[node.stage.name] = seconds + (outcome.seconds - seconds) / SMOOTHING
                self._attempts.succeeded()
            self._done(node, outcome.receipt, "run" if outcome.ran else "skipped", verdict.reason, outcome)
            return
        self._attempts.tries[outcome.address] += 1
        damaged = outcome.damaged
        if damaged and damaged in self.plan.nodes and self._attempts.tries[outcome.address] <= REPAIRS:
            self._waiting.setdefault(damaged, []).append(node.address)
            self._unmet[node.address] += 1
            self.make_again(damaged)
        elif not self._attempts.plan_another(node, outcome):
            self._fail(node, outcome)

    def _again(self, node: Node) -> None:
        """Put a task back into the queue."""
        self._left[node.stage.name] += 1
        heapq.heappush(self._ready, (node.rank, node.address))

    def _done(self, node: Node, receipt: Receipt, how: str, reason: str = "", outcome: Outcome | None = None) -> None:
        content, summary = self._with_shared_keys(receipt.content), self._with_shared_keys(receipt.summary)
        self.receipts[node.address] = receipt._replace(content=content, summary=summary)
        first_time = node.address not in self.state
        if first_time or how == "run":
            self.state[node.address] = how
            self.reporter.task(node.address, how, reason, outcome)
        released = self._waiting.pop(node.address, [])
        for address in [*released, *(self.plan.dependents[node.address] if first_time else ())]:
            self._unmet[address] -= 1
            if not self._unmet[address]:
                heapq.heappush(self._ready, (self.plan.nodes[address].rank, address))

    def _with_shared_keys(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of a receipt's mapping with keys that all receipts share."""
        names = tuple(values)
        return dict(zip(self._keys.setdefault(names, names), values.values(), strict=True))

    def _fail(self, node: Node, outcome: Outcome) -> None:
        self.state[node.address] = "failed"
        self.failures.append(Failure(node.address, outcome.message, outcome.detail))
        self.reporter.task(node.address, "failed", outcome.message, outcome)
        behind = [*self.plan.dependents[node.address], *self._waiting.pop(node.address, [])]
        while behind:
            address = behind.pop()
            if address not in self.state:
                self.state[address] = "blocked"
                self.reporter.task(address, "blocked", f"needs {'/'.join(node.address)}", None)
                behind.extend(self.plan.dependents[address])
