"""Runs a plan: one loop for every scheduler.

The driver keeps, per task, the number of inputs that are not there yet, and a queue of the ready ones by rank. It
judges a task when it becomes ready: current ones are done at once, without Dask; the others are submitted, never
more at a time than the executor's window, with all they need as plain arguments, and let go as they finish.
"""

from __future__ import annotations

import contextlib
import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.plan import Node, Plan
from pipeline.progress import Reporter
from pipeline.resolve import Resolver, Verdict
from pipeline.scheduler import Executor
from pipeline.stage import Address
from pipeline.task import Call, Outcome, Receipt, run_source

ATTEMPTS = 2
"""How often a task is tried before its error is recorded."""
REPAIRS = 3
"""How often an input that turned out damaged is made again before the task that reads it fails."""


@dataclass(frozen=True)
class Failure:
    """A task that could not be done; `detail` is for whoever mends the code."""

    address: Address
    message: str
    detail: str = ""


@dataclass
class Runner:
    """One run of a plan. `start` is called when the first task must run; until then there is no executor.

    `stop` is asked between tasks; once it is true the run ends with KeyboardInterrupt."""

    plan: Plan
    resolver: Resolver
    start: Callable[[], Executor]
    reporter: Reporter
    stop: Callable[[], bool] = lambda: False
    receipts: dict[Address, Receipt] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    state: dict[Address, str] = field(default_factory=dict)
    """How each settled task ended: run, skipped, failed or blocked."""

    def __post_init__(self) -> None:
        self._unmet = {address: len(set(node.task.inputs)) for address, node in self.plan.nodes.items()}
        self._ready = [(node.rank, address) for address, node in self.plan.nodes.items() if not node.task.inputs]
        heapq.heapify(self._ready)
        self._running: dict[Address, Verdict] = {}
        self._tries: Counter[Address] = Counter()
        self._waiting: dict[Address, list[Address]] = {}
        self._executor: Executor | None = None
        self._spans: dict[str, list[float]] = {}

    def run(self) -> None:
        """Run everything that is missing. Errors of tasks end up in `failures`; raises SchedulerLost."""
        try:
            while self._ready or self._running:
                self._fill_window()
                if self._running and self._executor:
                    for outcome in self._executor.finished():
                        self._settle(outcome)
                if self.stop():
                    raise KeyboardInterrupt
        finally:
            if self._executor:
                self._executor.close()

    def seconds(self, stage: str) -> float:
        """Wall time from a stage's first task to the end of its last one; stages overlap."""
        return self._spans[stage][1] - self._spans[stage][0] if stage in self._spans else 0.0

    def _fill_window(self) -> None:
        calls: list[Call] = []
        while self._ready and (self._executor is None or len(self._running) < self._executor.window):
            _, address = heapq.heappop(self._ready)
            node = self.plan.nodes[address]
            verdict = self.resolver.judge(node, self.receipts)
            if verdict.receipt:
                self._done(node, verdict.receipt, "skipped")
                continue
            if self.stop():
                raise KeyboardInterrupt
            self._spans.setdefault(node.stage.name, [time.perf_counter()] * 2)
            self._running[address] = verdict
            if node.stage.source:
                self._settle(run_source(verdict.call, self.plan.sources[address]))
            else:
                self._executor = self._executor or self.start()
                calls.append(verdict.call)
        if calls and self._executor:
            self._executor.submit(calls)

    def _settle(self, outcome: Outcome) -> None:
        verdict = self._running.pop(outcome.address)
        node = self.plan.nodes[outcome.address]
        self._spans[node.stage.name][1] = time.perf_counter()
        if outcome.receipt:
            self._done(node, outcome.receipt, "run" if outcome.ran else "skipped", verdict.reason, outcome)
            return
        self._tries[outcome.address] += 1
        tries = self._tries[outcome.address]
        if outcome.damaged and outcome.damaged in self.plan.nodes and tries <= REPAIRS:
            self._make_again(outcome.damaged, waiting=node)
        elif outcome.damaged is None and tries < ATTEMPTS:
            heapq.heappush(self._ready, (node.rank, outcome.address))
        else:
            self._fail(node, outcome)

    def _done(self, node: Node, receipt: Receipt, how: str, reason: str = "", outcome: Outcome | None = None) -> None:
        self.receipts[node.address] = receipt
        first_time = node.address not in self.state
        if first_time or how == "run":
            self.state[node.address] = how
            self.reporter.task(node.address, how, reason, outcome)
        released = self._waiting.pop(node.address, [])
        for address in [*released, *(self.plan.dependents[node.address] if first_time else ())]:
            self._unmet[address] -= 1
            if not self._unmet[address]:
                heapq.heappush(self._ready, (self.plan.nodes[address].rank, address))

    def _make_again(self, damaged: Address, waiting: Node) -> None:
        """An artifact that was taken for current can't be read: drop it and let its reader wait for a new one."""
        self._waiting.setdefault(damaged, []).append(waiting.address)
        self._unmet[waiting.address] += 1
        receipt = self.receipts.pop(damaged, None)
        if receipt is not None:  # otherwise another reader has found it out already
            with contextlib.suppress(FileNotFoundError):
                self.resolver.store.path(damaged[0], receipt.name).unlink()
            heapq.heappush(self._ready, (self.plan.nodes[damaged].rank, damaged))

    def _fail(self, node: Node, outcome: Outcome) -> None:
        self.state[node.address] = "failed"
        self.failures.append(Failure(node.address, outcome.message, outcome.detail))
        self.reporter.task(node.address, "failed", outcome.message, outcome)
        behind = [*self.plan.dependents[node.address], *self._waiting.pop(node.address, [])]
        while behind:
            address = behind.pop()
            if self.state.get(address) != "blocked":
                self.state[address] = "blocked"
                self.reporter.task(address, "blocked", f"needs {'/'.join(node.address)}", None)
                behind.extend(self.plan.dependents[address])
