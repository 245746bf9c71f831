"""Select the closest and the farthest matches, and count distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Artifact
from stages.comparing.figure import Figure
from stages.report.reads import columns

BINS = 60
DECADES = 2_000
"""The greatest distance on the logarithmic axis of a histogram, divided by the least distance."""
ALL = 1 << 60
BY_PATH = (("path_a", "ascending"), ("path_b", "ascending"))


def number(amount: int | str) -> int:
    """Return an amount as a number; "all" becomes a very large number."""
    return ALL if amount == "all" else int(amount)


def extremes(artifacts: Sequence[Artifact], column: str, amount: int | str, limit: float) -> tuple[pa.Table, pa.Table]:
    """Return the `amount` closest and the `amount` farthest matches; no match is in both tables.

    Memory is linear in `amount`. Measured pairs of identical thumbnails (MSE 0) are left out, since two equal pictures
    are of no interest."""
    most = number(amount)
    sizes = {"ascending": most, "descending": 2 * most}  # up to `most` of the farthest may be among the closest
    kept: dict[str, pa.Table] = {}
    for artifact in artifacts if most else ():
        for batch in artifact.batches(columns(column)):
            rows = pa.table(batch).filter(_different_matches(batch, column, limit))
            for order, size in sizes.items():
                before = kept.get(order, rows.slice(0, 0))
                better = rows if len(before) < size else rows.filter(_no_worse(rows[column], before[column][-1], order))
                ranked = pa.concat_tables([before, better]).sort_by([(column, order), *BY_PATH])
                kept[order] = ranked.slice(0, size)
    if not kept:
        nothing = pa.table({name: [] for name in columns(column)})
        return nothing, nothing
    closest, farthest = kept.values()
    shown = set(zip(closest["path_a"].to_pylist(), closest["path_b"].to_pylist(), strict=True))
    pairs = zip(farthest["path_a"].to_pylist(), farthest["path_b"].to_pylist(), strict=True)
    unshown = pa.array([pair not in shown for pair in pairs], pa.bool_())
    return closest, farthest.filter(unshown).slice(0, most)


def _different_matches(batch: pa.RecordBatch, column: str, limit: float) -> pa.BooleanArray:
    """Return which rows are at most `limit` apart and have different thumbnails."""
    within = pc.less_equal(batch[column], limit)
    if column != "mse":  # with another metric, different pictures may have distance 0
        return within
    return pc.and_not(within, pc.and_(pc.equal(batch[column], 0), batch["measured"]))


def _no_worse(found: pa.ChunkedArray, than: pa.Scalar, order: str) -> pa.ChunkedArray:
    return pc.less_equal(found, than) if order == "ascending" else pc.greater_equal(found, than)


def bins(artifacts: Sequence[Artifact], figure: Figure, threshold: float | None) -> tuple[list[int], list[float]]:
    """Return counts of rows in bins of distances, and the edges of the bins.

    There are BINS bins. The first bin counts only the distance 0. The edges of the other bins grow by equal ratios, up
    to the threshold, or to the largest distance if there is no threshold; the second bin also counts distances below
    its lower edge. If distances are whole numbers below BINS, each number has a bin, centred on the number, instead."""
    top, name = threshold, figure.column
    if top is None:
        top = max((pc.max(b[name]).as_py() or 0.0 for a in artifacts for b in a.batches([name])), default=0.0)
    few = figure.whole and top < BINS
    most = top or 1.0
    least = max(most / DECADES, 0.5 if figure.whole else 0.0)
    edges = np.arange(int(top) + 2) - 0.5 if few else np.concatenate([[0.0], np.geomspace(least, most, BINS)])
    edges[-1] = max(edges[-1], most)  # the last power may be rounded down
    counts = np.zeros(len(edges) - 1, np.int64)
    for artifact in artifacts:
        for batch in artifact.batches([name]):
            values = batch[name].to_numpy()
            if not few:
                values = np.where(values > 0, np.maximum(values, least), 0.0)
            counts += np.histogram(values, edges)[0]
    return counts.tolist(), edges.tolist()
