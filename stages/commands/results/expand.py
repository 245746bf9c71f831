"""Expand matches of representatives to matches of all pairs of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.stage import Settings
from stages.comparing.blocks import Block, read_blocks, rule_inputs
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.kinds import kind_of
from stages.kernels.graph import groups
from stages.kernels.measure import turns


def expanded_rows(
    rows: pd.DataFrame, tables: Sequence[pa.Table], comparison: Comparison, settings: Settings, swap: bool
) -> pd.DataFrame:
    """Return a row for each pair of images that rows of representatives represent.

    `tables`: of the stage index, in path order, with all images of `rows`; `swap`: see `groups.expand`."""
    known = pd.Index(pa.concat_arrays([table["path"].combine_chunks() for table in tables]).to_pandas())
    a, b = (known.get_indexer(rows[name]).astype(np.int64) for name in ("path_a", "path_b"))
    values = (rows[name].to_numpy() for name in (comparison.column, "turns", "measured"))
    blocks = read_blocks(tables, comparison, *rule_inputs(comparison, settings))
    whole = expanded(groups.PairArrays(a, b, *values), blocks, comparison, swap)
    smallest = turns.SMALLEST[whole.turns]
    return pd.DataFrame(
        {
            "path_a": known[whole.a],
            "path_b": known[whole.b],
            comparison.column: whole.mse,
            "rotation": turns.degrees(smallest),
            **({"mirrored": smallest >= turns.MIRRORED} if comparison.mirror else {}),
            "turns": whole.turns,
            "measured": whole.measured,
        }
    )


def expanded(rows: groups.PairArrays, blocks: Sequence[Block], comparison: Comparison, swap: bool) -> groups.PairArrays:
    """Return all pairs of images that the rows of blocks represent.

    Images are numbered in path order. `swap`: see `groups.expand`. With an asymmetric metric, a row within a block
    represents its two images alone."""
    sizes = [len(block.representative) for block in blocks]
    starts = np.cumsum([0, *sizes])
    place = np.repeat(np.arange(len(blocks)), sizes)
    stands = np.concatenate([block.representative + start for block, start in zip(blocks, starts, strict=False)])
    turn, unchanged = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("turn", "unchanged"))
    inside = stands[rows.a] == stands[rows.b]
    alone = (place[rows.a] == place[rows.b]) & ~inside & (not kind_of(comparison).symmetric(comparison))
    fields = groups.PairArrays.__dataclass_fields__
    whole = groups.expand(
        groups.PairArrays(*(getattr(rows, name)[~alone] for name in fields)), stands, turn, unchanged, swap
    )
    if not kind_of(comparison).turns_alike:  # all identical images have the distance and turns of one row
        first = np.zeros(len(stands), np.int64)
        first[rows.a[inside]] = np.flatnonzero(inside)
        within = np.flatnonzero(stands[whole.a] == stands[whole.b])
        of = first[stands[whole.a[within]]]
        whole.mse[within], whole.turns[within] = rows.mse[of], rows.turns[of]
    return groups.PairArrays(*(np.concatenate([getattr(whole, name), getattr(rows, name)[alone]]) for name in fields))
