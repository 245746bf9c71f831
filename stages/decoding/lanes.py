"""Decode files in several child processes; a crash, a hang or exhausted memory costs one file.

A lane is a child process with two chunks of files queued, so that the child never waits. A task has one lane. While
cores of the machine are idle, a task opens more lanes, so that a single partition, and the last partition of a large
run, use all cores."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from pipeline.store.backends.locations import in_use
from stages.decoding import problems
from stages.decoding.child import Chunk, Seen
from stages.decoding.children import Child, Died, idle
from stages.decoding.containers import WINDOW, reading_order
from stages.decoding.options import DecodeOptions, Limits
from stages.decoding.problems import Problem
from stages.decoding.sources import Expected

CHUNK_FILES, CHUNK_BYTES = 128, 1 << 19
"""Number and total bytes of the files that a child receives at a time: some 20 ms of work."""
TURN = 0.5
"""Seconds after which an additional lane checks again whether its core is idle."""
LOOK = 0.05
"""Seconds between two searches for an idle core."""
WORTH = 16
"""Chunks that must be left to make starting a child worthwhile; an idle child is worthwhile for one chunk."""
Decoded: TypeAlias = tuple[int, Seen, bytes | None]


class IdleCore(Protocol):
    """An idle core of this machine, reserved until `close`."""

    def close(self) -> None: ...


_batches = itertools.count()


class Lanes:
    """One batch of files to decode; iteration yields results in order of arrival.

    A result is the file's number, the facts or the problem, and the thumbnail.

    spare  returns an idle core of this machine, or None

    Raises:
        TaskError: no child can be started."""

    def __init__(
        self, files: Sequence[Expected], options: DecodeOptions, limits: Limits, spare: Callable[[], IdleCore | None]
    ) -> None:
        sizes = [file.size for file in files]
        order = reading_order(list(files))
        counts = Counter(sizes)
        self._files, self._options, self._limits, self._spare = files, options, limits, spare
        self._repeat = [counts[size] > 1 for size in sizes]
        self._chunks = deque(_chunks(files, order))
        self._batch = next(_batches)
        self._size = options.size[0] * options.size[1] * len(options.mode)
        self._answers: SimpleQueue[Sequence[Decoded] | BaseException] = SimpleQueue()
        self._busy: set[Child] = set()
        self._stopped = False

    def __iter__(self) -> Generator[Decoded, None, None]:
        left = len(self._files)
        lanes: list[threading.Thread] = []
        with idle.batch():
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
        """Open a lane if none is running, and more lanes while cores are idle and files are left."""
        while self._chunks:
            alive = any(lane.is_alive() for lane in lanes)
            worth = len(self._chunks) > WORTH or idle.has(self._limits)
            core = self._spare() if alive and worth else None
            if alive and not core:
                break
            lanes.append(threading.Thread(target=self._run, args=(core,), daemon=True))
            lanes[-1].start()

    def _stop(self) -> None:
        """End every lane at once."""
        self._stopped = True
        self._chunks.clear()
        for child in list(self._busy):
            child.end()

    def _run(self, core: IdleCore | None) -> None:
        try:
            with contextlib.closing(core) if core else contextlib.nullcontext():
                self._lane(time.monotonic() + TURN if core else math.inf)
        except BaseException as error:  # the iterating thread raises the error
            self._answers.put(error)

    def _lane(self, until: float = math.inf) -> None:
        """Keep one child busy until no file is left, or the clock passes `until`."""
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
            idle.give(child)

    def _alone(self, number: int, problem: Problem) -> Child:
        """Retry a file that crashed a child, in a fresh child.

        Returns a child for the next files."""
        child = Child(self._limits)
        self._busy.add(child)
        if problem is not problems.CRASHED:
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
        child = idle.take(self._limits)
        self._busy.add(child)
        return child

    def _send(self, child: Child, numbers: Sequence[int]) -> None:
        files, repeat = [self._files[n][:] for n in numbers], [self._repeat[n] for n in numbers]
        storage = in_use() if any(not path.startswith(b"/") for path, *_ in files) else None
        child.send(Chunk(self._batch, self._options, files, repeat, storage))

    def _next(self) -> list[int] | None:
        try:
            return self._chunks.popleft()
        except IndexError:
            return None


def decode_one(file: Expected, options: DecodeOptions, limits: Limits) -> tuple[Seen, bytes | None]:
    """Return the result of one file, and its thumbnail."""
    ((_, seen, thumbnail),) = Lanes([file], options, limits, lambda: None)
    return seen, thumbnail


def _chunks(files: Sequence[Expected], order: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of files in chunks.

    Files of equal size are in one chunk, since they may have the same content. Members of a container are in the order
    of the container. One request gets a whole chunk of a container behind a URL."""
    first: dict[int, int] = {}
    keys = [
        (place if files[number].location else first.setdefault(files[number].size, place), place)
        for place, number in enumerate(order)
    ]
    sizes = [file.size for file in files]
    chunk: list[int] = []
    held = 0
    for _, place in sorted(keys):
        number = order[place]
        remote = bool(files[number].location) and not files[number].path.startswith(b"/")
        full = len(chunk) >= CHUNK_FILES or held >= (WINDOW if remote else CHUNK_BYTES)
        alike = bool(chunk) and not files[number].location and sizes[number] == sizes[chunk[-1]]
        if full and (not alike or len(chunk) >= 2 * CHUNK_FILES):
            yield chunk
            chunk, held = [], 0
        chunk.append(number)
        held += sizes[number]
    if chunk:
        yield chunk
