"""Define the interface for events of a run, and a base class that counts work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from pipeline.execution.pace import StagePace, clock, whole
from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.messages.words import counted
from pipeline.plan.tasks import Workload
from pipeline.stage import Address

ALIKE = 3
"""Number of failed tasks with the same error that are reported one by one."""


def same_size(address: Address) -> int:
    """Return 1: all tasks of a stage without a unit have the same size."""
    return 1


class Reporter:
    """The interface for events of a run.

    Every method does nothing: a `Reporter` is silent."""

    def found(self, stage: str, count: int) -> None:
        """Report that a source stage has found `count` more rows; only before `begin`."""

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        """Begin a run.

        stages   amount of work by stage
        size_of  returns the size of a task"""

    def advance(self, address: Address, done: int) -> None:
        """Report how much of a running task is done, in the stage's unit.

        Any thread may call this method."""

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        """Report the end of a task; `how` is run, skipped, failed or blocked."""

    def message(self, text: str) -> None:
        """Report one line to the user."""

    def cluster(self, cluster: Cluster) -> None:
        """Report the state of the cluster."""

    def end(self) -> None:
        """Close the reporter after success, failure or an interrupt."""


class CountingReporter(Reporter):
    """Base of reporters that count finished work and measure rates."""

    def __init__(self) -> None:
        self.paces: dict[str, StagePace] = {}
        self.listed: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def found(self, stage: str, count: int) -> None:
        self.listed[stage] += count

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        self.paces = {stage: StagePace(work) for stage, work in stages.items()}
        self._counts = {stage: Counter[str]() for stage in stages}
        self._left = {stage: work.tasks for stage, work in stages.items()}
        self._settled: set[Address] = set()
        self._size_of = size_of

    def advance(self, address: Address, done: int) -> None:
        if address not in self._settled:
            self.paces[address[0]].advance(address, done)

    def failure(self, address: Address, reason: str) -> Iterator[str]:
        """Yield lines on a failed task, but only for the first ALIKE with an equal error."""
        self._reasons[reason] += 1
        if self._reasons[reason] <= ALIKE:
            yield f"{'/'.join(address)} failed: {reason}"
        if self._reasons[reason] == ALIKE:
            yield "further tasks that fail in the same way are only counted"

    def describe(self, stage: str) -> str:
        """Return how the tasks of a stage ended, and its rate."""
        counts, pace = self._counts[stage], self.paces[stage]
        hows = [how for how in ("run", "skipped", "failed", "blocked") if counts[how]]
        said = [f"{counts[how]:,} {'current' if how == 'skipped' else how}" for how in hows]
        if said and pace.work.unit != "tasks":
            said[0] = f"{counted(counts[hows[0]], 'task')} {said[0].rpartition(' ')[2]}"
        return ", ".join([*said, *pace.words()]) or ("running" if pace.done else "waiting")

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        stage, again = address[0], address in self._settled
        self._counts[stage][how] += 1
        self._left[stage] -= not again
        if address[1]:  # steps of `verify` have no key
            self._settled.add(address)
        size = self._size_of(address)
        self.paces[stage].settle(address, size, again=again)
        if outcome and how == "run":
            self.paces[stage].ran(size, outcome.seconds)
        for line in self.failure(address, reason) if how == "failed" else ():
            self.message(line)

    def ended(self, stage: str) -> bool:
        """Return whether all tasks of a stage have ended."""
        return self._left[stage] <= 0

    def whole(self) -> tuple[float, str]:
        """Return the share of the run that is done, and the time left as text."""
        share, left = whole(self.paces.values())
        return share, "" if left is None else f"about {clock(left)} left"


class Reporters(Reporter):
    """A reporter that forwards to several reporters; a context manager that ends all."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def __enter__(self) -> Reporters:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def found(self, stage: str, count: int) -> None:
        for reporter in self._reporters:
            reporter.found(stage, count)

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        for reporter in self._reporters:
            reporter.begin(stages, size_of)

    def advance(self, address: Address, done: int) -> None:
        for reporter in self._reporters:
            reporter.advance(address, done)

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        for reporter in self._reporters:
            reporter.task(address, how, reason, outcome)

    def message(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.message(text)

    def cluster(self, cluster: Cluster) -> None:
        for reporter in self._reporters:
            reporter.cluster(cluster)

    def end(self) -> None:
        for reporter in self._reporters:
            reporter.end()
