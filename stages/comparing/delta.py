"""What an earlier artifact of a block pair already tells, so that only what has changed is compared.

A row about two images holds as long as both are in the blocks, stand for themselves as they did, and are the same in
everything that is compared or that a rule looks at. So images are told apart by what the index says of them; rows of
two known images are copied, and pairs with a new one are compared. A lower threshold leaves out rows; a higher one has
all pairs filtered anew, but none measured that was a match before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Before, Job
from stages.comparing.blocks import Block, index_table, read_blocks
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.kinds import Kind, kind_of
from stages.comparing.thumbnails import thumbnail_shape
from stages.kernels.arrays import CPU
from stages.kernels.compare import Earlier
from stages.kernels.measure.metric import Found

PLACES = ("path", "partition", "row", "coarse")
"""Columns of the index that tell where an image is, or follow from another."""

Mask = NDArray[np.bool_]


def earlier(job: Job, blocks: Sequence[Block], kind: Kind, comparison: Comparison) -> Earlier | None:
    """The earlier artifact that tells most, if there is any; a damaged one tells nothing."""
    if not kind.symmetric(comparison):
        return None  # who comes first in a pair matters then, and copies are not stood for
    told = []
    for before in job.before():
        try:
            told.append(_told(before, job, blocks, kind, comparison))
        except ArtifactDamaged:
            continue
    limit = kind.limit
    return max(told, key=lambda each: (each.covers(limit), each.known_a.sum() * each.known_b.sum()), default=None)


def _told(before: Before, job: Job, blocks: Sequence[Block], kind: Kind, comparison: Comparison) -> Earlier:
    references = job.settings("inputs.reference") if comparison.references == "skip" else ()
    old = read_blocks([index_table(index, comparison) for index in before.inputs.of("index")], comparison, references)
    known = [_known(block, was) for block, was in zip(blocks, old, strict=True)]
    then = replace(comparison, threshold=before.params["threshold"])
    limit = kind_of(comparison)(then, thumbnail_shape(job.settings), CPU).limit
    return Earlier(limit, known[0], known[-1], _rows(before, blocks, known, kind, comparison))


def _known(block: Block, was: Block) -> Mask:
    """Which of a block's representatives stood for themselves before, and are the same, bool (representatives,)."""
    now = block.table.take(pa.array(block.standing))
    then = was.table.take(pa.array(was.standing))
    place = pc.index_in(now["path"], then["path"].combine_chunks())
    same = pc.is_valid(place)
    for name in now.column_names:
        if name not in PLACES:
            same = pc.and_(same, pc.fill_null(pc.equal(now[name], then[name].take(place)), False))
    return np.asarray(same.to_numpy(), bool)


def _rows(before: Before, blocks: Sequence[Block], known: Sequence[Mask], kind: Kind, comparison: Comparison) -> Found:
    """Rows of two known images that were measured, by their places among the representatives."""
    table = before.artifact.table(["path_a", "path_b", comparison.column, "turns", "measured"])
    places, keep = [], np.asarray(table["measured"].to_numpy(), bool)
    for name, block, there in (("path_a", blocks[0], known[0]), ("path_b", blocks[-1], known[-1])):
        paths = block.table["path"].combine_chunks().take(pa.array(block.standing))
        place = np.asarray(pc.fill_null(pc.index_in(table[name], paths), -1).to_numpy(), np.int64)
        keep &= (place >= 0) & (there[place] if len(there) else False)
        places.append(place)
    found = Found(
        places[0][keep],
        places[1][keep],
        kind.measured(table[comparison.column].to_numpy()[keep]),
        table["turns"].to_numpy()[keep],
        np.ones(int(keep.sum()), bool),
    )
    return found.where(np.lexsort((found.b, found.a)))
