"""Build tables of matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from stages.comparing.blocks import Block
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.kinds import Kind
from stages.kernels.measure import turns
from stages.kernels.measure.metric import MatchArrays

MATCHES = 1 << 18
"""Greatest number of rows of a table of matches."""


def match_schema(comparison: Comparison) -> pa.Schema:
    """Return the schema of matches.

    rotation    degrees by which b is turned counter-clockwise, after the mirror
    mirrored    whether b is mirrored left-right before the rotation; only with `pairs.mirror`
    turns       the turns of b that attain the least distance; bit k: k quarter turns; bit 4 + k: k quarter turns after
                the mirror. The lowest bit determines rotation and mirrored
    measured    False for pairs with equal hashes under `same_hash: zero`
    borderline  whether the pair might be beyond the threshold with `decode: exact`"""
    return pa.schema(
        [
            ("path_a", pa.string()),
            ("path_b", pa.string()),
            (comparison.column, pa.float64()),
            ("rotation", pa.int16()),
            *([("mirrored", pa.bool_())] if comparison.mirror else []),
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
        smallest = turns.SMALLEST[found.turns[rows]]
        yield pa.table(
            [
                paths[0].take(pa.array(found.a[rows])),
                paths[1].take(pa.array(found.b[rows])),
                values,
                turns.degrees(smallest),
                *([smallest >= turns.MIRRORED] if comparison.mirror else []),
                found.turns[rows],
                found.measured[rows],
                comparison.borderline(values, decode, channels),
            ],
            schema=match_schema(comparison),
        )
