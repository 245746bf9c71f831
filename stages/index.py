"""Gather the data of each block that comparing needs before candidates are known.

There is one file per block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.messages.errors import TaskError
from pipeline.stage import (
    Address,
    Artifact,
    CacheKey,
    Inputs,
    Job,
    Output,
    Result,
    Settings,
    Stage,
    Task,
    Upstream,
    section,
)
from stages.comparing.metrics.hamming import HASHES, MIRRORED_HASHES
from stages.comparing.thumbnails import coarse_type, thumbnail_shape
from stages.kernels.measure.identity import digest

NUMBERS = {"turn": pa.int8(), "symmetry": pa.int8(), "unchanged": pa.uint8()}
"""Types of the columns of the hash stage that are not text."""


def hashed(settings: Settings) -> tuple[str, ...]:
    """Return the columns that are taken from the hash stage."""
    mirror = settings("pairs.mirror")
    hashes = HASHES + MIRRORED_HASHES if mirror else HASHES
    return (*hashes, "identity", "identity_turned", "turn", "symmetry", *(["unchanged"] if mirror else []))


@section
class Params:
    """No parameters: the index follows from its inputs alone."""


def schema(params: Params, settings: Settings) -> pa.Schema:
    """Return the artifact's schema.

    partition        number of the image's partition in the list `parts` of the summary
    row              row of the image in its thumbnail artifact
    vector           with pairs.embedding: as in the stage embed; empty if the image has no vector
    vector_identity  digest of the vector; empty if the image has no vector"""
    return pa.schema(
        [
            ("path", pa.string()),
            ("partition", pa.int32()),
            ("row", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            *((name, NUMBERS.get(name, pa.string())) for name in hashed(settings)),
            ("coarse", coarse_type(thumbnail_shape(settings))),
            *([("vector", pa.binary()), ("vector_identity", pa.string())] if settings("pairs.embedding") else []),
        ]
    )


def tasks(upstream: Upstream, params: Params) -> Iterator[Task]:
    """Yield one task per block; the key is the key of the block's last partition."""
    inputs: list[Address] = []
    images = 0
    stages = ("thumbnail", "hash", "embed") if upstream.tasks("embed") else ("thumbnail", "hash")
    for partition in upstream.tasks("scan"):
        inputs += [(stage, partition.key) for stage in stages]
        images += partition.size
        if partition.notes["closes_block"]:
            yield Task(partition.key, tuple(inputs), notes={"set": partition.notes["set"]}, size=images)
            inputs, images = [], 0


def compute(inputs: Inputs, params: Params, job: Job) -> Result:
    """Return the readable images of a block in path order.

    The summary lists the parts: key of the partition, and digest of its thumbnail column.

    Raises:
        TaskError: thumbnails, hashes and vectors are of different images."""
    parts: list[list[str]] = []
    tables = []
    names = hashed(job.settings)
    vectors = inputs.of("embed") if job.settings("pairs.embedding") else [None] * len(inputs.of("hash"))
    for thumbnails, hashes, embedded in zip(inputs.of("thumbnail"), inputs.of("hash"), vectors, strict=True):
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
        if embedded is not None:
            rows = _with_vectors(rows, embedded)
        tables.append(rows.append_column("partition", pa.array(np.full(len(rows), len(parts), np.int32))))
        parts.append([thumbnails.key, thumbnails.content["thumbnail"]])
    table = pa.concat_tables(tables).select(schema(params, job.settings).names)
    return Result((table,), summary={"images": len(table), "parts": parts})


def _with_vectors(rows: pa.Table, embedded: Artifact) -> pa.Table:
    """Return rows with their vectors, and digests of the vectors.

    Both are empty for an image without a vector."""
    found = embedded.table(["path", "vector"])
    if not rows["path"].equals(found["path"]):
        raise TaskError(
            f"{embedded.key}: thumbnails and vectors are of different images; delete both artifacts and run again"
        )
    vectors = found["vector"].fill_null(b"")
    digests = [digest(np.frombuffer(vector, np.uint8)) if vector else "" for vector in vectors.to_pylist()]
    return rows.append_column("vector", vectors).append_column("vector_identity", pa.array(digests, pa.string()))


def reads(params: Params, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the columns that determine the index.

    Of the column of thumbnails, only the digest is read."""
    return {
        "thumbnail": ("path", "width", "height", "error", "coarse", "thumbnail"),
        "hash": ("path", *hashed(settings)),
        "embed": ("path", "vector"),
    }


STAGE: Stage[Params] = Stage(
    "index",
    version=2,
    needs=("scan", "thumbnail", "hash", "embed"),
    params=Params,
    schema=schema,
    tasks=tasks,
    compute=compute,
    cache_key=CacheKey(
        reads, ("thumbnail.size", "thumbnail.channels", "pairs.embedding"), added={"pairs.mirror": False}
    ),
    output=Output(unit="images", seconds=2e-5),
)
