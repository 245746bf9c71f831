"""Compute how clusters split at lower thresholds, and the turn of each image against its keeper.

Both follow from the matches inside clusters. A cluster's dendrogram consists of links, fewer than the cluster has
images: the links within a threshold connect the images that form a cluster at this threshold. So the page can split
clusters by the links alone. With `components` the links are a minimum spanning tree. With `complete` the links are
the pairs whose distance is the distance of two merged clusters. With `star` the links join the keeper to each other
image: images beyond a lower threshold are single images on the page, although a run with this threshold might give such
images another keeper."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.clustering.matches import ENDS, Graph, Matches
from stages.clustering.rows import PathIndex
from stages.kernels.graph import linkage
from stages.kernels.measure import turns

HELD = 4_000_000
"""Number of matches in memory above which matches outside a spanning forest are dropped."""

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Dendrogram(NamedTuple):
    """The links of clusters, and the turns of images.

    a, b  the two images of each link, int64 (m,)
    at    the distance of each link, float64 (m,)
    turn  the turn from each image to the orientation of its keeper, as in `kernels/measure/turns.py`, int64 (n,)"""

    a: Ints
    b: Ints
    at: Doubles
    turn: Ints


class _Links(NamedTuple):
    """Matches between images of one cluster; see `Graph`.

    turn  the smallest turn of b that attains the least distance"""

    a: Ints
    b: Ints
    distance: Doubles
    measured: NDArray[np.bool_]
    turn: Ints

    def take(self, rows: Ints) -> _Links:
        columns: Iterator[Any] = (column[rows] for column in self)
        return _Links(*columns)


def dendrogram(
    matches: Matches, paths: pa.Array, cluster: Ints, how: str, dismissed: Mapping[int, Collection[int]]
) -> Dendrogram:
    """Return the dendrogram of clusters.

    paths      paths of the images
    cluster    number of each image's cluster, int64 (n,), ascending, the keeper first
    how        `cluster.linkage`
    dismissed  for each image in dismissed pairs, the other images of these pairs, by position in `paths`"""
    count = len(paths)
    order = pc.array_sort_indices(paths).to_numpy().astype(np.int64)  # ties are broken in path order, as in the run
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    first = np.flatnonzero(np.diff(cluster, prepend=-1))
    keeper = place[np.repeat(first, np.diff(first, append=count))[order]]
    placed = {int(place[image]): [int(place[other]) for other in others] for image, others in dismissed.items()}
    rows = _inside(matches, paths.take(pa.array(order)), cluster[order], everything=how != "components" or bool(placed))
    turn = _turns(count, _spanning(count, rows), place[first])
    graph = Graph(paths, np.minimum(rows.a, rows.b), np.maximum(rows.a, rows.b), rows.distance, rows.measured)
    groups = graph.groups(placed)
    if how == "star":
        of_a, of_b = (groups.representative[keeper[side]] for side in (groups.a, groups.b))
        joining = np.flatnonzero((groups.a == of_b) | (groups.b == of_a))
    else:
        chosen = linkage.merges if how == "complete" else linkage.spanning
        joining = chosen(count, groups.a, groups.b, groups.distance)
    copies = np.flatnonzero(groups.representative != np.arange(count))
    a = np.concatenate([groups.representative[copies], groups.a[joining]])
    b = np.concatenate([copies, groups.b[joining]])
    loose = _loose(count, a, b, keeper)
    at = [np.zeros(len(copies)), groups.distance[joining], np.full(len(loose), matches.threshold)]
    ends = (np.concatenate([a, keeper[loose]]), np.concatenate([b, loose]))
    return Dendrogram(order[ends[0]], order[ends[1]], np.concatenate(at), turn[place])


def _loose(count: int, a: Ints, b: Ints, keeper: Ints) -> Ints:
    """Return one image of each part of a cluster that no link joins to the keeper, int64 (k,).

    Such parts exist where rows are missing: between copies under `pairs.same_hash: zero`, or after a dismissal."""
    from stages.kernels.graph.components import Forest

    forest = Forest()
    forest.join(a, b)
    labels = forest.labels(count)
    _, first = np.unique(labels, return_index=True)
    return np.sort(first[labels[first] != labels[keeper[first]]])


def _inside(matches: Matches, paths: pa.Array, cluster: Ints, everything: bool) -> _Links:
    """Return the matches inside clusters.

    everything  return all these matches; otherwise matches outside a minimum spanning forest may be dropped"""
    none = np.empty(0, np.int64)
    held = [_Links(none, none, np.empty(0), np.empty(0, np.bool_), none)]
    for rows in _batches(matches, paths, cluster):
        held.append(rows)
        if not everything and sum(len(each.a) for each in held) > HELD:
            held = [_spanning(len(paths), _joined(held))]
    return _joined(held)


def _batches(matches: Matches, paths: pa.Array, cluster: Ints) -> Iterator[_Links]:
    places = PathIndex(paths)
    for batch in matches.rows("measured", "turns"):
        a, b = (places.of(batch.column(name)) for name in ENDS)
        distance = batch.column(matches.column).to_numpy().astype(np.float64)
        measured = batch.column("measured").to_numpy(False).astype(np.bool_)
        rows = _Links(a, b, distance, measured, turns.SMALLEST[batch.column("turns").to_numpy()].astype(np.int64))
        known = np.flatnonzero((a >= 0) & (b >= 0))
        yield rows.take(known[cluster[a[known]] == cluster[b[known]]])


def _joined(held: list[_Links]) -> _Links:
    columns: Iterator[Any] = (np.concatenate(column) for column in zip(*held, strict=True))
    return _Links(*columns)


def _spanning(count: int, rows: _Links) -> _Links:
    return rows.take(linkage.spanning(count, rows.a, rows.b, rows.distance))


def _turns(count: int, tree: _Links, roots: Ints) -> Ints:
    """Return the turn from each node to the orientation of its tree's root, composed along the edges, int64 (n,)."""
    ends = np.concatenate([tree.a, tree.b])
    others = np.concatenate([tree.b, tree.a])
    steps = np.concatenate([tree.turn, turns.inverse(tree.turn)])  # b turned resembles a; a turned back resembles b
    order = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[order], np.arange(count + 1)).tolist()
    neighbours, steps_ = others[order].tolist(), steps[order].tolist()
    both = turns.then(np.arange(8)[:, None], np.arange(8)).tolist()
    turn = [-1] * count
    for root in roots.tolist():
        turn[root] = 0
        waiting = [root]
        while waiting:
            node = waiting.pop()
            for place in range(starts[node], starts[node + 1]):
                other = neighbours[place]
                if turn[other] < 0:
                    turn[other] = both[steps_[place]][turn[node]]
                    waiting.append(other)
    return np.maximum(np.array(turn, np.int64), 0)
