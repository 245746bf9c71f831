"""Compare the images of one block pair, and return the matches as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipeline.machine.installation import install_extra
from pipeline.messages.errors import TaskError
from pipeline.stage import Artifact, Job
from stages.comparing import copies
from stages.comparing.blocks import read_blocks, rule_inputs, ruled_out
from stages.comparing.comparison import Comparison
from stages.comparing.delta import earlier_matches
from stages.comparing.index_columns import index_table
from stages.comparing.match_rows import match_tables
from stages.comparing.metrics.kinds import kind_of
from stages.comparing.thumbnails import thumbnail_shape
from stages.kernels import arrays
from stages.kernels.compare import BlockPair
from stages.kernels.measure.turns import numbered
from stages.kernels.rules import MatchRules


def matches_of(
    indexes: Sequence[Artifact],
    comparison: Comparison,
    device_name: str,
    job: Job,
    ledger: dict[str, Any],
    levels: dict[str, Any],
) -> Iterator[pa.Table]:
    """Yield the matches of one block pair, sorted by both paths.

    indexes      index artifacts of the blocks; a single artifact for a block that is compared with itself
    device_name  `pairs.device`
    ledger       receives the counts of pairs
    levels       receives the number of pairs for each filter

    Raises:
        TaskError: the device does not exist."""
    device = _device(device_name)
    decode, channels = job.settings("thumbnail.decode"), job.settings("thumbnail.channels")
    tables = [index_table(index, comparison) for index in indexes]
    blocks = read_blocks(tables, comparison, *rule_inputs(comparison, job.settings))
    kind = kind_of(comparison)(comparison, thumbnail_shape(job.settings), device)
    grouped = None if len(blocks) > 1 or kind.symmetric(comparison) else blocks[0].ungroup()
    idle = ruled_out(blocks[0], blocks[-1])
    known = None if idle else earlier_matches(job, blocks, kind, comparison)
    idle = idle or (known is not None and known.covers_all(kind.limit))
    sides = [block.side(job, index, kind, idle) for block, index in zip(blocks, indexes, strict=True)]
    rules = MatchRules(kind.limit, comparison.turns, comparison.same_hash)
    diagonal = len(blocks) == 1
    pair = BlockPair(sides[0], sides[-1], diagonal, rules, kind.kernel, device, known)
    inside = copies.rows(blocks[0], comparison) if diagonal else None
    for rows, found in pair.runs():
        found = found._replace(
            a=blocks[0].representatives[found.a],
            b=blocks[-1].representatives[found.b],
            turns=numbered(found.turns, comparison.turns),
        )
        if inside is not None:
            found = copies.with_copies(found, inside, blocks[0].representatives[rows])
        if grouped is not None:  # of identical images, record only pairs with the group's first image
            found = found.where((grouped[found.a] != grouped[found.b]) | (grouped[found.a] == found.a))
        yield from match_tables(found, blocks, kind, comparison, decode, channels)
        job.advance(job.task.size * (rows.stop - rows.start) // len(sides[0]))
    if diagonal:
        copies.add_to_ledger(pair.ledger, blocks[0], comparison)
    counts = [len(block.table) for block in blocks]
    total = counts[0] * (counts[0] - 1) // 2 if diagonal else counts[0] * counts[1]
    ledger |= {"pairs_total": total, **asdict(pair.ledger)}
    levels |= {**asdict(pair.levels), "device": device.name}


def _device(name: str) -> arrays.Device:
    try:
        return arrays.choose(name)
    except arrays.NoDevice as error:
        raise TaskError(f"pairs.device: {error}") from error


def missing_gpu() -> Iterator[str]:
    """Yield why `pairs.device: gpu` can't be used, and how to install what is missing; nothing where a GPU works."""
    try:
        arrays.gpu()
    except arrays.NoDevice as error:
        how = f": {install_extra(error.extra)}" if error.extra else ""
        yield f"pairs.device: {error}{how}; or set pairs.device=cpu"
