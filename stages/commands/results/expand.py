"""Matches of groups of identical images as matches of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.comparing.blocks import Block
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.kinds import kind_of
from stages.kernels.graph import groups


def expanded(rows: groups.PairArrays, blocks: Sequence[Block], comparison: Comparison, swap: bool) -> groups.PairArrays:
    """Every pair of images that the rows of some blocks stand for; images are numbered in path order.

    `swap` for a single set. Where a metric is not symmetric, rows within a block are about their two images alone."""
    sizes = [len(block.representative) for block in blocks]
    starts = np.cumsum([0, *sizes])
    place = np.repeat(np.arange(len(blocks)), sizes)
    stands = np.concatenate([block.representative + start for block, start in zip(blocks, starts, strict=False)])
    turn, symmetry = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("turn", "symmetry"))
    inside = stands[rows.a] == stands[rows.b]
    alone = (place[rows.a] == place[rows.b]) & ~inside & (not kind_of(comparison).symmetric(comparison))
    fields = groups.PairArrays.__dataclass_fields__
    whole = groups.expand(
        groups.PairArrays(*(getattr(rows, name)[~alone] for name in fields)), stands, turn, symmetry, swap
    )
    if not kind_of(comparison).turns_alike:  # copies are as far apart as the first and any other, in the same turns
        first = np.zeros(len(stands), np.int64)
        first[rows.a[inside]] = np.flatnonzero(inside)
        within = np.flatnonzero(stands[whole.a] == stands[whole.b])
        of = first[stands[whole.a[within]]]
        whole.mse[within], whole.turns[within] = rows.mse[of], rows.turns[of]
    return groups.PairArrays(*(np.concatenate([getattr(whole, name), getattr(rows, name)[alone]]) for name in fields))
