"""Run calls on a Dask cluster."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.execution.count import Advance, unseen
from pipeline.execution.executor import ROUNDS
from pipeline.execution.task import Outcome, run_bundle
from pipeline.execution.watch import Watch
from pipeline.messages.errors import SchedulerLost
from pipeline.plan.call import Call
from pipeline.store.backends.locations import mask_all

if TYPE_CHECKING:
    from distributed import Client, Future

BUNDLE = 256
"""Largest number of calls in a bundle."""
BUNDLE_SECONDS = 5.0
"""Greatest duration of a bundle in seconds: dependents of a task wait until the task's bundle ends."""
POLL_INTERVAL = 1.0
"""Seconds between two checks of the cluster while no call ends."""


class DaskExecutor:
    """An executor on Dask, with one future per bundle.

    Futures are submitted in batches and released as they finish. `advance` is called in the client's thread."""

    def __init__(self, client: Client, watch: Watch, close: Callable[[], None], advance: Advance = unseen) -> None:
        from distributed import as_completed

        self._client, self._watch, self._close = client, watch, close
        self._futures: dict[Future[Any], Sequence[Call]] = {}
        self._completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self._submitted = 0
        self._name = uuid.uuid4().hex[:12]  # for a scheduler, equal keys of several clients are one task
        client.subscribe_topic(self._topic, functools.partial(_pass_on, advance))

    @property
    def _topic(self) -> str:
        return f"fast-diff-{self._name}"

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
        futures = self._client.map(
            run_bundle, bundles, key=keys, pure=False, retries=0, seconds=BUNDLE_SECONDS, topic=self._topic
        )
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
        self._watch.task_ended()
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
        with contextlib.suppress(Exception):  # close even if the cluster no longer responds
            self._client.unsubscribe_topic(self._topic)
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        self._completed.clear()
        self._close()


def _pass_on(advance: Advance, event: tuple[float, tuple[str, str, int]]) -> None:
    """Pass a task's progress from a worker's log event to `advance`."""
    _, (stage, key, done) = event
    advance((stage, key), done)


def _died(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "each worker that ran this task died, most likely for lack of memory; raise scheduler.memory_limit"
    return mask_all(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
