"""Compute mean squared errors (MSE) inside clusters.

The result is the MSE of each member to its keeper, and the MSE of each cluster's farthest pair.

If the metric is mse, recorded matches are used. Other pairs are measured from the thumbnails, unless an earlier
artifact holds the distance (`earlier.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact, Inputs, Job, Settings
from stages.clustering.earlier import held
from stages.clustering.rows import ImageRows, PathIndex, rows_of, values_of
from stages.comparing.thumbnails import pixels, thumbnail_shape
from stages.kernels.measure import spread, turns, zero_mean

IMAGES = 4_096
"""Greatest number of thumbnails in memory, except for a single larger cluster."""

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Bytes = NDArray[np.uint8]


class Inside(NamedTuple):
    """Distances inside clusters.

    to_keeper  MSE of each member to its keeper, float64 (n,)
    diameter   MSE of each cluster's farthest pair, float64 (clusters,)"""

    to_keeper: Doubles
    diameter: Doubles


class _Measure:
    """Distances of thumbnails by the config's section `pairs`: exposure, normalisation, turns."""

    def __init__(self, thumbnails: Sequence[Artifact], settings: Settings, images: ImageRows) -> None:
        self._artifacts, self._images = thumbnails, images
        self.shape = thumbnail_shape(settings)
        ignore = settings("pairs.exposure") == "ignore"
        self.divisor = zero_mean.divisor(self.shape, settings("pairs.normalize") == "value", ignore)
        self.turns = (4 if settings("pairs.rotations") else 1) * (2 if settings("pairs.mirror") else 1)
        self.squares = zero_mean.measure_of(ignore)

    def pairs(self, a: Bytes, b: Bytes, i: Ints, j: Ints) -> tuple[Doubles, Ints]:
        """Return the MSE of a[i] and b[j], float64 (pairs,), and turns, int64 (pairs,).

        The turn of a pair is the least turn of b that attains the MSE."""
        compared = turns.COMPARED[self.turns]
        sums = np.stack([self.squares.pairs(a, turns.turned(b, turn), i, j, np.inf) for turn in compared])
        return np.asarray(sums.min(axis=0) / self.divisor, np.float64), np.array(compared)[sums.argmin(axis=0)]

    def thumbnails(self, images: Ints) -> Iterator[tuple[Ints, Bytes]]:
        """Yield thumbnails of images, one partition at a time.

        Yields indices into `images`, and the thumbnails of these images, uint8 (m, H, W, C)."""
        for places, column in values_of(self._artifacts, self._images.take(images), "thumbnail"):
            yield places, pixels(column, self.shape)

    def all(self, images: Ints) -> Bytes:
        """Return the thumbnails of images, uint8 (n, H, W, C)."""
        held = np.empty((len(images), *self.shape), np.uint8)
        for places, thumbnails in self.thumbnails(images):
            held[places] = thumbnails
        return held


def inside(inputs: Inputs, job: Job, images: ImageRows, keeper: Ints, cluster: Ints) -> Inside:
    """Return the distances inside clusters.

    Distances that an earlier artifact holds are copied.

    images   rows of thumbnails, with the column path
    keeper   row of each image's keeper, int64 (n,)
    cluster  number of each image's cluster, int64 (n,), ascending from 0"""
    sizes, places = np.bincount(cluster), PathIndex(images.table["path"])
    measure = _Measure(inputs.of("thumbnail"), job.settings, images)
    to_keeper, diameter = held(inputs, job, images, keeper, cluster)
    to_keeper[keeper == np.arange(len(keeper))] = 0.0
    known, most = np.zeros(len(sizes), np.int64), np.zeros(len(sizes))
    if job.settings("pairs.metric") == "mse":
        _recorded(inputs, places, keeper, cluster, to_keeper, known, most)
    _to_keepers(measure, keeper, to_keeper, np.zeros(len(keeper), np.int64))
    np.maximum.at(most, cluster, to_keeper)
    incomplete = (known < sizes * (sizes - 1) // 2) & (sizes > 2) & np.isnan(diameter)
    _spreads(measure, cluster, to_keeper, np.flatnonzero(incomplete), most)
    return Inside(to_keeper, np.where(np.isnan(diameter), most, diameter))


def to_keepers(
    thumbnails: Sequence[Artifact], settings: Settings, paths: pa.Array, keeper: Ints
) -> tuple[Doubles, Ints]:
    """Return each image's MSE to its keeper, float64 (n,), and turn, int64 (n,).

    paths   paths of the images
    keeper  row of each image's keeper, int64 (n,)"""
    distances, turn = np.full(len(paths), np.nan), np.zeros(len(paths), np.int64)
    images = rows_of(thumbnails, ["path"], paths)
    _to_keepers(_Measure(thumbnails, settings, images), keeper, distances, turn)
    return distances, turn


def _recorded(
    inputs: Inputs, places: PathIndex, keeper: Ints, cluster: Ints, to_keeper: Doubles, known: Ints, most: Doubles
) -> None:
    """Fill in the distances and counts of recorded matches.

    to_keeper  receives distances to keepers
    known      receives the number of recorded pairs of each cluster
    most       receives the largest recorded distance of each cluster"""
    for artifact in inputs.of("pairs"):
        for batch in artifact.batches(["path_a", "path_b", "mse"]):
            a, b = (places.of(batch.column(name)) for name in ("path_a", "path_b"))
            members = (a >= 0) & (b >= 0)
            a, b, found = a[members], b[members], batch.column("mse").to_numpy()[members]
            for member, other in ((a, b), (b, a)):
                is_keeper = keeper[member] == other
                to_keeper[member[is_keeper]] = found[is_keeper]
            together = cluster[a] == cluster[b]
            np.add.at(known, cluster[a[together]], 1)
            np.maximum.at(most, cluster[a[together]], found[together])


def _to_keepers(measure: _Measure, keeper: Ints, to_keeper: Doubles, turn: Ints) -> None:
    """Measure unknown distances to keepers, and turns, one partition at a time."""
    unknown = np.flatnonzero(np.isnan(to_keeper))
    keepers = np.unique(keeper[unknown])
    for start in range(0, len(keepers), IMAGES):
        some = keepers[start : start + IMAGES]
        rows = unknown[np.isin(keeper[unknown], some)]
        held = measure.all(some)
        for places, thumbnails in measure.thumbnails(rows):
            members = rows[places]
            of_keeper = np.searchsorted(some, keeper[members])
            to_keeper[members], turn[members] = measure.pairs(held, thumbnails, of_keeper, np.arange(len(members)))


def _spreads(measure: _Measure, cluster: Ints, to_keeper: Doubles, incomplete: Ints, most: Doubles) -> None:
    """Raise `most` to the diameter of each cluster in `incomplete`.

    These clusters have unrecorded pairs. Copies of a keeper have the keeper's distances, so copies are left out."""
    wanted = np.isin(cluster, incomplete) & (to_keeper > 0)
    wanted |= np.isin(cluster, incomplete) & (np.diff(cluster, prepend=-1) != 0)
    rows = np.flatnonzero(wanted)
    ends = np.flatnonzero(np.diff(cluster[rows], append=-1)) + 1
    start = 0
    while start < len(rows):
        within = ends[(ends > start) & (ends <= start + IMAGES)]
        stop = int(within[-1]) if len(within) else int(ends[ends > start][0])
        some = rows[start:stop]
        held = measure.all(some)
        for number in np.unique(cluster[some]):
            found = spread.farthest(spread.distinct(held[cluster[some] == number]), measure.turns, measure.squares)
            most[number] = max(most[number], found / measure.divisor)
        start = stop
