"""Group images into clusters by their matches.

Nodes are images; edges are matches, with the distance of the two images. The result of a function does not depend on
the order in which the edges are given. For connected components, see `components.py`.

**Complete linkage** repeatedly merges the two clusters whose farthest members are nearest, as long as this distance is
within the threshold. This is agglomerative clustering with the distance max d(a, b) between clusters A and B, cut at
the threshold. No matrix is needed: go through the edges from short to long and count, for each two clusters, the edges
seen between the clusters. When the count reaches |A|·|B|, all edges between A and B have been seen, and the last edge
has the distance of A and B; no other two clusters could have merged earlier. A pair that is no match has no edge, so
the pair's clusters never merge. The time is the time of sorting the edges, plus the time of adding up counts: when two
clusters merge, the counts of the cluster with fewer neighbours are added to the counts of the other cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.kernels.graph.components import Forest, components

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


def complete(nodes: int, a: Ints, b: Ints, distance: Doubles) -> Ints:
    """Return the cluster of each node, int64 (nodes,); every two nodes of a cluster share an edge.

    Edges join a[i] with b[i], a[i] < b[i], each pair at most once; all arrays (m,). Among equal distances the edge
    with the smaller nodes comes first, so the numbering of the nodes breaks ties."""
    forest = Forest()
    joining = merges(nodes, a, b, distance)
    forest.join(a[joining], b[joining])
    return forest.labels(nodes)


def merges(nodes: int, a: Ints, b: Ints, distance: Doubles) -> Ints:
    """Return the indices of the edges at which complete linkage merges, int64 (k,).

    Edges are sorted from short to long. For a lower threshold, the result is the part of these edges within the lower
    threshold."""
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
    """Return the indices of the edges of a minimum spanning forest, int64 (k,).

    For any threshold, the edges of the forest within the threshold connect the same nodes as all edges within the
    threshold. Edges join a[i] with b[i], (m,); a pair may occur more than once. The algorithm is Borůvka's: each
    component takes its shortest edge, until no edge leaves a component. The algorithm needs distinct lengths, so edges
    are compared by rank: by distance, then by nodes."""
    order = np.lexsort([np.maximum(a, b), np.minimum(a, b), distance])
    a, b, rank = a[order], b[order], np.arange(len(order))
    kept = [np.empty(0, np.int64)]
    while (apart := a != b).any():  # edges that leave a component
        a, b, rank = a[apart], b[apart], rank[apart]
        best = np.full(nodes, len(order))
        np.minimum.at(best, a, rank)
        np.minimum.at(best, b, rank)
        shortest = (best[a] == rank) | (best[b] == rank)
        kept.append(rank[shortest])
        label = components(nodes, a[shortest], b[shortest])
        a, b = label[a], label[b]
    return np.sort(order[np.concatenate(kept)])


def star(rank: Ints, a: Ints, b: Ints) -> Ints:
    """Return the keeper of each node, int64 (nodes,), such that each cluster is a star.

    rank  a different number for each node, int64 (nodes,); nodes are visited by rank, ascending

    A visited node without a keeper becomes a keeper, and the keeper of all its neighbours that have no keeper yet.
    Therefore a keeper has an edge to each other node of its cluster, and the least rank in the cluster; no two keepers
    match each other. Edges are as for `complete`."""
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
