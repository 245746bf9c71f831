"""Reporters: the interface for events of a run."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.stage import Address


class Reporter:
    """Interface for the events of a run. Every method does nothing, so a bare `Reporter` is a quiet one."""

    def begin(self, stages: Mapping[str, int]) -> None:
        """Begin with a plan: number of tasks by stage."""

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        """Report the end of a task; `how` is run, skipped, failed or blocked."""

    def message(self, text: str) -> None:
        """Report one line to the user."""

    def cluster(self, cluster: Cluster) -> None:
        """Report the state of the cluster."""

    def end(self) -> None:
        """Close the reporter after success, failure or an interrupt."""


class Reporters(Reporter):
    """Several reporters as one; a context manager that ends them all."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def __enter__(self) -> Reporters:
        return self

    def __exit__(self, *error: object) -> None:
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
