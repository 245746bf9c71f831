"""Matches as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from stages.comparing.blocks import Block
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.kinds import Kind
from stages.kernels.measure import turns
from stages.kernels.measure.metric import MatchArrays

MATCHES = 1 << 18
"""Rows of a table of matches."""


def match_schema(column: str) -> pa.Schema:
    """Return the schema of matches with the distance in `column`.

    turns       bit k is set where k quarter turns of b attain the least distance
    measured    false for pairs of `same_hash: zero`
    borderline  so near the threshold that `decode: exact` might decide differently"""
    return pa.schema(
        [
            ("path_a", pa.string()),
            ("path_b", pa.string()),
            (column, pa.float64()),
            ("rotation", pa.int16()),
            ("turns", pa.uint8()),
            ("measured", pa.bool_()),
            ("borderline", pa.bool_()),
        ]
    )


def match_tables(
    found: MatchArrays,
    blocks: Sequence[Block],
    kind: Kind,
    comparison: Comparison,
    decode: str,
    channels: str,
) -> Iterator[pa.Table]:
    """Yield the matches of a block pair as tables of at most MATCHES rows.

    decode, channels  values of the config's section `thumbnail`"""
    paths = [block.table["path"].combine_chunks() for block in (blocks[0], blocks[-1])]
    for start in range(0, len(found.a), MATCHES):
        rows = slice(start, start + MATCHES)
        values = kind.figures(found.values[rows])
        yield pa.table(
            [
                paths[0].take(pa.array(found.a[rows])),
                paths[1].take(pa.array(found.b[rows])),
                values,
                turns.SMALLEST[found.turns[rows]] * np.int16(90),
                found.turns[rows],
                found.measured[rows],
                comparison.borderline(values, decode, channels),
            ],
            schema=match_schema(comparison.column),
        )
