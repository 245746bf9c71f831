"""Keep decoders busy: processes that may crash, hang or run out of memory, at the cost of one file.

A lane is a child process with two chunks of files before it, so that it never waits. A task has one lane of its own;
while cores of the machine are idle it opens more, so that one partition keeps all of them busy, and the last one of a
large run, too."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import Pipe
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from pipeline.errors import TaskError
from pipeline.locations import in_use
from stages.decoding import problems
from stages.decoding.child import Answer, Chunk, Limits, Seen
from stages.decoding.decode import Facts, Options
from stages.decoding.problems import Problem
from stages.decoding.reading import Expected
from stages.decoding.tray import Tray

CHUNK_FILES, CHUNK_BYTES = 128, 1 << 19
"""Files, and bytes of them, that are handed to a child at a time: some 20 ms of work."""
TURN = 0.5
"""Seconds after which an additional lane asks anew whether its core is still idle."""
LOOK = 0.05
"""Seconds between two looks for an idle core."""
WORTH = 16
"""Chunks left for which another lane is worth the start of a child; with one at hand, a single chunk is."""
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


Found: TypeAlias = tuple[int, Seen, bytes | None]


class Core(Protocol):
    """An idle core of this machine, held until it is given back."""

    def close(self) -> None: ...


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
                [sys.executable, "-c", START, json.dumps(given)],
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
                named = ", ".join(limits.plugins) or "Pillow"
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
        self._discard()
        raise Died(problems.TIMEOUT if hung else problems.CRASHED, place)

    def _found(self, answer: Answer, size: int) -> tuple[Seen, bytes | None]:
        facts, rest, at = answer
        seen = Seen(Facts._make(facts) if facts else None, *rest)
        return seen, self._tray.get(at, size) if isinstance(at, int) else at

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


class _Idle:
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


_idle = _Idle()
_batches = itertools.count()


class Lanes:
    """One batch of files that is being decoded; iterating gives the number of each file, what became of it and its
    thumbnail, as they come. `spare` gives an idle core of this machine, or None. Raises TaskError where no child can be
    started."""

    def __init__(
        self, files: Sequence[Expected], options: Options, limits: Limits, spare: Callable[[], Core | None]
    ) -> None:
        sizes = [file.size for file in files]
        counts = Counter(sizes)
        self._files, self._options, self._limits, self._spare = files, options, limits, spare
        self._repeat = [counts[size] > 1 for size in sizes]
        self._chunks = deque(_chunks(sizes))
        self._batch = next(_batches)
        self._size = options.size[0] * options.size[1] * len(options.mode)
        self._answers: SimpleQueue[Sequence[Found] | BaseException] = SimpleQueue()
        self._busy: set[Child] = set()
        self._stopped = False

    def __iter__(self) -> Generator[Found, None, None]:
        left = len(self._files)
        lanes: list[threading.Thread] = []
        with _idle.batch():
            try:
                while left:
                    self._open_lanes(lanes)
                    with contextlib.suppress(Empty):
                        answers = self._answers.get(timeout=LOOK)
                        if isinstance(answers, BaseException):
                            raise answers
                        left -= len(answers)
                        yield from answers
            except BaseException:
                self._stop()
                raise
            finally:
                for lane in lanes:
                    lane.join()

    def _open_lanes(self, lanes: list[threading.Thread]) -> None:
        """See that one lane is open while anything is left, and more while cores are idle and enough is left."""
        while self._chunks:
            alive = any(lane.is_alive() for lane in lanes)
            worth = len(self._chunks) > WORTH or _idle.has(self._limits)
            core = self._spare() if alive and worth else None
            if alive and not core:
                break
            lanes.append(threading.Thread(target=self._run, args=(core,), daemon=True))
            lanes[-1].start()

    def _stop(self) -> None:
        """Let every lane end at once."""
        self._stopped = True
        self._chunks.clear()
        for child in list(self._busy):
            child.end()

    def _run(self, core: Core | None) -> None:
        try:
            with contextlib.closing(core) if core else contextlib.nullcontext():
                self._lane(time.monotonic() + TURN if core else math.inf)
        except BaseException as error:  # whoever iterates raises it
            self._answers.put(error)

    def _lane(self, until: float = math.inf) -> None:
        """Keep one child busy until nothing is left, or time is up."""
        waiting: deque[int] = deque()
        child, last = None, 0
        try:
            while True:
                while len(waiting) <= last and time.monotonic() < until and (chunk := self._next()):
                    child = child or self._child()
                    self._send(child, chunk)
                    waiting.extend(chunk)
                    last = len(chunk)
                if not child or not waiting:
                    break
                try:
                    self._answers.put([(waiting.popleft(), *found) for found in child.receive(self._size)])
                except Died as died:
                    self._busy.discard(child)
                    if self._stopped:
                        return
                    culprit = waiting[died.place] if died.place < len(waiting) else waiting[0]
                    waiting.remove(culprit)
                    self._chunks.appendleft(list(waiting))
                    waiting.clear()
                    child = self._alone(culprit, died.problem)
        except BaseException:
            if child:
                child.kill()
            raise
        if child:
            self._busy.discard(child)
            _idle.give(child)

    def _alone(self, number: int, problem: Problem) -> Child:
        """Give a file that a child died of to another one that has seen nothing else, if it may do better there."""
        child = Child(self._limits)
        self._busy.add(child)
        if problem is problems.TIMEOUT:
            self._answers.put([(number, Seen(problem=problem), None)])
            return child
        self._send(child, [number])
        try:
            ((seen, thumbnail),) = child.receive(self._size)
        except Died as died:
            self._busy.discard(child)
            child, seen, thumbnail = self._child(), Seen(problem=died.problem), None
        self._answers.put([(number, seen, thumbnail)])
        return child

    def _child(self) -> Child:
        child = _idle.take(self._limits)
        self._busy.add(child)
        return child

    def _send(self, child: Child, numbers: Sequence[int]) -> None:
        files, repeat = [self._files[n] for n in numbers], [self._repeat[n] for n in numbers]
        storage = in_use() if any(not file.path.startswith(b"/") for file in files) else None
        child.send(Chunk(self._batch, self._options, files, repeat, storage))

    def _next(self) -> list[int] | None:
        try:
            return self._chunks.popleft()
        except IndexError:
            return None


def decode_one(file: Expected, options: Options, limits: Limits) -> tuple[Seen, bytes | None]:
    """What becomes of one file, and its thumbnail."""
    ((_, seen, thumbnail),) = Lanes([file], options, limits, lambda: None)
    return seen, thumbnail


def _chunks(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of files in chunks of some size, those of equal size together: they may be the same."""
    first = {size: number for number, size in reversed(list(enumerate(sizes)))}
    chunk: list[int] = []
    held = 0
    for number in sorted(range(len(sizes)), key=lambda number: (first[sizes[number]], number)):
        full = len(chunk) >= CHUNK_FILES or held >= CHUNK_BYTES
        if full and (sizes[number] != sizes[chunk[-1]] or len(chunk) >= 2 * CHUNK_FILES):
            yield chunk
            chunk, held = [], 0
        chunk.append(number)
        held += sizes[number]
    if chunk:
        yield chunk
