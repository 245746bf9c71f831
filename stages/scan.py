"""Find the images and cut them into partitions; looks at the folders anew at each run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence, Sized
from pathlib import Path
from stat import S_ISDIR
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pipeline.messages.errors import ConfigError
from pipeline.stage import Preflight, Settings, Source, Stage, Task
from stages.kernels import cut
from stages.listing.files import PIECE, Files, find, show, stamps, texts
from stages.listing.rules import EXTENSIONS, Rules
from stages.listing.sections import SECTIONS
from stages.listing.urls import exists, is_url

logger = logging.getLogger("fast_diff")
RACY_NS = 2_000_000_000
"""A file as young as this at its scan may change again without a new time stamp; the next run digests it again."""
PARTITION = 1_000
DENSE_BLOCK = 3_000
BLOCKS = ((2_000_000, 32_000), (10_000_000, 131_000), (None, 524_000))
"""`block: auto`: up to so many images, blocks of about so many."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """Which files are images."""

    recursive: Annotated[bool, Field(description="look into the folders inside the inputs, too")] = True
    extensions: Annotated[
        Literal["default"] | tuple[str, ...],
        Field(description="endings that make a file an image: a list such as [jpg, png], or default"),
    ] = "default"
    ignore_names: Annotated[
        tuple[str, ...],
        Field(description="files and folders to leave out, by name: exact, or a pattern with * ? ["),
    ] = ()
    ignore_paths: Annotated[
        tuple[str, ...],
        Field(description="files and folders to leave out, by path: exact, or a pattern with * ? ["),
    ] = ()
    follow_links: Annotated[bool, Field(description="follow symbolic links found inside the inputs")] = False
    trust: Annotated[
        Literal["mtime", "ctime", "bytes"],
        Field(description="a file is unchanged while its size and this are; bytes reads every file at every run"),
    ] = "mtime"

    @field_validator("extensions")
    @classmethod
    def _dotted(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return value if isinstance(value, str) else tuple(ending.lower().lstrip(".*") for ending in value)

    def rules(self) -> Rules:
        """These parameters for the lister."""
        endings = EXTENSIONS if self.extensions == "default" else frozenset(map(str.encode, self.extensions))
        return Rules(self.recursive, endings, self.ignore_names, self.ignore_paths, self.follow_links)


SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("set", pa.string()),
        ("root", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("stamp", pa.string()),
        ("partition", pa.string()),
    ]
)


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Complain of inputs that are not there, before anything is made."""
    for name in ("a", "b"):
        for number, root in enumerate(settings(f"inputs.{name}")):
            try:
                there = exists(root) if is_url(root) else Path(root).exists()
            except OSError as error:
                yield f"inputs.{name}[{number}]: {root} can't be read ({error.strerror or error})"
            else:
                if not there:
                    yield f"inputs.{name}[{number}]: {root} does not exist; expected a folder or an image file"
    yield from _inputs_twice(settings)


def _inputs_twice(settings: Settings) -> Iterator[str]:
    """Inputs that lead into others by links: files would be compared with themselves. Of a folder that lies in another
    by its name, each file counts once."""
    roots = [(f"inputs.{name}", root) for name in ("a", "b") for root in settings(f"inputs.{name}") if not is_url(root)]
    leads = {root: os.path.realpath(root) for _, root in roots}
    led = {_folder(leads[root]): (key, root) for key, root in sorted(roots, key=lambda each: leads[each[1]] == each[1])}
    for key, root in roots:
        for place in (leads[root], *map(str, Path(leads[root]).parents)):
            other_key, other = led.get(_folder(place), (key, root))
            if not f"{root.rstrip('/')}/".startswith(f"{other.rstrip('/')}/"):
                yield f"{key}: {root} leads to {leads[root]}, which is in {other_key} as {other}, too; leave one out"
                break


def _folder(path: str) -> str | tuple[int, ...]:
    """What a folder is by any name, for it may be mounted twice. Where the system numbers folders badly, their times
    tell them apart."""
    with contextlib.suppress(OSError, ValueError):
        stat = os.stat(path)  # noqa: PTH116  # of any bytes
        if S_ISDIR(stat.st_mode):
            return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
    return path


def source(params: Params, settings: Settings) -> Iterator[tuple[Task, pa.Table]]:
    """The image table of each set, cut into partitions.

    Raises ConfigError where there is no image at all, none in a set that has inputs, or one in both sets."""
    found = {name: _find(name, settings(f"inputs.{name}"), params) for name in ("a", "b")}
    both = found["a"].paths.filter(pc.is_in(found["a"].paths, found["b"].paths)) if len(found["b"]) else []
    if len(both):
        raise ConfigError(
            f"inputs.b: {show(both[0].as_py())}{_and_more(both)} is in inputs.a, too; each file can be in one set only"
        )
    mean, block = partition_sizes(settings, sum(map(len, found.values())))
    for name in sorted(found):
        yield from partitions(name, found.pop(name), cut.window(mean), cut.window(block), params.trust)


