"""Executors: run calls in a plain loop or on a Dask cluster, behind one interface."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.execution.task import Outcome, run_bundle, run_task
from pipeline.execution.watch import Watch
from pipeline.messages.errors import SchedulerLost
from pipeline.plan.call import Call
from pipeline.stage import Address
from pipeline.store.backends.locations import mask_all

if TYPE_CHECKING:
    from distributed import Client, Future


BUNDLE = 256
"""Largest number of calls in a bundle."""
BUNDLE_SECONDS = 5.0
"""Seconds that a bundle may take: dependents and the progress display wait for the end of the bundle."""
POLL_INTERVAL = 1.0
"""Seconds between two checks of a cluster that returns nothing."""
LAST_CALLS = 5.0
"""Seconds that an interrupted run in one process waits for the calls that are running."""
ROUNDS = 4
"""The remaining calls of a stage form at least this many bundles per slot, to keep all slots busy to the end."""


class Executor(Protocol):
    """A runner of bundles: calls that run one after the other on one worker.

    `window` is the number of bundles to hold at a time, `slots` the number that run at a time."""

    @property
    def window(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def tasks_per_machine(self) -> int:
        """Return the number of tasks that run at a time on the machine with the fewest threads."""
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
        """For each task, the number of unfinished tasks in its bundle: a list of one int per bundle, shared."""

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

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()

    def bundle_size(self, left: int, seconds: float | None) -> int:
        return 1

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        for calls in bundles:
            self._calls.extend(calls)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        yield run_task(self._calls.popleft())

    def close(self) -> None:
        self._calls.clear()


class ThreadsExecutor:
    """An executor on threads of this process, without Dask.

    For runs that end before a cluster would have started. The threads are daemons: an interrupted run does not wait for
    the calls that are running."""

    def __init__(self, slots: int) -> None:
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
                self._outcomes.put(run_task(call))
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


class DaskExecutor:
    """An executor on Dask, with one future per bundle.

    Futures are submitted in batches and released as they finish."""

    def __init__(self, client: Client, watch: Watch, close: Callable[[], None]) -> None:
        from distributed import as_completed

        self._client, self._watch, self._close = client, watch, close
        self._futures: dict[Future[Any], Sequence[Call]] = {}
        self._completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._submitted = 0
        self._name = uuid.uuid4().hex[:12]  # for a scheduler, equal keys of several clients name one task

    @property
    def slots(self) -> int:
        """Return the number of threads of all workers at the last check."""
        return self._watch.by_host.total()

    @property
    def tasks_per_machine(self) -> int:
        return min(self._watch.by_host.values(), default=1)

    @property
    def window(self) -> int:
        """Return a number of bundles that keeps slots busy and spares the scheduler."""
        return max(64, 4 * self.slots)

    def bundle_size(self, left: int, seconds: float | None) -> int:
        """Return 1 until durations are known, then a size that keeps all slots busy.

        A bundle should end within BUNDLE_SECONDS."""
        if seconds is None:
            return 1
        return max(1, min(BUNDLE, left // (ROUNDS * max(1, self.slots)), int(BUNDLE_SECONDS / max(seconds, 1e-6))))

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        keys = []
        for calls in bundles:
            self._submitted += 1
            keys.append((calls[0].context.stage.name, f"{calls[0].task.key}-{self._name}-{self._submitted}"))
        futures = self._client.map(run_bundle, bundles, key=keys, pure=False, retries=0, seconds=BUNDLE_SECONDS)
        self._futures.update(zip(futures, bundles, strict=True))
        self._completed.update(futures)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        while not self._completed.has_ready():
            with self._completed.thread_condition:
                if not self._completed.has_ready():
                    self._completed.thread_condition.wait(within or POLL_INTERVAL)
            self._watch.check_if_silent()
            if within is not None and not self._completed.has_ready():
                return
        self._watch.heard()
        for future, result in self._completed.next_batch():
            calls = self._futures.pop(future)
            status = future.status
            future.release()
            if isinstance(result, list):
                yield from result
            elif (
                status == "lost" and self._client.status == "running"
            ):  # the worker died before the outcomes were fetched
                yield from (Outcome(call.address, begun=False) for call in calls)
            elif self._client.status != "running" or status in ("cancelled", "lost"):
                raise SchedulerLost
            else:
                suspect, message = type(result[1]).__name__ == "KilledWorker", _died(result[1])
                yield from (Outcome(call.address, message=message, suspect=suspect) for call in calls)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # close even where the cluster no longer responds
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        self._completed.clear()
        self._close()


def _died(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "each worker that ran this task died, most likely for lack of memory; raise scheduler.memory_limit"
    return mask_all(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
