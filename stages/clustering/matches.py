"""Build the graph of a run's matches, and its clusters.

Images are numbered in path order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Artifact
from stages.clustering.rows import PathIndex
from stages.kernels.graph import components, linkage

ENDS = ("path_a", "path_b")
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Matches:
    """The rows of the pairs stage that count as matches.

    column     name of the column of distances
    threshold  the greatest distance of a match
    flat       paths of images with too little contrast to match"""

    pairs: Sequence[Artifact]
    column: str
    threshold: float
    flat: pa.Array

    @cached_property
    def _flat(self) -> PathIndex:
        return PathIndex(self.flat)

    def rows(self, *more: str) -> Iterator[pa.RecordBatch]:
        """Yield batches of matches: both paths, the distance and extra columns."""
        for artifact in self.pairs:
            for batch in artifact.batches([*ENDS, self.column, *more]):
                near = pc.less_equal(batch.column(self.column), self.threshold)
                matching = batch.filter(near)
                if len(self._flat):
                    a, b = (self._flat.of(matching.column(name)) for name in ENDS)
                    matching = matching.filter(pa.array((a < 0) & (b < 0)))
                if matching:
                    yield matching

    def component_labels(self) -> tuple[pa.Array, Ints]:
        """Return the sorted paths of images with a match, and their components, int64 (n,).

        Memory is linear in the number of images, not of matches."""
        numbers: dict[str, int] = {}
        forest = components.Forest()
        for batch in self.rows():
            forest.join(*(_numbered(batch.column(name), numbers) for name in ENDS))
        paths, place = _in_order(numbers)
        return paths, forest.labels(len(numbers))[np.argsort(place)]

    def graph(self) -> Graph:
        """Return the whole graph.

        The graph takes 25 bytes per match, twice as much while it is built, plus the paths."""
        numbers: dict[str, int] = {}
        parts = []
        for batch in self.rows("measured"):
            ends = (_numbered(batch.column(name), numbers) for name in ENDS)
            parts.append((*ends, batch.column(self.column).to_numpy(), batch.column("measured").to_numpy(False)))
        paths, place = _in_order(numbers)
        none = np.empty(0, np.int64)
        columns: list[NDArray[Any]] = [np.concatenate(column) for column in zip(*parts, strict=True)] or [none] * 4
        a, b = place[columns[0]], place[columns[1]]
        distance, measured = columns[2].astype(np.float64), columns[3].astype(np.bool_)
        return Graph(paths, np.minimum(a, b), np.maximum(a, b), distance, measured)


@dataclass(frozen=True)
class Graph:
    """Images and matches.

    paths     paths of the images, sorted
    a, b      numbers of a match's images, int64 (m,), a[i] < b[i]
    distance  distance of each match
    measured  False if the distance is recorded for equal hashes, without a measurement"""

    paths: pa.Array
    a: Ints
    b: Ints
    distance: NDArray[np.float64]
    measured: NDArray[np.bool_]

    def clusters(self, how: str, rank: Ints, dismissed: Mapping[int, Collection[int]]) -> Ints:
        """Return the cluster number of each image, int64 (n,).

        how        `cluster.linkage`
        rank       a different number for each image; of a cluster by `star`, the image of least rank is the keeper
        dismissed  see `groups`"""
        groups, count = self.groups(dismissed), len(self.paths)
        if how == "complete":
            return linkage.complete(count, groups.a, groups.b, groups.distance)[groups.representative]
        if how == "star":
            best = rank.copy()
            np.minimum.at(best, groups.representative, rank)
            return linkage.star(best, groups.a, groups.b)[groups.representative]
        forest = components.Forest()
        forest.join(groups.a, groups.b)
        return forest.labels(count)[groups.representative]

    def families(self) -> Ints:
        """Return the component of each image, int64 (n,), dismissed pairs included."""
        forest = components.Forest()
        forest.join(self.a, self.b)
        return forest.labels(len(self.paths))

    def groups(self, dismissed: Mapping[int, Collection[int]]) -> Groups:
        """Merge images at distance 0 into one node.

        With `pairs.identical: group`, often only one of several identical images was compared with others; the
        distances of this image hold for all identical images.

        dismissed  for each dismissed image, the images that must not match the dismissed image, in both directions;
                   dismissed images stay separate nodes"""
        same = components.Forest()
        zero = self.measured & (self.distance == 0)
        same.join(self.a[zero], self.b[zero])
        _, kind = np.unique(same.labels(len(self.paths)), return_inverse=True)
        alone = np.isin(np.arange(len(kind)), list(dismissed))
        keys = np.where(alone, kind.max(initial=0) + 1 + np.arange(len(kind)), kind)
        _, first, number = np.unique(keys, return_index=True, return_inverse=True)
        representative = first[number].astype(np.int64)
        a, b, distance = _edges(kind[self.a], kind[self.b], self.distance)
        if dismissed:
            a, b, distance = _image_edges(a, b, distance, kind, np.unique(representative), dismissed)
        else:
            first_of = np.unique(kind, return_index=True)[1]
            a, b = first_of[a], first_of[b]
        return Groups(representative, *_edges(a, b, distance))


@dataclass(frozen=True)
class Groups:
    """The graph of the representatives of identical images.

    representative  the representative of each image, int64 (n,)
    a, b, distance  matches of representatives, as in `Graph`"""

    representative: Ints
    a: Ints
    b: Ints
    distance: Doubles


def _edges(a: Ints, b: Ints, distance: Doubles) -> tuple[Ints, Ints, Doubles]:
    """Return each pair of different numbers once, with the pair's largest distance.

    The smaller number comes first."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort([-distance, b, a])
    order = order[a[order] != b[order]]
    a, b = a[order], b[order]
    new = np.diff(a, prepend=-1).astype(bool) | np.diff(b, prepend=-1).astype(bool)
    return a[new], b[new], distance[order][new]


