"""Compare every image with every image, exactly; one task per block pair.

`comparing/` holds blocks, metrics and earlier results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from pipeline.messages.words import did_you_mean
from pipeline.stage import (
    ADDED,
    SPEED,
    CacheKey,
    Inputs,
    Job,
    Output,
    Preflight,
    Result,
    Reuse,
    Settings,
    Stage,
    Task,
    Upstream,
    section,
)
from pipeline.store.backends.locations import inside
from stages.comparing.block_cache import INDEXES
from stages.comparing.comparison import Comparison
from stages.comparing.functions import embedding_named, imported
from stages.comparing.index_columns import index_columns
from stages.comparing.match_rows import match_schema
from stages.comparing.metrics.kinds import KINDS
from stages.comparing.order import ordered_pairs
from stages.kernels.bounds.keys import KEPT

DEFAULT_THRESHOLD = 200.0
PROCESS, PER_IMAGE = 400 << 20, 2_500
"""Bytes of a comparing process, and bytes per image of its blocks; see tests/benchmarks/memory.py."""
PER_VECTOR = 2 * 4 * 1_024
"""Bytes per image and turn with metric embedding: a long vector, as stored and as compared."""


@section
class Params:
    """Settings that decide which images are compared, and which pairs are matches."""

    metric: Annotated[
        str,
        Field(
            description="mse: mean squared error between thumbnails; hamming: bits in which hashes differ; embedding: "
            "distance of vectors; or package.module:function from thumbnails (n, H, W, C) and one to n distances"
        ),
    ] = "mse"
    embedding: Annotated[
        str | None,
        Field(
            description="for metric embedding: onnx:FILE, a model; or package.module:function from images (n, H, W, C) "
            "to vectors (n, d); see the section embed"
        ),
    ] = None
    embedding_distance: Annotated[
        Literal["squared", "cosine"], Field(description="for metric embedding: squared distance, or 1 - cosine")
    ] = "squared"
    normalize: Annotated[
        Literal["pixel", "value"],
        Field(description="divisor of the sum of squares: pixels, or values (pixels x channels)"),
    ] = "pixel"
    threshold: Annotated[
        float | None,
        Field(ge=0, allow_inf_nan=False, description="greatest distance of a match; null: record every pair"),
    ] = DEFAULT_THRESHOLD
    rotations: Annotated[
        bool, Field(description="take the least distance over the four quarter turns; needs a square thumbnail")
    ] = True
    mirror: Annotated[
        bool,
        Field(description="compare mirror images, too: with rotations, in all four turns; adds a column mirrored"),
        ADDED,
    ] = False
    exposure: Annotated[
        Literal["compare", "ignore"],
        Field(
            description="for metric mse: compare; or ignore: take the mean out of each channel first, so that copies "
            "which are brighter or darker by the same amount everywhere are at distance 0"
        ),
        ADDED,
    ] = "compare"
    same: Annotated[
        Literal["any", "dimensions", "aspect"],
        Field(
            description="compare only images of equal dimensions or aspect ratio; with rotations, width and height may "
            "be swapped"
        ),
    ] = "any"
    same_hash: Annotated[
        Literal["compare", "zero", "skip"],
        Field(description="pairs with equal shifted hashes: compare, record as distance 0 without comparing, or skip"),
    ] = "compare"
    references: Annotated[
        Literal["compare", "skip"],
        Field(description="pairs of images in folders marked as reference under inputs: compare or skip"),
    ] = "compare"
    folders: Annotated[
        Literal["any", "across", "within"],
        Field(
            description="across: compare only images of different folders; within: only images of the same folder; "
            "see folder_depth"
        ),
    ] = "any"
    folder_depth: Annotated[
        int,
        Field(
            ge=0,
            description="for folders: number of levels below each input after which the path of a folder is cut; 0: "
            "each input is one folder",
        ),
    ] = 1
    identical: Annotated[
        Literal["group", "all"],
        Field(description="identical thumbnails of a block: compare one of them (group), or record every pair (all)"),
    ] = "group"
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        Field(description="compute device; auto: a GPU if CuPy finds one"),
        SPEED,
    ] = "auto"

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        if ":" in value:
            imported(value)
        elif value not in KINDS:
            hint = did_you_mean(value, KINDS)
            raise ValueError(f"expected {', '.join(KINDS)} or package.module:function, got {value!r}{hint}")
        return value

    @field_validator("embedding")
    @classmethod
    def _exists(cls, value: str | None) -> str | None:
        return None if value is None else embedding_named(value)

    @property
    def comparison(self) -> Comparison:
        """Return the settings that blocks, metrics and earlier results read."""
        return Comparison(**{field.name: getattr(self, field.name) for field in fields(Comparison)})


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema; `match_schema` explains the columns."""
    return match_schema(params.comparison)


