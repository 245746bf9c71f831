"""How calls get to where they run: one interface for the runner, over a plain loop or a Dask client."""

from __future__ import annotations

import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.execution.task import Outcome, run_bundle, run_task
from pipeline.execution.watch import Watch
from pipeline.messages.errors import SchedulerLost
from pipeline.plan.call import Call
from pipeline.store.backends.locations import mask_all

if TYPE_CHECKING:
    from distributed import Client, Future


BUNDLE = 256
"""The most calls that are sent as one."""
BUNDLE_SECONDS = 5.0
"""How long a bundle may take: what waits for its calls, and who watches, waits for its end."""
LOOK = 1.0
"""Seconds between two looks at a cluster from which nothing comes."""
ROUNDS = 4
"""Of what is left of a stage, each slot gets so many bundles at least, so that all are busy until the end."""


class Executor(Protocol):
    """Runs calls somewhere, in bundles: calls that run one after the other at one place. `window` is how many bundles
    it wants to hold at a time, `slots` how many run at a time."""

    @property
    def window(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def cores(self) -> int:
        """How many calls run at a time on each machine."""
        ...

    def at_once(self, left: int, seconds: float | None) -> int:
        """How many calls to send as one, of a stage of which so many are left, and which take so long each."""
        ...

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None: ...
    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        """Outcomes of calls that have ended; waits for at least one, but not beyond so many seconds. Raises
        SchedulerLost, WorkersLost."""
        ...

    def close(self) -> None:
        """Let go of everything, calls that still run included."""
        ...


class SynchronousExecutor:
    """A plain loop in this process, for debugging: one call at a time, in order."""

    window = 1
    slots = 1
    cores = 1

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()

    def at_once(self, left: int, seconds: float | None) -> int:
        return 1

    def submit(self, bundles: Sequence[Sequence[Call]]) -> None:
        for calls in bundles:
            self._calls.extend(calls)

    def finished(self, within: float | None = None) -> Iterable[Outcome]:
        yield run_task(self._calls.popleft())

    def close(self) -> None:
        self._calls.clear()


class DaskExecutor:
    """Futures of a Dask client, one a bundle, submitted in batches and released as they finish."""

    def __init__(self, client: Client, watch: Watch, close: Callable[[], None]) -> None:
        from distributed import as_completed

        self._client, self._watch, self._close = client, watch, close
        self._futures: dict[Future[Any], Sequence[Call]] = {}
        self._completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._submitted = 0
        self._name = uuid.uuid4().hex[:12]  # a scheduler takes tasks of equal keys for one, whoever hands them in

    @property
    def slots(self) -> int:
        """As many as the workers had when they were looked at last: they come and go."""
        return self._watch.by_host.total()

    @property
    def cores(self) -> int:
        return min(self._watch.by_host.values(), default=1)

    @property
    def window(self) -> int:
        """Enough that no slot waits for the driver; few enough that the scheduler stays small."""
        return max(64, 4 * self.slots)

    def at_once(self, left: int, seconds: float | None) -> int:
        """One until it is known how long a call takes; then as many as keep a bundle short and every slot busy."""
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
                    self._completed.thread_condition.wait(within or LOOK)
            self._watch.silence()
            if within is not None and not self._completed.has_ready():
                return
        self._watch.heard()
        for future, result in self._completed.next_batch():
            calls = self._futures.pop(future)
            status = future.status
            future.release()
            if isinstance(result, list):
                yield from result
            elif status == "lost" and self._client.status == "running":  # its worker died with the outcomes
                yield from (Outcome(call.address, begun=False) for call in calls)
            elif self._client.status != "running" or status in ("cancelled", "lost"):
                raise SchedulerLost
            else:
                suspect, message = type(result[1]).__name__ == "KilledWorker", _died(result[1])
                yield from (Outcome(call.address, message=message, suspect=suspect) for call in calls)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever state the cluster is in, closing goes on
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        self._completed.clear()
        self._close()


def _died(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "each worker that ran it died, most likely for lack of memory; raise scheduler.memory_limit"
    return mask_all(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
