"""Start, talk to and end decoding processes, from the parent's side."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe

from pipeline.messages.errors import TaskError
from stages.decoding import problems
from stages.decoding.child import Answer, Chunk, Seen
from stages.decoding.decode import Facts
from stages.decoding.options import Limits
from stages.decoding.problems import Problem
from stages.decoding.tray import Tray

LINGER = 5.0
"""Timeout in seconds for a child to exit after the child has closed the connection."""
PATIENCE = 30.0
"""Seconds that the parent waits after a file's time limit before killing a child that ignored the alarm."""

ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 26),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Environment of a child, so that glibc keeps the memory of one image for the next image, and pyarrow uses glibc.

Dask's workers set MALLOC_TRIM_THRESHOLD_ so that memory returns to the system at once; with that value a child would
spend a fifth of its time on new pages."""

START = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path']; "
    "from stages.decoding.child import Limits, main; main(*given['numbers'], Limits(**given['limits']))"
)


class Died(Exception):
    """Signal that a child has died.

    problem  why the child died
    place    index of the file that the child was working on, among the files that were sent"""

    def __init__(self, problem: Problem, place: int) -> None:
        super().__init__(problem.sentence)
        self.problem, self.place = problem, place


class Child:
    """A decoding process.

    Raises:
        TaskError: the process can't be started."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._answered = 0
        self._connection, other_end = Pipe()
        tray = Tray.new()
        try:
            self._tray = Tray(tray)
            numbers = [other_end.fileno(), tray]
            given = {"path": sys.path, "numbers": numbers, "limits": vars(limits)}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, json.dumps(given)],
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **ALLOCATOR},
            )
        finally:
            other_end.close()
            os.close(tray)
        try:
            problem = self._connection.recv()
        except (EOFError, OSError):
            code = _ended(self._process)
            problem = f"thumbnail: the decoding process ended with exit code {code} before its first file"
            if code == -signal.SIGALRM:
                short = f"thumbnail.timeout: {limits.seconds:g} s is too short to start a decoding process"
                problem = f"{short}; set a longer timeout"
                if limits.plugins:
                    late = f"importing {', '.join(limits.plugins)} took longer than thumbnail.timeout"
                    problem = f"thumbnail.plugins: {late}; remove the plugin"
        if problem:
            self.kill()
            raise TaskError(problem)

    def send(self, chunk: Chunk) -> None:
        """Send some files; `receive` reports a dead child."""
        with contextlib.suppress(OSError):
            self._connection.send(chunk)

    def receive(self, size: int) -> list[tuple[Seen, bytes | None]]:
        """Return the results of the next files, at least one, in order.

        size  size of a thumbnail in bytes

        Raises:
            Died: the child has died or was killed."""
        try:
            if self._connection.poll(self.limits.seconds + PATIENCE):
                answers: Sequence[Answer] = self._connection.recv()
                self._answered += len(answers)
                found = [
                    (
                        Seen(Facts._make(facts) if facts else None, *rest),
                        self._tray.get(at, size) if isinstance(at, int) else at,
                    )
                    for facts, rest, at in answers
                ]
                self._tray.emptied()
                return found
            _kill(self._process)  # the child ignored its own alarm
            hung = True
        except (EOFError, OSError):
            hung = _ended(self._process) == -signal.SIGALRM
        self._process.wait()
        place = max(0, self._tray.begun - 1 - self._answered)
        late = problems.TIMEOUT if self._tray.decoding else problems.SLOW
        problem = late if hung else problems.CRASHED
        self._discard()
        raise Died(problem, place)

    @property
    def alive(self) -> bool:
        """Return whether the child still runs.

        When memory runs out, Linux ends idle children too."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the child; a waiting `receive` raises Died."""
        _kill(self._process)

    def kill(self) -> None:
        """Kill the child and wait for its exit."""
        _kill(self._process)
        self._process.wait()
        self._discard()

    def _discard(self) -> None:
        self._connection.close()
        self._tray.close()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a child that closed the connection; kill a child that still runs."""
    try:
        return process.wait(LINGER)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and all processes of the child's session."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


class Idle:
    """Idle children, kept for the next batch of this process.

    The pool keeps as many children as batches ever ran at the same time, and one more for the next lane. The most
    recently used children are kept: otherwise children with the limits of an earlier run would fill the pool, and each
    task would start a child."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._batches = self._most = 0
        atexit.register(self._close, 0)

    def take(self, limits: Limits) -> Child:
        with self._lock:
            for number, child in enumerate(self._children):
                if child.limits == limits and child.alive:
                    return self._children.pop(number)
        return Child(limits)

    def has(self, limits: Limits) -> bool:
        """Return whether `take` finds an idle child."""
        return any(child.limits == limits for child in list(self._children))

    def give(self, child: Child) -> None:
        with self._lock:
            self._children.append(child)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Count a running batch; at the end of the batch, close surplus children."""
        with self._lock:
            self._batches += 1
            self._most = max(self._most, self._batches)
        try:
            yield
        finally:
            with self._lock:
                self._batches -= 1
            self._close(self._most + 1)

    def _close(self, all_but: int) -> None:
        with self._lock:
            first = max(0, len(self._children) - all_but)
            spare, self._children = self._children[:first], self._children[first:]
        for child in spare:
            child.kill()


idle = Idle()
"""The idle children of this process."""
