"""Reporters: the interface through which a run tells what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol

from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.stage import Address


class Reporter(Protocol):
    """Hears of everything that a run does."""

    def begin(self, stages: Mapping[str, int]) -> None:
        """The plan is made: so many tasks in each stage."""
        ...

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        """A task has ended: run, skipped, failed or blocked."""
        ...

    def message(self, text: str) -> None:
        """One line that the user should see."""
        ...

    def cluster(self, cluster: Cluster) -> None:
        """How the cluster is, now and then."""
        ...

    def end(self) -> None:
        """The run is over, in whatever way."""
        ...


class Reporters:
    """Several reporters as one; a context manager that ends them all."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters: Sequence[Reporter] = reporters

    def __enter__(self) -> Reporters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def begin(self, stages: Mapping[str, int]) -> None:
        for reporter in self._reporters:
            reporter.begin(stages)

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


class Quiet:
    """Shows nothing."""

    def begin(self, stages: Mapping[str, int]) -> None:
        """Nothing to show."""

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        """Nothing to show."""

    def message(self, text: str) -> None:
        """Nothing to show."""

    def cluster(self, cluster: Cluster) -> None:
        """Nothing to show."""

    def end(self) -> None:
        """Nothing to show."""
