"""From matches to clusters: how images that match are put together.

Nodes are images, edges are matches with the distance of their two images. All three give a partition of the nodes that
does not depend on the order in which edges come; see `complete` and `star` for what holds within their clusters, and
`components.py` for the third one, in which a chain of matches is enough.

**Complete linkage** joins, again and again, the two clusters whose farthest members are nearest, as long as these are
within the threshold. That is agglomerative clustering with the distance of clusters A and B being max d(a, b), cut at
the threshold. It needs no matrix: go through the edges from short to long and count, for each two clusters, the edges
between them that were passed. With the |A|·|B|-th edge all of them are, and this edge is the distance of the two; no
other two clusters have come together sooner. A pair that is no match has no edge, so its two clusters never meet. The
work is that of sorting the edges and of adding up counts when two clusters become one, the smaller number of neighbours
to the larger one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.kernels.graph.components import Forest

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


def complete(nodes: int, a: Ints, b: Ints, distance: Doubles) -> Ints:
    """Clusters in which every two nodes are joined by an edge: a number per node, int64 (nodes,).

    Edges join a[i] with b[i], a[i] < b[i], each pair at most once; all (m,). Of equal distances the edge with the
    lesser nodes comes first, so the numbering of the nodes decides ties."""
    forest = Forest()
    joining = merges(nodes, a, b, distance)
    forest.join(a[joining], b[joining])
    return forest.labels(nodes)


def merges(nodes: int, a: Ints, b: Ints, distance: Doubles) -> Ints:
    """The edges, by number and from short to long, by which two clusters of complete linkage become one, int64 (k,).

    Those up to a lesser threshold are the ones that it would have by itself."""
    owner = list(range(nodes))
    members: list[list[int]] = [[node] for node in range(nodes)]
    seen: list[dict[int, int]] = [{} for _ in range(nodes)]
    order = np.lexsort([b, a, distance])
    joining = []
    for edge, one, other in zip(order.tolist(), a[order].tolist(), b[order].tolist(), strict=True):
        left, right = owner[one], owner[other]
        count = seen[left].get(right, 0) + 1
        if count < len(members[left]) * len(members[right]):
            seen[left][right] = seen[right][left] = count
            continue
        joining.append(edge)
        if len(seen[left]) < len(seen[right]):
            left, right = right, left
        for node in members[right]:
            owner[node] = left
        members[left] += members[right]
        seen[left].pop(right, None)
        seen[right].pop(left, None)
        for neighbour, edges in seen[right].items():
            total = seen[left].get(neighbour, 0) + edges
            del seen[neighbour][right]
            seen[left][neighbour] = seen[neighbour][left] = total
        members[right], seen[right] = [], {}
    return np.array(joining, np.int64)


def spanning(nodes: int, a: Ints, b: Ints, distance: Doubles) -> Ints:
    """The edges, by number, of a minimum spanning forest, int64 (k,): those of them up to a threshold join the same
    nodes as all edges up to it. Edges join a[i] with b[i], (m,); a pair may come more than once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort([high, low, distance])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)  # no two alike, and none that SciPy would take for no edge
    by_pair = np.lexsort([rank, high, low])
    new = np.diff(low[by_pair], prepend=-1).astype(bool) | np.diff(high[by_pair], prepend=-1).astype(bool)
    first = by_pair[new & (low[by_pair] != high[by_pair])]
    ends = low[first].astype(np.int32), high[first].astype(np.int32)  # as SciPy before 1.17 wants it
    graph = coo_array((rank[first].astype(np.float64), ends), shape=(nodes, nodes))
    kept = minimum_spanning_tree(graph.tocsr()).data.astype(np.int64) if len(first) else np.empty(0, np.int64)
    return np.sort(order[kept - 1])


def star(rank: Ints, a: Ints, b: Ints) -> Ints:
    """Clusters round a keeper that every other member has an edge to: the keeper of each node, int64 (nodes,).

    `rank`, int64 (nodes,): a place of its own for each node, 0 for the one to keep first. Going through the nodes in
    this order, one that no keeper has taken yet becomes a keeper itself, and takes all its neighbours that none has.
    So no two keepers match each other, and each is the first of its cluster by rank. Edges are as for `complete`."""
    sources, targets = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.argsort(sources, kind="stable")
    targets = targets[order]
    starts = np.searchsorted(sources[order], np.arange(len(rank) + 1))
    keeper = np.full(len(rank), -1)
    for node in np.argsort(rank).tolist():
        if keeper[node] < 0:
            keeper[node] = node
            neighbours = targets[starts[node] : starts[node + 1]]
            keeper[neighbours[keeper[neighbours] < 0]] = node
    return keeper
