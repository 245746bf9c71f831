"""Show the progress of a run as bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.execution.reporter import CountingReporter, same_size
from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.messages.errors import one_line
from pipeline.plan.tasks import Workload
from pipeline.stage import Address

WHOLE = "in all"
"""Name of the bar of the whole run."""


class Bars(CountingReporter):
    """A reporter that shows a bar for each stage, and a bar for the whole run."""

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[done]}", style="progress.download", markup=False),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(stderr=True),
        )
        self._rows: dict[str, Any] = {}

    def _row(self, name: str, total: float | None, done: str = "") -> None:
        self._progress.start()
        if name in self._rows:
            self._progress.update(self._rows[name], total=total, done=done)
        else:
            self._rows[name] = self._progress.add_task(name, total=total, done=done, state="")

    def found(self, stage: str, count: int) -> None:
        super().found(stage, count)
        if self.listed[stage]:
            self._row(stage, None, f"{self.listed[stage]:,} found")

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        super().begin(stages, size_of)
        for stage, work in stages.items():
            self._row(stage, work.size, self.paces[stage].count(0, "/"))
        if len(stages) > 1:
            self._row(WHOLE, 1.0)

    def advance(self, address: Address, done: int) -> None:
        super().advance(address, done)
        self._show(address[0])

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        super().task(address, how, reason, outcome)
        self._show(address[0])

    def _show(self, stage: str) -> None:
        pace = self.paces[stage]
        done = pace.work.size if self.ended(stage) else pace.done
        shown = pace.count(done, "/")
        self._progress.update(self._rows[stage], completed=done, done=shown, state=self.describe(stage))
        if WHOLE in self._rows:
            share, left = self.whole()
            self._progress.update(self._rows[WHOLE], completed=share, done=f"{share:.0%}", state=left)

    def cluster(self, cluster: Cluster) -> None:
        self._row("workers", None)
        self._progress.update(self._rows["workers"], state=cluster.describe())

    def message(self, text: str) -> None:
        self._progress.console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()
