"""Make the table of clusters: members by rank, reasons of keepers, distances."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Inputs, Job
from stages.clustering import dismissed, keepers
from stages.clustering.distances import inside
from stages.clustering.focus import Sharpness
from stages.clustering.keeper_keys import Rule
from stages.clustering.ledger import check_ledger
from stages.clustering.live import per_folder
from stages.clustering.matches import Matches
from stages.clustering.members import flat_paths, members_of, readable_paths, rows_by_cluster
from stages.comparing.figure import column_of


class Choices(Protocol):
    """Settings that decide which images form a cluster, and which image of a cluster stays."""

    @property
    def linkage(self) -> str: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def keep(self) -> Sequence[Rule]: ...
    @property
    def dismissed(self) -> Sequence[str]: ...
    @property
    def min_contrast(self) -> float: ...


def clustered(
    inputs: Inputs, job: Job, choices: Choices, of_thumbnails: Collection[str], of_scan: Collection[str]
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the members of clusters of two or more images, and the summary.

    of_thumbnails, of_scan  columns that the table and the rules read, besides the path

    Raises:
        TaskError: the ledger does not account for every pair."""
    thumbnails = inputs.of("thumbnail")
    check_ledger(thumbnails, inputs.of("pairs"))
    threshold = choices.threshold if choices.threshold is not None else job.settings("pairs.threshold")
    flat = flat_paths(thumbnails, choices.min_contrast)
    matches = Matches(inputs.of("pairs"), column_of(job.settings("pairs.metric")), threshold, flat)
    # Connected components need no graph in memory: the matches are streamed.
    graph = matches.graph() if choices.linkage != "components" or choices.dismissed else None
    paths, family = (graph.paths, graph.families()) if graph else matches.component_labels()
    images = members_of(inputs, job, paths, of_thumbnails, of_scan)
    sharpness = Sharpness(job, family)
    context = keepers.RankingContext(family, lambda: per_folder(readable_paths(thumbnails)))
    ranking = keepers.ranked(images.table, choices.keep, sharpness, context)
    excluded: dict[int, set[int]] = {}
    if choices.dismissed:
        pairs = dismissed.unchanged(choices.dismissed, job.task.spec["dismissed"])
        excluded = dismissed.dismissed_images(pairs, images.table["digest"].to_pylist())
    labels = graph.clusters(choices.linkage, ranking.places, excluded) if graph else family
    rows, cluster = rows_by_cluster(labels, ranking.places)
    members = images.take(rows)
    first = np.diff(cluster, prepend=-1) != 0
    reasons = np.full(len(rows), None, object)
    reasons[first] = ranking.reasons(rows[first], rows[np.flatnonzero(first) + 1])
    keeper = np.flatnonzero(first)[cluster]
    sides = zip(rows.tolist(), rows[keeper].tolist(), strict=True)
    distances = inside(inputs, job, members, keeper, cluster)
    columns = {
        "cluster": cluster,
        "keeper": first,
        "rank": np.arange(len(rows)) - keeper,
        "reason": pa.array(reasons, pa.string()),
        "dismissed": np.array([other in excluded.get(image, ()) for image, other in sides], bool),
        "mse_to_keeper": distances.to_keeper,
        "size": np.bincount(cluster)[cluster],
        "diameter": distances.diameter[cluster],
    }
    table = members.table
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    table = table.sort_by([("cluster", "ascending"), ("keeper", "descending"), ("path", "ascending")])
    summary = {
        "count": int(first.sum()),
        "images": table.num_rows,
        "removable_bytes": pc.sum(table.filter(pc.invert(keepers.stay(table)))["bytes"]).as_py() or 0,
        "flat": len(flat),
        "unmeasured": sharpness.unmeasured,
        "passing": sharpness.passing,
    }
    return table, summary
