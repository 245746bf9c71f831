"""Find the images and cut the list into partitions.

Every run lists the folders again, and the members of containers that have changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from pipeline.messages.errors import ConfigError
from pipeline.stage import Output, PastRows, Preflight, Settings, Source, Stage, Task, section
from stages.comparing.rows import thumbnail_schema
from stages.kernels import cut
from stages.listing.files import find
from stages.listing.known import KnownContainers
from stages.listing.path_text import show, texts
from stages.listing.roots import check
from stages.listing.rules import EXTENSIONS, InputMarks, ListingRules
from stages.listing.sections import SECTIONS
from stages.listing.stamps import racy, stamps
from stages.listing.table import FileTable, path_hashes

logger = logging.getLogger("fast_diff")
PARTITION = 1_000
DENSE_BLOCK = 3_000
VECTOR_BLOCK = 16_000
"""Mean size of a block of vectors, which may take 16 KiB each: 1,024 numbers in four turns."""
BLOCKS = ((2_000_000, 32_000), (10_000_000, 131_000), (None, 524_000))
"""Rows for `block: auto`: greatest number of images (None: no limit), mean number of images in a block."""


@section
class Params:
    """Which files are images."""

    recursive: Annotated[bool, Field(description="search subfolders of the inputs")] = True
    extensions: Annotated[
        Literal["default"] | tuple[str, ...],
        Field(description="endings of image files: a list such as [jpg, png], or default"),
    ] = "default"
    ignore_names: Annotated[
        tuple[str, ...],
        Field(description="names of files and folders to ignore: exact, or patterns with * ? ["),
    ] = ()
    ignore_paths: Annotated[
        tuple[str, ...],
        Field(description="paths of files and folders to ignore: exact, or patterns with * ? ["),
    ] = ()
    follow_links: Annotated[bool, Field(description="follow symbolic links inside the inputs")] = False
    archives: Annotated[
        bool, Field(description="open container files in folders, too; a container that is an input is always opened")
    ] = False
    columns: Annotated[
        tuple[str, ...],
        Field(description="names of values beside images (in tables, lists, metadata, containers) to keep as columns"),
    ] = ()
    trust: Annotated[
        Literal["mtime", "ctime", "bytes"],
        Field(description="evidence, besides the size, that a file is unchanged; bytes reads every file in every run"),
    ] = "mtime"

    @field_validator("extensions")
    @classmethod
    def _dotted(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return value if isinstance(value, str) else tuple(ending.lower().lstrip(".*") for ending in value)

    @field_validator("columns")
    @classmethod
    def _free(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {*SCHEMA.names, *thumbnail_schema((1, 1, 1)).names, "container"}
        for number, name in enumerate(value):
            if not name or name in known or name in value[:number]:
                raise ValueError(f"expected different names that no column of the results has, got {name!r}")
        return value

    def rules(self, companions: Sequence[str] = ()) -> ListingRules:
        """Return the rules for listing, with patterns of companions."""
        endings = EXTENSIONS if self.extensions == "default" else frozenset(map(str.encode, self.extensions))
        ignored = self.ignore_names, self.ignore_paths
        return ListingRules(
            self.recursive, endings, *ignored, self.follow_links, companions, self.archives, self.columns
        )


SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("set", pa.string()),
        ("root", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("stamp", pa.string()),
        ("companions", pa.string()),
        ("location", pa.string()),
        ("partition", pa.string()),
    ]
)
"""The artifact's schema. `companions`: names of the files that belong to the image, separated by slashes."""


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema; the columns that the config names come last."""
    return pa.schema([*SCHEMA, *((name, pa.string()) for name in params.columns)])


def source(
    params: Params, settings: Settings, report: Callable[[int], None], past: Callable[[], PastRows]
) -> Iterator[tuple[Task, pa.Table]]:
    """Yield the image table of each set, cut into partitions.

    `report` is called with a number of files found. The members of unchanged tar and zip files come from `past`.

    Raises:
        ConfigError: a set with inputs has no image, or an image is in both sets."""
    rules = params.rules(settings("companions.patterns"))
    marks = InputMarks(settings("inputs.columns"), settings("inputs.folders"))
    known = KnownContainers(past, params.trust, params.columns)
    found = {name: _find(name, settings(f"inputs.{name}"), rules, marks, report, known) for name in ("a", "b")}
    both = found["a"].paths.filter(pc.is_in(found["a"].paths, found["b"].paths)) if len(found["b"]) else []
    if len(both):
        raise ConfigError(
            f"inputs.b: {show(both[0].as_py())}{_and_more(both)} is also in inputs.a; a file can be in one set only"
        )
    mean, block = partition_sizes(settings, sum(map(len, found.values())))
    for name in sorted(found):
        yield from partitions(name, found.pop(name), cut.window(mean), cut.window(block), params.trust)


def partition_sizes(settings: Settings, images: int) -> tuple[int, int]:
    """Return the mean number of images of a partition and of a block."""
    mean, block = settings("partition.images"), settings("partition.block")
    if mean == "auto":
        mean = PARTITION if images <= 10_000_000 else 4 * PARTITION
    if block == "auto":
        dense = settings("pairs.threshold") is None or ":" in settings("pairs.metric")
        block = DENSE_BLOCK if dense else next(size for most, size in BLOCKS if most is None or images <= most)
        if settings("pairs.metric") == "embedding":
            block = min(block, VECTOR_BLOCK)
    return mean, max(mean, block)


def _find(
    name: str,
    roots: Sequence[str],
    rules: ListingRules,
    marks: InputMarks,
    report: Callable[[int], None],
    known: KnownContainers,
) -> FileTable:
    try:
        files = find(roots, rules, marks, report, known)
    except OSError as error:
        raise ConfigError(f"inputs.{name}: {_show(error.filename)} can't be read ({error.strerror})") from error
    if roots and not len(files):
        raise ConfigError(
            f"inputs.{name}: no image found in {', '.join(roots)}; see scan.extensions, scan.recursive, and "
            "scan.archives for tar, zip and Parquet files in folders"
        )
    for root in files.empty():
        logger.warning(
            "inputs.%s: no image found in %s; check that the folder is mounted and complete, and see scan.archives for "
            "tar, zip and Parquet files in folders",
            name,
            show(root),
        )
    return files


def _show(name: object) -> str:
    return show(name) if isinstance(name, bytes) else str(name)


def _and_more(items: Sized) -> str:
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def partitions(name: str, files: FileTable, narrow: int, wide: int, trust: str) -> Iterator[tuple[Task, pa.Table]]:
    """Yield the partitions of one set, with their rows.

    narrow, wide  windows of `kernels.cut` for partitions and for blocks

    Raises:
        ConfigError: two names have the same text."""
    paths, true_names = texts(files.paths)
    if true_names is not None:
        _refuse_alike(name, paths, true_names)
    stamped = stamps(files, trust)
    roots = pa.array([show(root) for root in files.roots], pa.string())
    hashes = path_hashes(files.paths)
    closing_block = set(cut.cuts(hashes, wide).tolist())
    start = 0
    for last in [*cut.cuts(hashes, narrow).tolist(), len(files) - 1]:
        if start > last:
            continue  # a cut after the last image has ended the last partition
        ends = last == len(files) - 1
        key = f"{name}-end" if ends else f"{name}-{int(hashes[last]):016x}"
        count, part = last + 1 - start, slice(start, last + 1)
        notes = {"set": name, "closes_block": ends or last in closing_block}
        columns = [
            paths[part].cast(pa.string()),
            pa.nulls(count, pa.binary()) if true_names is None else true_names[part].cast(pa.binary()),
            pa.repeat(name, count),
            roots.take(pa.array(files.root[part])),
            files.sizes[part],
            files.mtimes[part],
            stamped[part],
            files.companion_names(part),
            pa.nulls(count, pa.string()) if files.locations is None else files.locations[part].cast(pa.string()),
            pa.repeat(key, count),
        ]
        values = {name: each[part].cast(pa.string()) for name, each in files.values.items()}
        form = pa.schema([*SCHEMA, *((name, pa.string()) for name in values)])
        yield Task(key, notes=notes, size=count), pa.table([*columns, *values.values()], schema=form)
        start = last + 1


def _refuse_alike(name: str, paths: pa.LargeStringArray, true_names: pa.LargeBinaryArray) -> None:
    odd = pc.is_valid(true_names)
    alike = paths.filter(pc.and_(pc.invert(odd), pc.is_in(paths, paths.filter(odd))))
    if len(alike):
        raise ConfigError(
            f"inputs.{name}: the name {alike[0].as_py()} is also the escaped form of a name that is not UTF-8; "
            "rename one of the two files, or list one in scan.ignore_paths"
        )


STAGE: Stage[Params] = Stage(
    "scan",
    version=5,
    needs=(),
    params=Params,
    schema=schema,
    source=Source(source, racy, SECTIONS),
    output=Output(unit="images", seconds=1e-5),
    preflight=Preflight(check),
)
