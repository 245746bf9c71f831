"""Find the distances inside clusters that an earlier artifact holds.

The diameter of a cluster depends on the thumbnails of its images alone. The distance of an image to its keeper depends
on two thumbnails alone. A diameter is copied if the same images formed a cluster in the earlier artifact; a distance is
copied if that cluster also had the same keeper.

With metric mse, recorded matches count as distances inside clusters. If some of these rows were not measured
(`pairs.same_hash: zero` records 0 instead), nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Artifact, Base, Inputs, Job
from stages.clustering.rows import ImageRows, PathIndex, rows_of, values_of

FREE = ("linkage", "threshold", "keep", "dismissed", "min_contrast", "pairs.threshold", "inputs.reference")
"""Parameters that may differ in the earlier artifact."""

TOGETHER = 1_024
"""Number of images whose thumbnails are compared at a time."""

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


def held(inputs: Inputs, job: Job, images: ImageRows, keeper: Ints, cluster: Ints) -> tuple[Doubles, Doubles]:
    """Return the distances that the latest earlier artifact holds; nan if unknown.

    images   rows of thumbnails, with the column path
    keeper   row of each image's keeper, int64 (n,)
    cluster  number of each image's cluster, int64 (n,), ascending from 0

    The results are the distance of each image to its keeper, float64 (n,), and the diameter of each cluster, float64
    (clusters,). Damaged artifacts are skipped."""
    for base in job.bases():
        try:
            measured = job.settings("pairs.metric") != "mse" or (_measured(base.inputs) and _measured(inputs))
            if base.artifact.rows and measured:
                return _of(base, inputs, images, keeper, cluster)
        except ArtifactDamaged:
            continue
    return np.full(len(cluster), np.nan), np.full(int(cluster.max(initial=-1)) + 1, np.nan)


def _measured(inputs: Inputs) -> bool:
    """Return whether every recorded pair was measured."""
    batches = (batch for artifact in inputs.of("pairs") for batch in artifact.batches(["measured"]))
    return all(pc.all(batch.column("measured"), min_count=0).as_py() for batch in batches)


def _of(base: Base, inputs: Inputs, images: ImageRows, keeper: Ints, cluster: Ints) -> tuple[Doubles, Doubles]:
    columns = ("cluster", "path", "keeper", "mse_to_keeper", "diameter")
    table = base.artifact.table(columns)
    was, paths, was_keeper, to_keeper, diameter = (table[name] for name in columns)
    earlier = was.to_numpy()
    place = PathIndex(paths).of(images.table["path"])
    there = place >= 0
    there[there] = _unchanged(base, inputs, images.take(np.flatnonzero(there)))
    first = np.flatnonzero(np.diff(cluster, prepend=-1))
    number = np.where(there, earlier[place], -1)
    whole = np.logical_and.reduceat(there & (number == number[first][cluster]), first)
    whole &= np.bincount(earlier)[number[first]] == np.bincount(cluster)
    kept = whole[cluster] & was_keeper.to_numpy(zero_copy_only=False)[place[keeper]]
    return (
        np.where(kept, to_keeper.to_numpy()[place], np.nan),
        np.where(whole, diameter.to_numpy()[place[first]], np.nan),
    )


def _unchanged(base: Base, inputs: Inputs, images: ImageRows) -> Mask:
    """Return which images have the same thumbnails as before, bool (n,)."""
    now, then = inputs.of("thumbnail"), base.inputs.of("thumbnail")
    same = np.array([a == b for a, b in zip(now, then, strict=True)], np.bool_)
    unchanged: Mask = same[images.artifact]
    rows = np.flatnonzero(~unchanged)
    old = [then[number] for number in np.flatnonzero(~same)]
    before = rows_of(old, ["path"], images.table["path"].take(pa.array(rows))) if len(rows) else None
    if before is not None:
        place = PathIndex(before.table["path"]).of(images.table["path"].take(pa.array(rows)))
        rows, place = rows[place >= 0], place[place >= 0]
        order = np.lexsort([images.row[rows], images.artifact[rows]])
        for start in range(0, len(order), TOGETHER):
            some = order[start : start + TOGETHER]
            pairs = zip(
                _thumbnails(now, images.take(rows[some])), _thumbnails(old, before.take(place[some])), strict=True
            )
            unchanged[rows[some]] = [a == b for a, b in pairs]
    return unchanged


def _thumbnails(artifacts: Sequence[Artifact], images: ImageRows) -> list[bytes | None]:
    found: list[bytes | None] = [None] * len(images.row)
    for places, column in values_of(artifacts, images, "thumbnail"):
        for place, thumbnail in zip(places.tolist(), column.to_pylist(), strict=True):
            found[place] = thumbnail
    return found
