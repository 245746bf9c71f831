"""What a process that decodes does; `children.py` starts it and talks to it.

It answers what is done so far every FLUSH seconds. Before each file it counts, where both sides see it, so that
whoever finds it dead knows which file it died of. An alarm that nobody catches ends it where a file takes too long:
that works inside a decoder, too, and after the parent has gone."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pipeline.store.backends import locations
from stages.decoding import encoding
from stages.decoding.decode import Facts, Options, decode, keep_quiet
from stages.decoding.formats.registry import PluginBroken, import_plugins, is_raw
from stages.decoding.problems import Problem, Unreadable
from stages.decoding.reading import Expected, read
from stages.decoding.tray import Tray

FLUSH = 0.05
KEPT = 64 << 20
"""Bytes of thumbnails that are kept for files that are seen again."""
NOTE = 200
"""Letters of a note at most."""
EXPENDABLE = "500"
"""Added to what Linux thinks of this process when memory runs out: it is to go before those that hold results."""


@dataclass(frozen=True)
class Limits:
    """What a child may take: bytes of memory beside its own code, and seconds for one file. `plugins`: modules that
    teach Pillow more formats."""

    memory: int = 3 << 30
    seconds: float = 120.0
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Files to decode, each as the fields of `Expected`: tuples with names take seven times as long to send. Files that
    `repeat` marks may have twins among those of the same `batch`. `storage` says how URLs are opened; None: there are
    none."""

    batch: int
    options: Options
    files: Sequence[tuple[bytes, int, str]]
    repeat: Sequence[bool]
    storage: locations.Options | None = field(default=None, repr=False)


class Seen(NamedTuple):
    """What became of one file: facts of the image, or a problem. `decoder` did it, or would have been needed. `fresh`:
    it was decoded just now, not before for a twin."""

    facts: Facts | None = None
    problem: Problem | None = None
    digest: str | None = None
    fresh: bool = False
    decoder: str | None = None


Content: TypeAlias = tuple[str, bool]
"""All that decides how a file is decoded: the digest of its bytes, and whether the file is camera RAW by its name."""
Answer: TypeAlias = tuple[tuple[Any, ...] | None, tuple[Any, ...], int | bytes | None]
"""What became of a file: facts, the rest, and its thumbnail: where it lies in the tray, or itself."""


def main(connection_number: int, tray_number: int, limits: Limits) -> None:
    """Answer chunks until the parent hangs up."""
    connection, tray = Connection(connection_number), Tray(tray_number)
    try:
        said = _prepare(limits)
    except PluginBroken as error:
        connection.send(f"thumbnail.plugins: {error}; mend it, or leave it out")
        return
    connection.send("")
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(connection, tray, limits, said)


def _serve(connection: Connection, tray: Tray, limits: Limits, said: list[str]) -> None:
    twins = _Twins()
    begun = 0
    while True:
        chunk: Chunk = connection.recv()
        if chunk.storage is not None:
            locations.use(chunk.storage)
        answers: list[Answer] = []
        since = time.monotonic()
        for number, (file, repeat) in enumerate(zip(chunk.files, chunk.repeat, strict=True), start=1):
            begun += 1
            tray.begin_file(begun)
            signal.setitimer(signal.ITIMER_REAL, limits.seconds)
            seen, thumbnail = _seen(Expected(*file), chunk, twins if repeat else None, said, tray.begin_decoding)
            signal.setitimer(signal.ITIMER_REAL, 0)
            place = tray.put(thumbnail) if thumbnail is not None else None
            answers.append((seen.facts and tuple(seen.facts), seen[1:], thumbnail if place is None else place))
            if number == len(chunk.files) or time.monotonic() - since > FLUSH:
                connection.send(answers)
                tray.sent()
                answers, since = [], time.monotonic()


class _Twins:
    """Results of one batch for files whose content may come again, the latest KEPT bytes of them, by `Content`."""

    def __init__(self) -> None:
        self._batch, self._size = -1, 0
        self._kept: OrderedDict[Content, tuple[Seen, bytes | None]] = OrderedDict()

    def find(self, batch: int, key: Content) -> tuple[Seen, bytes | None] | None:
        if batch != self._batch:
            self._batch, self._size = batch, 0
            self._kept.clear()
        seen, thumbnail = self._kept.get(key, (None, None))
        return (seen._replace(fresh=False), thumbnail) if seen else None

    def keep(self, key: Content, seen: Seen, thumbnail: bytes | None) -> None:
        self._kept[key] = seen, thumbnail
        self._size += len(thumbnail or b"")
        while self._size > KEPT:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._size -= len(oldest or b"")


def _seen(
    file: Expected, chunk: Chunk, twins: _Twins | None, said: list[str], decoding: Callable[[], None]
) -> tuple[Seen, bytes | None]:
    """Read and decode one file, or return the result of a twin. `decoding` is called after reading, before decoding."""
    options, digest, thumbnail = chunk.options, None, None
    key = ("", False)
    try:
        data, digest = read(file, options.trust, options.max_bytes)
        key = digest, is_raw(data, file.path)
        if twins and (twin := twins.find(chunk.batch, key)):
            return twin
        decoding()
        thumbnail, facts = decode(data, options, file.path)
        if said:
            facts = facts._replace(note="; ".join(filter(None, (facts.note, *_notes(said)))))
        seen = Seen(facts, None, digest, fresh=True, decoder=facts.decoder)
    except Unreadable as error:
        seen = Seen(None, error.problem, digest, fresh=digest is not None, decoder=error.decoder)
    finally:
        said.clear()
    if twins and digest:
        twins.keep(key, seen, thumbnail)
    return seen, thumbnail


def _notes(said: Sequence[str]) -> Iterator[str]:
    """What decoders warned of, each once, without what differs from run to run."""
    for text in dict.fromkeys(said):
        plain = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
        yield re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", plain)[:NOTE]


def _prepare(limits: Limits) -> list[str]:
    """Put up the limits; returns the list that decoders' warnings will go to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(EXPENDABLE)
    keep_quiet()
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    import_plugins(limits.plugins)
    signal.setitimer(signal.ITIMER_REAL, 0)
    said: list[str] = []
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = lambda message, *_, **__: said.append(str(message))
    encoding.prepare()
    gc.freeze()  # what was imported stays; looking through it again and again is a fortieth of the time of an icon
    _limit_memory(limits.memory)
    return said


def _limit_memory(limit: int) -> None:
    """Let this process take so many bytes more than it has now; nothing where the system knows no such limit."""
    import resource

    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))
    except (OSError, ValueError, OverflowError):
        return


if __name__ == "__main__":
    sys.exit("started by fast-diff itself")
