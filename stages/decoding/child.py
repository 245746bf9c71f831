"""Decode files in a child process that `children.py` starts.

The child sends the results so far every FLUSH seconds. Before each file the child increments a counter in memory that
parent and child share, so that the parent knows the file on which a child died. If a file takes too long, an alarm
signal without a handler ends the child; the alarm works inside a decoder, too, and after the parent has ended."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from cachetools import LRUCache

from pipeline.store.backends import locations
from stages.decoding import encoding
from stages.decoding.containers import OpenContainers
from stages.decoding.decode import Facts, decode, keep_quiet
from stages.decoding.formats.opening import is_raw
from stages.decoding.formats.registry import PluginBroken, import_plugins
from stages.decoding.location import unsized
from stages.decoding.options import DecodeOptions, Limits
from stages.decoding.problems import Problem, Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.decoding.tray import Tray

FLUSH = 0.05
CACHED_BYTES = 64 << 20
"""Bytes of results that are cached for files with the same content."""
ENTRY = 1 << 10
"""Approximate bytes of a result without its thumbnail."""
NOTE_LENGTH = 200
"""Greatest number of characters of a note."""
EXPENDABLE = "500"
"""Linux's oom_score_adj of a child: when memory runs out, children end before processes that hold results."""


@dataclass(frozen=True)
class Chunk:
    """Files to decode.

    batch    number of the batch; files of one batch may have the same content
    files    fields of `Expected`; plain tuples are sent seven times as fast as named tuples
    repeat   for each file, whether another file of the batch may have the same content
    storage  how URLs are opened; None: no file is a URL"""

    batch: int
    options: DecodeOptions
    files: Sequence[tuple[bytes, int, str, str]]
    repeat: Sequence[bool]
    storage: locations.StorageOptions | None = field(default=None, repr=False)


class Seen(NamedTuple):
    """The result of one file: facts of the image, or a problem.

    decoder  library that decoded the image, or the missing library
    fresh    False: the file was not read, or its result is a copy from a file with the same content
    size     bytes of the file if the scan does not know its size, else None"""

    facts: Facts | None = None
    problem: Problem | None = None
    digest: str | None = None
    fresh: bool = False
    decoder: str | None = None
    size: int | None = None


DecodeKey: TypeAlias = tuple[int, str, bool]
"""Key of a cached result: batch, digest of the file's bytes, and whether the file is camera RAW."""
ResultCache: TypeAlias = "LRUCache[DecodeKey, tuple[Seen, bytes | None]]"
"""Cached results for files with the same content."""
Answer: TypeAlias = tuple[tuple[Any, ...] | None, tuple[Any, ...], int | bytes | None]
"""The result of a file in a message: facts, other fields of `Seen`, and the thumbnail or its offset in the tray."""


def main(connection_number: int, tray_number: int, limits: Limits) -> None:
    """Answer chunks until the parent closes the connection."""
    connection, tray = Connection(connection_number), Tray(tray_number)
    try:
        warned = _prepare(limits)
    except PluginBroken as error:
        connection.send(f"thumbnail.plugins: {error}; fix or remove the plugin")
        return
    connection.send("")
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(connection, tray, limits, warned)


def _serve(connection: Connection, tray: Tray, limits: Limits, warned: list[str]) -> None:
    twins: ResultCache = LRUCache(CACHED_BYTES, getsizeof=lambda result: ENTRY + len(result[1] or b""))
    containers, batch = OpenContainers(), -1
    begun = 0
    while True:
        chunk: Chunk = connection.recv()
        if chunk.batch != batch:
            containers.close()
            batch = chunk.batch
        if chunk.storage is not None:
            locations.use(chunk.storage)
        files = [Expected(*file) for file in chunk.files]
        containers.expect(files, chunk.options.max_bytes)
        answers: list[Answer] = []
        since = time.monotonic()
        for number, (file, repeat) in enumerate(zip(files, chunk.repeat, strict=True), start=1):
            begun += 1
            tray.begin_file(begun)
            signal.setitimer(signal.ITIMER_REAL, limits.seconds)
            known = twins if repeat else None
            seen, thumbnail = _seen(file, chunk, containers, known, warned, tray.begin_decoding)
            signal.setitimer(signal.ITIMER_REAL, 0)
            place = tray.put(thumbnail) if thumbnail is not None else None
            answers.append((seen.facts and tuple(seen.facts), seen[1:], thumbnail if place is None else place))
            if number == len(chunk.files) or time.monotonic() - since > FLUSH:
                connection.send(answers)
                tray.sent()
                answers, since = [], time.monotonic()


def _seen(
    file: Expected,
    chunk: Chunk,
    containers: OpenContainers,
    twins: ResultCache | None,
    warned: list[str],
    decoding: Callable[[], None],
) -> tuple[Seen, bytes | None]:
    """Read and decode one file, or return the result of a file with the same content.

    decoding  called after reading and before decoding"""
    options, digest, thumbnail, size = chunk.options, None, None, None
    key = (chunk.batch, "", False)
    try:
        data, digest = read(file, options.trust, options.max_bytes, containers)
        size = len(data) if unsized(file.stamp) else None
        key = chunk.batch, digest, is_raw(data, file.path)
        if twins is not None and key in twins:
            seen, thumbnail = twins[key]
            return seen._replace(fresh=False), thumbnail
        decoding()
        thumbnail, facts = decode(data, options, file.path)
        if warned:
            facts = facts._replace(note="; ".join(filter(None, (facts.note, *_notes(warned)))))
        seen = Seen(facts, None, digest, fresh=True, decoder=facts.decoder, size=size)
    except Unreadable as error:
        seen = Seen(None, error.problem, digest, fresh=digest is not None, decoder=error.decoder, size=size)
    finally:
        warned.clear()
    if twins is not None and digest:
        with contextlib.suppress(ValueError):  # larger than the cache
            twins[key] = seen, thumbnail
    return seen, thumbnail


def _notes(warned: Sequence[str]) -> Iterator[str]:
    """Yield each warning of the decoders once.

    Memory addresses are masked, since addresses differ from run to run."""
    for text in dict.fromkeys(warned):
        plain = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
        yield re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", plain)[:NOTE_LENGTH]


def _prepare(limits: Limits) -> list[str]:
    """Set the limits; return the list that collects the decoders' warnings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(EXPENDABLE)
    keep_quiet()
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    import_plugins(limits.plugins)
    signal.setitimer(signal.ITIMER_REAL, 0)
    warned: list[str] = []
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = lambda message, *_, **__: warned.append(str(message))
    encoding.prepare()
    gc.freeze()  # else each garbage collection scans the imported modules: 1/40 of the time of an icon
    _limit_memory(limits.memory)
    return warned


def _limit_memory(limit: int) -> None:
    """Limit this process's memory to `limit` bytes more than now, where possible."""
    import resource

    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))
    except (OSError, ValueError, OverflowError):
        return


if __name__ == "__main__":
    sys.exit("internal: fast-diff starts this module")
