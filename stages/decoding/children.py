"""Processes that decode, from the side of who starts them: their start, their answers and their ends."""

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
from stages.decoding.child import Answer, Chunk, Limits, Seen
from stages.decoding.decode import Facts
from stages.decoding.problems import Problem
from stages.decoding.tray import Tray

LINGER = 5.0
"""Seconds that a child which has hung up may take to end."""
PATIENCE = 30.0
"""Seconds beyond its limit after which a child that did not heed its own alarm is killed."""

ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 26)}
"""Has glibc keep the memory of one image for the next one. Dask's workers give theirs back at once, and hand that down:
with it, a child spends a fifth of its time on getting pages anew."""

START = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path']; "
    "from stages.decoding.child import Limits, main; main(*given['numbers'], Limits(**given['limits']))"
)


class Died(Exception):
    """A child is gone: why, and which of the files that it had before it was the last that it began."""

    def __init__(self, problem: Problem, place: int) -> None:
        super().__init__(problem.sentence)
        self.problem, self.place = problem, place


class Child:
    """A process that decodes. Raises TaskError where it can't be started."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._answered = 0
        self._connection, theirs = Pipe()
        tray = Tray.new()
        try:
            self._tray = Tray(tray)
            numbers = [theirs.fileno(), tray]
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
            theirs.close()
            os.close(tray)
        try:
            complaint = self._connection.recv()
        except (EOFError, OSError):
            code = _ended(self._process)
            complaint = f"thumbnail: the process that decodes ended with {code} before its first file"
            if code == -signal.SIGALRM:
                complaint = f"thumbnail.timeout: {limits.seconds:g} s are too few to start a process that decodes"
                if limits.plugins:
                    named = ", ".join(limits.plugins)
                    complaint = f"thumbnail.plugins: importing {named} took longer than thumbnail.timeout; leave it out"
        if complaint:
            self.kill()
            raise TaskError(complaint)

    def send(self, chunk: Chunk) -> None:
        """Hand over some files; what a dead child does not take is found out by `receive`."""
        with contextlib.suppress(OSError):
            self._connection.send(chunk)

    def receive(self, size: int) -> list[tuple[Seen, bytes | None]]:
        """What became of the next files, at least one, in the order in which they were handed over, with thumbnails of
        `size` bytes. Raises Died."""
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
            _kill(self._process)  # it did not heed its own alarm
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
        """Whether it has not ended by itself; when memory runs out, children go first, idle ones, too."""
        return self._process.poll() is None

    def end(self) -> None:
        """Let it die; whoever waits for it learns so."""
        _kill(self._process)

    def kill(self) -> None:
        """End it, whatever it does."""
        _kill(self._process)
        self._process.wait()
        self._discard()

    def close(self) -> None:
        """Let it end by itself: it has nothing to do."""
        self._connection.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            _kill(self._process)
            self._process.wait()
        self._discard()

    def _discard(self) -> None:
        self._connection.close()
        self._tray.close()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a child that has hung up; one that stays all the same is killed."""
    try:
        return process.wait(LINGER)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child, and what it may have started: each has a session of its own."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


class Idle:
    """Children without work, kept for the next batch of this process: as many as batches have been at work at a time,
    and one for the next lane that opens beside them."""

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
        """Whether `take` would not have to start one."""
        return any(child.limits == limits for child in list(self._children))

    def give(self, child: Child) -> None:
        with self._lock:
            self._children.append(child)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """While a batch is at work; after it, children that are too many are let go."""
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
            spare, self._children = self._children[all_but:], self._children[:all_but]
        for child in spare:
            child.close()


idle = Idle()
"""Those of this process."""
