"""Select the members of clusters, with the facts that rules and the table need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Artifact, Inputs, Job
from stages.clustering.rows import ImageRows, rows_of
from stages.comparing.references import are_references

Ints = NDArray[np.int64]


def flat_paths(thumbnails: Sequence[Artifact], least: float) -> pa.Array:
    """Return the paths of images with less contrast than `least`."""
    found = []
    for artifact in thumbnails if least else ():
        rows = artifact.table(["path", "contrast"])
        found += rows["path"].filter(pc.less(rows["contrast"], least)).chunks
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def rows_by_cluster(labels: Ints, rank: Ints) -> tuple[Ints, Ints]:
    """Return the rows of images in clusters of two or more images, and cluster numbers.

    Rows are sorted by cluster, then by rank; clusters are numbered from 0 by the first path in each."""
    _, first, number, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    several = np.flatnonzero(sizes > 1)
    new = np.full(len(sizes), -1)
    new[several[np.argsort(first[several])]] = np.arange(len(several))
    cluster = new[number]
    rows = np.flatnonzero(cluster >= 0)
    rows = rows[np.lexsort([rank[rows], cluster[rows]])]
    return rows, cluster[rows]


def readable_paths(thumbnails: Sequence[Artifact]) -> Iterator[pa.ChunkedArray]:
    """Yield the paths of readable images, one partition at a time."""
    for artifact in thumbnails:
        rows = artifact.table(["path", "error"])
        yield rows["path"].filter(pc.is_null(rows["error"]))


def members_of(
    inputs: Inputs, job: Job, paths: pa.Array, of_thumbnails: Collection[str], of_scan: Collection[str]
) -> ImageRows:
    """Return the facts of some images, in the order of `paths`."""
    members = rows_of(inputs.of("thumbnail"), ["path", *of_thumbnails], paths)
    table = members.table
    if of_scan:
        scanned = rows_of(inputs.of("scan"), ["path", *of_scan], paths).table
        for name in of_scan:
            table = table.append_column(name, scanned[name])
    references = are_references(table["path"], job.settings("inputs.reference"))
    return members._replace(table=table.append_column("reference", references))
