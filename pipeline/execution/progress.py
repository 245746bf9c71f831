"""Show the progress of a run: as bars, plain lines, JSON, or not at all.

Progress goes to standard error; standard output is for the summary."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any

from pipeline.execution.reporter import Reporter
from pipeline.execution.task import Outcome
from pipeline.execution.watch import Cluster
from pipeline.messages.errors import one_line
from pipeline.messages.words import counted
from pipeline.stage import Address

STEADY = 1.0
"""Seconds after which a rate is shown."""
LINE_INTERVAL = 10.0
"""Seconds between two plain lines of a running stage."""
ALIKE = 3
"""Number of tasks with the same error that are named."""


class _Pace:
    """Rate of one stage, since the start of the first task."""

    def __init__(self) -> None:
        self._tasks = self._work = 0
        self._unit, self._since = "", 0.0

    def add(self, outcome: Outcome) -> None:
        self._since = self._since or time.monotonic() - outcome.seconds
        self._tasks += 1
        if outcome.work:
            self._work, self._unit = self._work + outcome.work[0], outcome.work[1]

    def words(self, left: int) -> list[str]:
        """Return work per second, and the estimated time for the tasks left."""
        seconds = time.monotonic() - self._since
        if not self._tasks or seconds < STEADY:
            return []
        rate = [f"{_short(self._work / seconds)} {self._unit}/s"] if self._unit else []
        return [*rate, f"{_clock(seconds / self._tasks * left)} left"] if left else rate


def _short(number: float) -> str:
    """Return three significant digits and a suffix: 1.23k, 45.6M."""
    letters = ["", "k", "M", "G", "T"]
    while number >= 1_000 and len(letters) > 1:
        number, letters = number / 1_000, letters[1:]
    return f"{number:.3g}{letters[0]}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def describe_cluster(cluster: Cluster) -> str:
    """Return the state of a cluster in a few words."""
    return f"{counted(cluster.workers, 'worker')}, {cluster.memory / 2**30:.1f} GiB of memory in use"


class _Counting(Reporter):
    """Base of reporters that count outcomes by stage and measure rates."""

    def begin(self, stages: Mapping[str, int]) -> None:
        self.total = dict(stages)
        self.counts = {stage: Counter[str]() for stage in stages}
        self._settled: set[Address] = set()
        self._repeated: Counter[str] = Counter()
        self._paces = {stage: _Pace() for stage in stages}
        self._reasons: Counter[str] = Counter()

    def failure(self, address: Address, reason: str) -> Iterator[str]:
        """Yield lines on a failed task, only for the first ALIKE with the same error."""
        self._reasons[reason] += 1
        if self._reasons[reason] <= ALIKE:
            yield f"{'/'.join(address)} failed: {reason}"
        if self._reasons[reason] == ALIKE:
            yield "further tasks that fail in the same way are only counted"

    def describe(self, stage: str) -> str:
        counts = self.counts[stage]
        hows = [how for how in ("run", "skipped", "failed", "blocked") if counts[how]]
        said = [f"{counts[how]:,} {'current' if how == 'skipped' else how}" for how in hows]
        said += self._paces[stage].words(self.total[stage] - self.done(stage))
        return ", ".join(said) or "waiting"

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        self.counts[address[0]][how] += 1
        if address in self._settled:
            self._repeated[address[0]] += 1
        elif address[1]:  # steps of `verify` have no key
            self._settled.add(address)
        if outcome and how == "run":
            self._paces[address[0]].add(outcome)
        for line in self.failure(address, reason) if how == "failed" else ():
            self.message(line)

    def done(self, stage: str) -> int:
        """Return the number of finished tasks; a repeated task counts once."""
        return self.counts[stage].total() - self._repeated[stage]


class Plain(_Counting):
    """A reporter that prints lines: for each finished stage, and for slow stages."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._said: dict[str, float] = {}
        self._cluster = ""

    def begin(self, stages: Mapping[str, int]) -> None:
        super().begin(stages)
        self._said = dict.fromkeys(stages, time.monotonic())

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        super().task(address, how, reason, outcome)
        stage = address[0]
        done, total = self.done(stage), self.total[stage]
        if done == total or time.monotonic() - self._said[stage] > LINE_INTERVAL:
            self._said[stage] = time.monotonic()
            where = f"; {self._cluster}" if self._cluster and done < total else ""
            self.message(f"{stage:<10} {done:,} of {total:,} tasks  ({self.describe(stage)}{where})")

    def cluster(self, cluster: Cluster) -> None:
        self._cluster = describe_cluster(cluster)

    def message(self, text: str) -> None:
        print(one_line(text), file=self._stream, flush=True)


class Json(Reporter):
    """A reporter that prints one JSON object per line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr

    def _say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, "time": round(time.time(), 3)} | fields), file=self._stream, flush=True)

    def begin(self, stages: Mapping[str, int]) -> None:
        self._say("plan", tasks=dict(stages))

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


class Bars(_Counting):
    """A reporter that shows a bar per stage on the terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def begin(self, stages: Mapping[str, int]) -> None:
        super().begin(stages)
        for stage, total in stages.items():
            self._tasks[stage] = self._progress.add_task(stage, total=total, state="")
        self._cluster = self._progress.add_task("", total=None, state="", visible=False)
        self._progress.start()

    def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
        super().task(address, how, reason, outcome)
        stage = address[0]
        self._progress.update(self._tasks[stage], completed=self.done(stage), state=self.describe(stage))

    def cluster(self, cluster: Cluster) -> None:
        state = describe_cluster(cluster)
        self._progress.update(self._cluster, description="workers", state=state, visible=True)

    def message(self, text: str) -> None:
        self._progress.console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


def make_reporter(quiet: bool, log_format: str) -> Reporter:
    """Return the reporter of a command; `log_format` is `text` or `json`."""
    if log_format == "json":
        return Json()
    if quiet:
        return Reporter()
    return Bars() if sys.stderr and sys.stderr.isatty() else Plain()