def partition_sizes(settings: Settings, images: int) -> tuple[int, int]:
    """Mean number of images of a partition and of a block."""
    mean, block = settings("partition.images"), settings("partition.block")
    if mean == "auto":
        mean = PARTITION if images <= 10_000_000 else 4 * PARTITION
    if block == "auto":
        dense = settings("pairs.threshold") is None or ":" in settings("pairs.metric")
        block = DENSE_BLOCK if dense else next(size for most, size in BLOCKS if most is None or images <= most)
    return mean, max(mean, block)


def _find(name: str, roots: Sequence[str], params: Params) -> Files:
    try:
        files = find(roots, params.rules())
    except OSError as error:
        raise ConfigError(f"inputs.{name}: {_show(error.filename)} can't be read ({error.strerror})") from error
    if roots and not len(files):
        raise ConfigError(
            f"inputs.{name}: no image found in {', '.join(roots)}; see scan.extensions and scan.recursive"
        )
    for root in files.empty():
        logger.warning("inputs.%s: no image found in %s; is it what it was?", name, show(root))
    return files


def _show(name: object) -> str:
    return show(name) if isinstance(name, bytes) else str(name)


def _and_more(items: Sized) -> str:
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def partitions(name: str, files: Files, narrow: int, wide: int, trust: str) -> Iterator[tuple[Task, pa.Table]]:
    """The partitions of one set and their rows, for windows of partitions and of blocks. Raises ConfigError where two
    names would read alike."""
    paths, true_names = texts(files.paths)
    if true_names is not None:
        _refuse_alike(name, paths, true_names)
    stamped = stamps(files, trust)
    roots = pa.array([show(root) for root in files.roots], pa.string())
    hashes = _hashes(files.paths)
    closing_block = set(cut.cuts(hashes, wide).tolist())
    start = 0
    for last in [*cut.cuts(hashes, narrow).tolist(), len(files) - 1]:
        if start > last:
            continue  # the last cut was at the end already
        ends = last == len(files) - 1
        key = f"{name}-end" if ends else f"{name}-{int(hashes[last]):016x}"
        count, part = last + 1 - start, slice(start, last + 1)
        notes = {"set": name, "images": count, "closes_block": ends or last in closing_block}
        columns = [
            paths[part].cast(pa.string()),
            pa.nulls(count, pa.binary()) if true_names is None else true_names[part].cast(pa.binary()),
            pa.repeat(name, count),
            roots.take(pa.array(files.root[part])),
            files.sizes[part],
            files.mtimes[part],
            stamped[part],
            pa.repeat(key, count),
        ]
        yield Task(key, notes=notes), pa.table(columns, schema=SCHEMA)
        start = last + 1


def _refuse_alike(name: str, paths: pa.LargeStringArray, true_names: pa.LargeBinaryArray) -> None:
    odd = pc.is_valid(true_names)
    alike = paths.filter(pc.and_(pc.invert(odd), pc.is_in(paths, paths.filter(odd))))
    if len(alike):
        raise ConfigError(
            f"inputs.{name}: the name {alike[0].as_py()} also stands for another file's name, which is no UTF-8; "
            "rename one of them, or name it in scan.ignore_paths"
        )


def _hashes(paths: pa.LargeBinaryArray) -> NDArray[np.uint64]:
    """What decides where partitions end: 8 bytes of BLAKE2b of each path."""
    hashes = np.empty(len(paths), np.uint64)
    for start in range(0, len(paths), PIECE):
        digests = [hashlib.blake2b(path, digest_size=8).digest() for path in paths[start : start + PIECE].to_pylist()]
        hashes[start : start + PIECE] = np.frombuffer(b"".join(digests), np.uint64)
    return hashes


def racy(table: pa.Table) -> list[str]:
    """Paths of the files that were written to just now; a URL's tag tells of its bytes, whenever it was written."""
    tagged = pc.invert(pc.or_(pc.starts_with(table["path"], "/"), pc.equal(table["stamp"], _text(table["mtime_ns"]))))
    young = pc.greater(table["mtime_ns"], time.time_ns() - RACY_NS)
    return table["path"].filter(pc.and_not(young, tagged)).to_pylist()


def _text(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(numbers, pa.string())


STAGE: Stage[Params] = Stage(
    "scan",
    version=2,
    needs=(),
    params=Params,
    schema=SCHEMA,
    source=Source(source, racy, SECTIONS),
    preflight=Preflight(check),
)
