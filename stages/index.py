"""Gather, per block, the data that comparing needs before candidates are known.

There is one file a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from pipeline.messages.errors import TaskError
from pipeline.stage import Address, CacheKey, Inputs, Job, Result, Settings, Stage, Task, Upstream
from stages.comparing.embed import embedded
from stages.comparing.metrics.hamming import HASHES, MIRRORED_HASHES
from stages.comparing.thumbnails import coarse_type, pixels, thumbnail_shape

NUMBERS = {"turn": pa.int8(), "symmetry": pa.int8(), "unchanged": pa.uint8()}
"""Types of the columns of the hash stage that are no text."""


def hashed(settings: Settings) -> tuple[str, ...]:
    """Return the columns that are taken from the hash stage."""
    mirror = settings("pairs.mirror")
    hashes = HASHES + MIRRORED_HASHES if mirror else HASHES
    return (*hashes, "identity", "identity_turned", "turn", "symmetry", *(["unchanged"] if mirror else []))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Params:
    """No parameters: the index follows from its inputs alone."""


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema.

    partition  number of the image's part in the summary
    row        row of the image in its thumbnail artifact
    vector     with pairs.embedding: float32 (turns, d) in C order, little-endian, of the turns that are compared"""
    return pa.schema(
        [
            ("path", pa.string()),
            ("partition", pa.int32()),
            ("row", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            *((name, NUMBERS.get(name, pa.string())) for name in hashed(settings)),
            ("coarse", coarse_type(thumbnail_shape(settings))),
            *([("vector", pa.binary())] if settings("pairs.embedding") else []),
        ]
    )


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task per block; the key is the key of the block's last partition."""
    inputs: list[Address] = []
    for partition in upstream.tasks("scan"):
        inputs += [("thumbnail", partition.key), ("hash", partition.key)]
        if partition.notes["closes_block"]:
            yield Task(partition.key, tuple(inputs), notes={"set": partition.notes["set"]})
            inputs = []


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return the readable images of a block in path order.

    The summary lists the parts: key of the partition, and digest of its thumbnail column.

    Raises:
        TaskError: thumbnails and hashes are of different images."""
    parts: list[list[str]] = []
    tables = []
    function, names = job.settings("pairs.embedding"), hashed(job.settings)
    turns = 1
    if function:
        turns = (4 if job.settings("pairs.rotations") else 1) * (2 if job.settings("pairs.mirror") else 1)
    for thumbnails, hashes in zip(inputs.of("thumbnail"), inputs.of("hash"), strict=True):
        rows = thumbnails.table(["path", "width", "height", "error", "coarse"])
        readable = pc.is_null(rows["error"])
        rows = rows.append_column("row", pa.array(np.arange(len(rows), dtype=np.int32))).filter(readable)
        of_hash = hashes.table(["path", *names])
        if not rows["path"].equals(of_hash["path"]):
            raise TaskError(
                f"{thumbnails.key}: thumbnails and hashes are of different images; delete both artifacts and run again"
            )
        for name in names:
            rows = rows.append_column(name, of_hash[name])
        if function:
            column = thumbnails.table(["thumbnail"])["thumbnail"].filter(readable)
            images = pixels(column, thumbnail_shape(job.settings))
            rows = rows.append_column("vector", embedded(function, images, turns, rows["path"]))
        tables.append(rows.append_column("partition", pa.array(np.full(len(rows), len(parts), np.int32))))
        parts.append([thumbnails.key, thumbnails.content["thumbnail"]])
    table = pa.concat_tables(tables).select(schema(params, job.settings).names)
    return Result((table,), summary={"images": len(table), "parts": parts})


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine the index.

    Of thumbnails, only the digest of the column counts."""
    return {
        "thumbnail": ("path", "width", "height", "error", "coarse", "thumbnail"),
        "hash": ("path", *hashed(settings)),
    }


def uses(settings: Settings) -> Sequence[str]:
    """Return the settings that determine the index.

    Rotations matter for embeddings only."""
    rotations = ["pairs.rotations"] if settings("pairs.embedding") else []
    return ["thumbnail.size", "thumbnail.channels", "pairs.embedding", *rotations]


STAGE: Stage[Params] = Stage(
    "index",
    version=2,
    needs=("scan", "thumbnail", "hash"),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(reads, uses, added={"pairs.mirror": False}),
)
