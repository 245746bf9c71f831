"""Find the images and cut them into partitions; looks at the folders anew at each run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.stage import Settings, Stage, Task
from stages.kernels import cut
from stages.listing import EXTENSIONS, Found, Rules, find, show, stamp

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
        return value if isinstance(value, str) else tuple("." + ending.lower().lstrip(".*") for ending in value)

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
            if not Path(root).exists():
                yield f"inputs.{name}[{number}]: {root} does not exist; expected a folder or an image file"


def source(params: Params, settings: Settings) -> Iterator[tuple[Task, pa.Table]]:
    """The image table of each set, cut into partitions.

    Raises ConfigError where there is no image at all, none in a set that has inputs, or one in both sets."""
    found = {name: _find(name, settings(f"inputs.{name}"), params) for name in ("a", "b")}
    both = sorted({file.path for file in found["a"]} & {file.path for file in found["b"]})
    if both:
        raise ConfigError(
            f"inputs.b: {show(both[0])}{_and_more(both)} is in inputs.a, too; each file can be in one set only"
        )
    images = sum(map(len, found.values()))
    mean, block = partition_sizes(settings, images)
    for name, files in found.items():
        yield from _partitions(name, files, cut.window(mean), cut.window(block), params.trust)


def partition_sizes(settings: Settings, images: int) -> tuple[int, int]:
    """Mean number of images of a partition and of a block."""
    mean, block = settings("partition.images"), settings("partition.block")
    if mean == "auto":
        mean = PARTITION if images <= 10_000_000 else 4 * PARTITION
    if block == "auto":
        dense = settings("pairs.threshold") is None or ":" in settings("pairs.metric")
        block = DENSE_BLOCK if dense else next(size for most, size in BLOCKS if most is None or images <= most)
    return mean, max(mean, block)


def _find(name: str, roots: Sequence[str], params: Params) -> list[Found]:
    try:
        files = find(roots, params.rules())
    except OSError as error:
        raise ConfigError(f"inputs.{name}: {error.filename!s} can't be read ({error.strerror})") from error
    odd = {show(file.path) for file in files if show(file.path).encode() != file.path}
    alike = [file for file in files if show(file.path).encode() == file.path and show(file.path) in odd] if odd else []
    if alike:
        raise ConfigError(
            f"inputs.{name}: the name {show(alike[0].path)} also stands for another file's name, which is no UTF-8; "
            "rename one of them, or name it in scan.ignore_paths"
        )
    if roots and not files:
        raise ConfigError(
            f"inputs.{name}: no image found in {', '.join(roots)}; see scan.extensions and scan.recursive"
        )
    return files


def _and_more(items: Collection[object]) -> str:
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def _partitions(
    name: str, files: Sequence[Found], narrow: int, wide: int, trust: str
) -> Iterator[tuple[Task, pa.Table]]:
    hashes = np.frombuffer(b"".join(hashlib.blake2b(f.path, digest_size=8).digest() for f in files), np.uint64)
    closing_block = set(cut.cuts(hashes, wide).tolist())
    start = 0
    for last in [*cut.cuts(hashes, narrow).tolist(), len(files) - 1]:
        if start > last:
            continue  # the last cut was at the end already
        ends = last == len(files) - 1
        key = f"{name}-end" if ends else f"{name}-{int(hashes[last]):016x}"
        notes = {"set": name, "images": last + 1 - start, "closes_block": ends or last in closing_block}
        yield Task(key, notes=notes), _table(name, files[start : last + 1], key, trust)
        start = last + 1


def _table(name: str, files: Sequence[Found], key: str, trust: str) -> pa.Table:
    paths = [show(file.path) for file in files]
    return pa.table(
        [
            paths,
            [None if text.encode() == file.path else file.path for text, file in zip(paths, files, strict=True)],
            [name] * len(files),
            [show(file.root) for file in files],
            [file.size for file in files],
            [file.mtime_ns for file in files],
            [_stamp(file, trust) for file in files],
            [key] * len(files),
        ],
        schema=SCHEMA,
    )


def _stamp(file: Found, trust: str) -> str:
    try:
        return stamp(file, trust)
    except OSError:
        return ""  # the thumbnail stage will meet the same error, and record it


def doubtful(table: pa.Table) -> list[str]:
    """Paths of the files that were written to just now."""
    return table["path"].filter(pc.greater(table["mtime_ns"], time.time_ns() - RACY_NS)).to_pylist()


STAGE = Stage("scan", version=1, needs=(), params=Params, schema=SCHEMA, source=source, doubtful=doubtful, check=check)
