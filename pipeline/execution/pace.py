"""Measure the finished work of each stage, work per second, and the time left."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pipeline.plan.tasks import Workload
from pipeline.stage import Address

STEADY = 1.0
"""Seconds after which a rate is shown."""
LONG = 10_000_000
"""Least number that is shown with three digits and a suffix."""


def short(number: float) -> str:
    """Return a number with three significant digits and a suffix: 1.23k, 45.6M."""
    letters = ["", "k", "M", "G", "T"]
    while number >= 1_000 and len(letters) > 1:
        number, letters = number / 1_000, letters[1:]
    return f"{number:.3g}{letters[0]}"


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds; from one hour on, also hours."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class StagePace:
    """The finished work of one stage, and its speed.

    Any thread may call `advance`, even while another thread reads the properties."""

    def __init__(self, work: Workload) -> None:
        self.work, self.since = work, 0.0
        self._settled = self._ran = 0
        self._seconds = 0.0
        self._running: dict[Address, int] = {}

    def advance(self, address: Address, done: int) -> None:
        """Record how much of a running task is done."""
        self.since = self.since or time.monotonic()
        self._running[address] = done

    def settle(self, address: Address, size: int, *, again: bool) -> None:
        """Record the end of a task; `again`: whether the task had ended before."""
        self._running.pop(address, None)
        self._settled += 0 if again else size

    def ran(self, size: int, seconds: float) -> None:
        """Record that a task was computed in `seconds`."""
        self.since = self.since or time.monotonic() - seconds
        self._ran, self._seconds = self._ran + size, self._seconds + seconds

    @property
    def _begun(self) -> int:
        return sum(list(self._running.values()))

    @property
    def done(self) -> int:
        """Return the finished work; work that was repeated counts once."""
        return min(self.work.size, self._settled + self._begun)

    @property
    def computed(self) -> int:
        """Return the work that this run has computed."""
        return self._ran + self._begun

    @property
    def core_seconds(self) -> float:
        """Return core-seconds for one unit of work.

        The figure is measured once a task has ended; until then, the stage's typical figure is returned."""
        return self._seconds / self._ran if self._ran else self.work.seconds

    def count(self, done: int, between: str) -> str:
        """Return done and total work joined by `between`, such as `12 of 30 pages`."""
        size = self.work.size
        ends = (f"{each:,}" if size < LONG else short(each) for each in (done, size))
        return f"{between.join(ends)} {self.work.unit}"

    def words(self) -> list[str]:
        """Return work per second, and the estimated time for the rest of the stage."""
        seconds = time.monotonic() - self.since
        if not self.computed or seconds < STEADY:
            return []
        rate, left = self.computed / seconds, self.work.size - self.done
        shown = [f"{short(rate)} {self.work.unit}/s"] if self.work.unit != "tasks" else []
        return [*shown, f"{clock(left / rate)} left"] if left else shown


def whole(stages: Iterable[StagePace]) -> tuple[float, float | None]:
    """Return the finished share of a run, and the estimated seconds left.

    The estimate is None during the first second and during the first hundredth of the work. The work of each stage is
    weighted by the core-seconds for one unit."""
    paces = list(stages)
    total = sum(pace.work.size * pace.core_seconds for pace in paces)
    done = sum(pace.done * pace.core_seconds for pace in paces)
    computed = sum(pace.computed * pace.core_seconds for pace in paces)
    seconds = time.monotonic() - min((pace.since for pace in paces if pace.since), default=time.monotonic())
    share = done / total if total else 1.0
    steady = seconds >= STEADY and computed > total / 100
    return share, (total - done) * seconds / computed if steady else None