def _image_edges(
    a: Ints, b: Ints, distance: Doubles, kind: Ints, images: Ints, dismissed: Mapping[int, Collection[int]]
) -> tuple[Ints, Ints, Doubles]:
    """Return edges between kinds of identical images as edges between images.

    Edges of dismissed pairs are left out; edges at distance 0 between images of one kind are added."""
    order = np.argsort(kind[images], kind="stable")
    images = images[order]
    starts = np.searchsorted(kind[images], np.arange(int(kind.max(initial=-1)) + 2))
    sizes = np.diff(starts)
    alone = (sizes[a] == 1) & (sizes[b] == 1)
    found: list[tuple[int, int, float]] = []

    def of(number: int) -> list[int]:
        return list(images[starts[number] : starts[number + 1]].tolist())

    for one, other, far in zip(a[~alone].tolist(), b[~alone].tolist(), distance[~alone].tolist(), strict=True):
        found += [(x, y, far) for x in of(one) for y in of(other)]
    for number in np.flatnonzero(sizes > 1).tolist():
        found += [(x, y, 0.0) for place, x in enumerate(of(number)) for y in of(number)[:place]]
    found += zip(
        images[starts[a[alone]]].tolist(), images[starts[b[alone]]].tolist(), distance[alone].tolist(), strict=True
    )
    kept = [edge for edge in found if edge[1] not in dismissed.get(edge[0], ())]
    columns = list(zip(*kept, strict=True)) or [(), (), ()]
    return np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64)


def _numbered(column: pa.Array, numbers: dict[str, int]) -> Ints:
    """Return numbers for the strings of a column; new strings get the next numbers."""
    encoded = column.dictionary_encode()
    known = [numbers.setdefault(path, len(numbers)) for path in encoded.dictionary.to_pylist()]
    labels: Ints = np.array(known, np.int64)[encoded.indices.to_numpy()]
    return labels


def _in_order(numbers: dict[str, int]) -> tuple[pa.Array, Ints]:
    """Return the sorted strings, and the position of each number's string, int64 (n,)."""
    strings = pa.array(numbers, pa.string())
    order = pc.array_sort_indices(strings).to_numpy().astype(np.int64)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return strings.take(pa.array(order)), place
