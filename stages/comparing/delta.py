"""Find matches that an earlier artifact holds, so that only new pairs are compared.

A row about two images stays valid as long as both images are in the blocks, are representatives as before, and have
the same values in every column that is compared or that a rule reads. The index holds these columns. Rows of two
known images are copied; pairs with a new image are compared. With a lower threshold, rows beyond the threshold are left
out. With a higher threshold, all pairs are filtered again, but pairs that matched before are not measured again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Base, Job
from stages.comparing.blocks import Block, read_blocks, rule_inputs
from stages.comparing.comparison import Comparison
from stages.comparing.index_columns import index_table
from stages.comparing.metrics.kinds import Kind, kind_of
from stages.comparing.thumbnails import thumbnail_shape
from stages.kernels.arrays import CPU
from stages.kernels.measure import turns
from stages.kernels.measure.metric import MatchArrays
from stages.kernels.rules import EarlierMatches

PLACES = ("path", "partition", "row", "coarse")
"""Columns of the index that are not compared: they locate an image, or follow from other columns."""

Mask = NDArray[np.bool_]


def earlier_matches(job: Job, blocks: Sequence[Block], kind: Kind, comparison: Comparison) -> EarlierMatches | None:
    """Return the matches of the earlier artifact that covers most pairs, or None.

    Damaged artifacts are ignored."""
    if not kind.symmetric(comparison):
        return None  # the order of a pair's images matters, and copies have no representative
    held = []
    for base in job.bases():
        try:
            held.append(_held_by(base, job, blocks, kind, comparison))
        except ArtifactDamaged:
            continue
    limit = kind.limit
    return max(held, key=lambda each: (each.covers(limit), each.known_a.sum() * each.known_b.sum()), default=None)


def _held_by(base: Base, job: Job, blocks: Sequence[Block], kind: Kind, comparison: Comparison) -> EarlierMatches:
    tables = [index_table(index, comparison) for index in base.inputs.of("index")]
    old = read_blocks(tables, comparison, *rule_inputs(comparison, job.settings))
    known = [_known(block, was) for block, was in zip(blocks, old, strict=True)]
    then = replace(comparison, threshold=base.params["threshold"])
    limit = kind_of(comparison)(then, thumbnail_shape(job.settings), CPU).limit
    return EarlierMatches(limit, known[0], known[-1], _rows(base, blocks, known, kind, comparison))


def _known(block: Block, was: Block) -> Mask:
    """Return which representatives of a block were representatives before and are unchanged, bool (m,)."""
    now = block.table.take(pa.array(block.representatives))
    then = was.table.take(pa.array(was.representatives))
    place = pc.index_in(now["path"], then["path"].combine_chunks())
    same = pc.is_valid(place)
    for name in now.column_names:
        if name not in PLACES:
            same = pc.and_(same, pc.fill_null(pc.equal(now[name], then[name].take(place)), False))
    return np.asarray(same.to_numpy(), bool)


def _rows(
    base: Base, blocks: Sequence[Block], known: Sequence[Mask], kind: Kind, comparison: Comparison
) -> MatchArrays:
    """Return the measured matches of two known images, by positions among the representatives."""
    table = base.artifact.table(["path_a", "path_b", comparison.column, "turns", "measured"])
    places, keep = [], np.asarray(table["measured"].to_numpy(), bool)
    for name, block, there in (("path_a", blocks[0], known[0]), ("path_b", blocks[-1], known[-1])):
        paths = block.table["path"].combine_chunks().take(pa.array(block.representatives))
        place = np.asarray(pc.fill_null(pc.index_in(table[name], paths), -1).to_numpy(), np.int64)
        keep &= (place >= 0) & (there[place] if len(there) else False)
        places.append(place)
    found = MatchArrays(
        places[0][keep],
        places[1][keep],
        kind.measured(table[comparison.column].to_numpy()[keep]),
        turns.placed(table["turns"].to_numpy()[keep], comparison.turns),
        np.ones(int(keep.sum()), bool),
    )
    return found.where(np.lexsort((found.b, found.a)))