def check(params: Params, settings: Settings) -> Iterator[str]:
    """Yield problems: settings that contradict each other, a missing GPU."""
    yield from params.comparison.problems(settings)
    if params.metric != "mse" and params.threshold == DEFAULT_THRESHOLD:
        yield f"pairs.threshold: {DEFAULT_THRESHOLD:g} is meant for mse; set a threshold for metric {params.metric}"
    a, b = settings("inputs.a"), settings("inputs.b")
    if params.folders == "within" and b and not any(inside(x, y) or inside(y, x) for x in a for y in b):
        yield (
            "pairs.folders: within compares nothing, since no folder of inputs.a has images of inputs.b; "
            "set pairs.folders to any or across"
        )
    if params.device == "gpu":
        from stages.comparing.block_pairs import missing_gpu

        yield from missing_gpu()


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield all block pairs within set a, or of a with b.

    The first block pairs need the first blocks only."""
    blocks = {name: [t.key for t in upstream.tasks("index") if t.notes["set"] == name] for name in ("a", "b")}
    images = {task.key: task.size for task in upstream.tasks("index")}
    for (a, b), place, group in ordered_pairs(blocks["a"], blocks["b"]):
        inputs = (("index", a),) if a == b else (("index", a), ("index", b))
        size = images[a] * (images[a] - 1) // 2 if a == b else images[a] * images[b]
        yield Task(f"{a}.{b}", inputs, order=place, group=group, size=size)


def memory(upstream: Upstream, params: Params) -> int:
    """Return the memory of a task with two of the largest blocks, in bytes."""
    largest = block = 0
    for partition in upstream.tasks("scan"):
        block += partition.size
        largest = max(largest, block)
        block = 0 if partition.notes["closes_block"] else block
    vector = PER_VECTOR * params.comparison.turns if params.metric == "embedding" else 0
    return PROCESS + INDEXES + KEPT + 2 * largest * (PER_IMAGE + vector)


def warm_up(upstream: Upstream, exists: Callable[[str], bool]) -> None:
    """Compile the loops in a side process, if the first run will use compiled code."""
    from pipeline.machine import side_process
    from stages.kernels.arrays import compiled
    from stages.kernels.compare import TUNING
    from stages.kernels.warm_up import compile_loops

    images = sum(partition.size for partition in upstream.tasks("scan"))
    if images**2 >= TUNING.compiled and compiled() and not exists("run.json"):
        side_process.submit(compile_loops)


def own_code(params: Params, settings: Settings) -> bool:
    """Return whether the metric is the user's own function."""
    return ":" in params.metric


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns of the index that the comparison reads."""
    return {"index": index_columns(params.comparison)}


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return the matches of one block pair, sorted by both paths.

    The summary is the ledger; the stats hold the number of pairs for each filter."""
    from stages.comparing.block_pairs import matches_of

    ledger: dict[str, Any] = {}
    levels: dict[str, Any] = {}
    rows = matches_of(inputs.of("index"), params.comparison, params.device, job, ledger, levels)
    return Result(rows, summary=ledger, stats={"levels": levels})


def figures(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the section `ledger` of run.json: sums over the block pairs."""
    names = ("pairs_total", "decided", "skipped_by_rule", "identical", "matches")
    found = list(summaries)
    return {"ledger": {name: sum(summary[name] for summary in found) for name in names}}


def uses(settings: Settings) -> Sequence[str]:
    """Return the settings of other sections that determine the matches."""
    references = ("inputs.reference",) if settings("pairs.references") == "skip" else ()
    roots = ("inputs.a", "inputs.b") if settings("pairs.folders") != "any" else ()
    return ("thumbnail.size", "thumbnail.channels", "thumbnail.decode", *references, *roots)


STAGE: Stage[Params] = Stage(
    "pairs",
    version=4,
    needs=("index",),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses),
    reuse=Reuse(builds_on=("threshold",)),
    output=Output(figures=figures, unit="pairs", seconds=1e-9),
    preflight=Preflight(check, memory, remedy="lower partition.block", own_code=own_code, warm_up=warm_up),
)
