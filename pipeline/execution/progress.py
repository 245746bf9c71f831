"""Show the progress of a run as plain lines, JSON or bars (`bars.py`).

Progress goes to standard error; standard output is for the summary."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from pipeline.execution.reporter import CountingReporter, Reporter, same_size
from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.messages.errors import one_line
from pipeline.plan.tasks import Workload
from pipeline.stage import Address

LINE_INTERVAL = 10.0
"""Seconds between two plain lines of a running stage."""


class Plain(CountingReporter):
    """A reporter that prints lines: for each finished stage, and for slow stages."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._said: dict[str, float] = {}
        self._cluster = ""

    def _due(self, stage: str) -> bool:
        """Return whether the next line about a stage is due; if so, start a new interval."""
        now = time.monotonic()
        due = now - self._said.setdefault(stage, now) > LINE_INTERVAL
        if due:
            self._said[stage] = now
        return due

    def found(self, stage: str, count: int) -> None:
        super().found(stage, count)
        if self.listed[stage] and self._due(stage):
            self.message(f"{stage:<10} {self.listed[stage]:,} found so far")

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        super().begin(stages, size_of)
        self._said = dict.fromkeys(stages, time.monotonic())

    def advance(self, address: Address, done: int) -> None:
        super().advance(address, done)
        if self._due(address[0]):
            self._say(address[0])

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        super().task(address, how, reason, outcome)
        if self.ended(address[0]) or self._due(address[0]):
            self._say(address[0])

    def _say(self, stage: str) -> None:
        more = ""
        if not self.ended(stage):
            share, left = self.whole()
            done = f"{share:.0%} of the run done" if len(self.paces) > 1 else ""
            more = "".join(f"; {text}" for text in (done, left if done else "", self._cluster) if text)
        pace = self.paces[stage]
        self.message(f"{stage:<10} {pace.count(pace.done, ' of ')}  ({self.describe(stage)}{more})")

    def cluster(self, cluster: Cluster) -> None:
        self._cluster = cluster.describe()

    def message(self, text: str) -> None:
        print(one_line(text), file=self._stream, flush=True)


class Json(Reporter):
    """A reporter that prints one JSON object per line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr

    def _say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, "time": round(time.time(), 3)} | fields), file=self._stream, flush=True)

    def begin(self, stages: Mapping[str, Workload], size_of: Callable[[Address], int] = same_size) -> None:
        self._say("plan", tasks={stage: work.tasks for stage, work in stages.items()})

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        fields: dict[str, Any] = {"stage": address[0], "key": address[1], "how": how}
        if reason:
            fields["reason"] = reason
        if outcome:
            if outcome.receipt:
                fields |= {"artifact": outcome.receipt.name, "rows": outcome.receipt.rows}
            if outcome.size is not None:
                fields["bytes"] = outcome.size
            fields |= {"worker": outcome.worker} if outcome.worker else {}
            fields |= {"seconds": round(outcome.seconds, 4), **outcome.stats}
            fields |= {"detail": outcome.detail} if outcome.detail else {}
        self._say("task", **fields)

    def message(self, text: str) -> None:
        self._say("message", text=text)

    def cluster(self, cluster: Cluster) -> None:
        self._say("cluster", **vars(cluster))

    def end(self) -> None:
        self._say("end")


def make_reporter(quiet: bool, log_format: str) -> Reporter:
    """Return the reporter of a command; `log_format` is `text` or `json`."""
    if log_format == "json":
        return Json()
    if quiet:
        return Reporter()
    if not (sys.stderr and sys.stderr.isatty()):
        return Plain()
    from pipeline.execution.bars import Bars

    return Bars()
