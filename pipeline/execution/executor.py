"""Run calls behind one interface, in a plain loop or on threads.

`on_dask.py` has the executor on a cluster."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from pipeline.execution.count import Advance, unseen
from pipeline.execution.task import Outcome, run_task
from pipeline.plan.call import Call
from pipeline.stage import Address

LAST_CALLS = 5.0
"""Seconds that an interrupted run in one process waits for running calls."""
ROUNDS = 4
"""Least number of bundles per slot for the rest of a stage; with fewer bundles, slots would be idle at the end."""


class Executor(Protocol):
    """The interface of executors.

    A bundle is a list of calls that run one after the other on one worker.

    `window` is the greatest number of submitted bundles, `slots` the number of bundles that run at a time."""

    @property
    def window(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def tasks_per_machine(self) -> int:
        """Return how many tasks run at a time on the machine with the fewest threads."""
        ...

    def bundle_size(self, left: int, seconds: float | None) -> int:
        """Return the size of a bundle, for a stage with `left` calls of `seconds` each."""
        ...

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None: ...
    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        """Yield outcomes of finished calls; wait at most `within` seconds for one.

        Raises SchedulerLost or WorkersLost."""
        ...

    def close(self) -> None:
        """Release everything, and cancel running calls."""
        ...


class LiveBundles:
    """Counter of submitted bundles with at least one unfinished task."""

    def __init__(self) -> None:
        self.bundles = 0
        self._left: dict[Address, list[int]] = {}
        """The number of unfinished tasks in each task's bundle: a list of one int, which the bundle's tasks share."""

    def add(self, tasks: Sequence[Address]) -> None:
        self.bundles += 1
        count = [len(tasks)]
        self._left.update((task, count) for task in tasks)

    def drop(self, task: Address) -> None:
        """Record the end of a task."""
        if left := self._left.pop(task, None):
            left[0] -= 1
            self.bundles -= left[0] == 0


class SynchronousExecutor:
    """An executor that runs one call at a time in this process, for debugging.

    Calls run in the order in which they were submitted."""

    window = 1
    slots = 1
    tasks_per_machine = 1

    def __init__(self, advance: Advance = unseen) -> None:
        self._calls: deque[Call] = deque()
        self._advance = advance

    def bundle_size(self, left: int, seconds: float | None) -> int:
        return 1

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        for calls in bundles:
            self._calls.extend(calls)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        yield run_task(self._calls.popleft(), self._advance)

    def close(self) -> None:
        self._calls.clear()


class ThreadsExecutor:
    """An executor on threads of this process, without Dask.

    This executor suits runs that take less time than starting a cluster. `close` waits LAST_CALLS seconds for running
    calls. The threads are daemons: the process ends without waiting for a thread."""

    def __init__(self, slots: int, advance: Advance = unseen) -> None:
        self._advance = advance
        self.slots = self.tasks_per_machine = slots
        self.window = 4 * slots
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"task {n}", daemon=True) for n in range(slots)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._closed and (call := self._calls.get()):
            try:
                self._outcomes.put(run_task(call, self._advance))
            except BaseException as error:  # the driver raises the error
                self._outcomes.put(error)

    def bundle_size(self, left: int, seconds: float | None) -> int:
        return 1

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        for calls in bundles:
            for call in calls:
                self._calls.put(call)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        with contextlib.suppress(Empty):
            outcome = self._outcomes.get(timeout=within)
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome

    def close(self) -> None:
        self._closed = True
        for _ in range(self.slots):
            self._calls.put(None)
        end = time.monotonic() + LAST_CALLS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
