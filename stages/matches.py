"""The matches of a run as a graph: its images numbered in path order, and the clusters that they form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Artifact
from stages.kernels import components, linkage

ENDS = ("path_a", "path_b")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Which rows of the pairs stage are matches here: `column` holds their distance, at most `threshold`; images whose
    paths are in `flat` match nothing."""

    pairs: Sequence[Artifact]
    column: str
    threshold: float
    flat: pa.Array

    def rows(self, *more: str) -> Iterator[pa.RecordBatch]:
        """Them, with the two paths, their distance and more columns."""
        for artifact in self.pairs:
            for batch in artifact.batches([*ENDS, self.column, *more]):
                near = pc.less_equal(batch.column(self.column), self.threshold)
                if len(self.flat):
                    near = pc.and_not(near, pc.or_(*(pc.is_in(batch.column(name), self.flat) for name in ENDS)))
                if matching := batch.filter(near):
                    yield matching

    def chained(self) -> tuple[pa.Array, Ints]:
        """Paths of all images that match another, sorted, and which of them a chain of matches joins: a number per
        image, int64 (n,). Memory follows the images, not the matches."""
        numbers: dict[str, int] = {}
        forest = components.Forest()
        for batch in self.rows():
            forest.join(*(_numbered(batch.column(name), numbers) for name in ENDS))
        paths, place = _in_order(numbers)
        return paths, forest.labels(len(numbers))[np.argsort(place)]

    def graph(self) -> Graph:
        """All of it in memory: 17 bytes a match, and what the paths take."""
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
    """Images, by path, and matches: a[i] and b[i], int64 (m,), a[i] < b[i], are so far apart; `measured`: looked at."""

    paths: pa.Array
    a: Ints
    b: Ints
    distance: NDArray[np.float64]
    measured: NDArray[np.bool_]

    def complete(self) -> Ints:
        """A number per image: in a cluster every two match."""
        stands, a, b, distance = self._of_distinct()
        return linkage.complete(len(self.paths), a, b, distance)[stands]

    def star(self, rank: Ints) -> Ints:
        """A number per image: in a cluster all match the first by rank."""
        stands, a, b, _ = self._of_distinct()
        best = rank.copy()
        np.minimum.at(best, stands, rank)
        return linkage.star(best, a, b)[stands]

    def _of_distinct(self) -> tuple[Ints, Ints, Ints, NDArray[np.float64]]:
        """For each image the first that is at distance 0, which stands for it; and the matches of those that stand.

        Of identical images often one alone was compared with others (`pairs.identical: group`); what holds of it holds
        of all of them."""
        same = components.Forest()
        zero = self.measured & (self.distance == 0)
        same.join(self.a[zero], self.b[zero])
        _, first, number = np.unique(same.labels(len(self.paths)), return_index=True, return_inverse=True)
        stands = first[number].astype(np.int64)
        a, b = stands[self.a], stands[self.b]
        a, b = np.minimum(a, b), np.maximum(a, b)
        order = np.lexsort([-self.distance, b, a])
        order = order[a[order] != b[order]]
        a, b = a[order], b[order]
        new = np.diff(a, prepend=-1).astype(bool) | np.diff(b, prepend=-1).astype(bool)
        return stands, a[new], b[new], self.distance[order][new]


def _numbered(column: pa.Array, numbers: dict[str, int]) -> Ints:
    """Numbers that stand for the strings of a column; new strings get the next ones."""
    encoded = column.dictionary_encode()
    known = [numbers.setdefault(path, len(numbers)) for path in encoded.dictionary.to_pylist()]
    return np.array(known, np.int64)[encoded.indices.to_numpy()]


def _in_order(numbers: dict[str, int]) -> tuple[pa.Array, Ints]:
    """The strings, sorted, and for each number the place of its string there."""
    strings = pa.array(numbers, pa.string())
    order = pc.array_sort_indices(strings).to_numpy().astype(np.int64)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return strings.take(pa.array(order)), place
