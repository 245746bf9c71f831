"""Decide when to retry a failed task: at once, later, alone at the end, or never.

When a worker dies, Dask blames every task of the worker, waiting tasks included. The blamed tasks, called suspects, run
at the end, one at a time, each alone on the whole cluster. A suspect whose worker dies again is the culprit.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

from pipeline.execution.task import Outcome
from pipeline.plan.tasks import Node
from pipeline.stage import Address

ATTEMPTS = 2
"""Number of tries of a task before its error is recorded."""
PATIENT_ATTEMPTS = 4
"""Number of tries of a task with transient storage errors.

Once one task has used all tries, every other task gets 1 try, until a task succeeds."""
PAUSE = 1.0
"""Seconds before the second try; each further pause is twice as long."""


class Attempts:
    """Failed tasks that wait for another try; `ready` is called with each due task.

    The caller counts the tries of each task in `tries`."""

    def __init__(self, ready: Callable[[Node], None]) -> None:
        self.tries: Counter[Address] = Counter()
        self._ready = ready
        self._pausing: list[tuple[float, Node]] = []
        self._suspects: deque[Node] = deque()
        self._hopeless = False

    @property
    def pausing(self) -> bool:
        """Return whether tasks wait for the end of a pause."""
        return bool(self._pausing)

    def __bool__(self) -> bool:
        return bool(self._pausing or self._suspects)

    def succeeded(self) -> None:
        """Record the success of a task."""
        self._hopeless = False

    def release(self) -> None:
        """Make tasks ready after their pause."""
        now = time.monotonic()
        due = [node for when, node in self._pausing if when <= now]
        self._pausing = [(when, node) for when, node in self._pausing if when > now]
        for node in due:
            self._ready(node)

    def release_suspect(self) -> None:
        """Make the next suspect ready; call this while no other task is left to run."""
        if self._suspects and not self._pausing:
            self._ready(self._suspects.popleft())

    def plan_another(self, node: Node, outcome: Outcome) -> bool:
        """Plan another try of a failed task; return False if no try is left."""
        tries = self.tries[node.address]
        if outcome.transient and tries < PATIENT_ATTEMPTS and not self._hopeless:
            self._pausing.append((time.monotonic() + PAUSE * 2 ** (tries - 1), node))
        elif outcome.suspect and tries < ATTEMPTS:
            self._suspects.append(node)
        elif outcome.damaged is None and not outcome.transient and tries < ATTEMPTS:
            self._ready(node)
        else:
            self._hopeless |= outcome.transient
            return False
        return True
