"""Find the connected components of edges that arrive in batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BATCH = 1 << 20
"""Number of edges that are collected before components are computed."""

Ints = NDArray[np.int64]


class Forest:
    """The connected components of a growing graph, in memory that is linear in the number of nodes.

    Edges are collected until there are more than BATCH edges, and more than twice as many edges as nodes. Then the
    components are computed, and all edges are replaced by one edge from each node to the first node of its component.
    Memory therefore does not grow with the number of edges, and time is linear in the number of edges."""

    def __init__(self) -> None:
        self._edges: list[tuple[Ints, Ints]] = []
        self._waiting = 0
        self._nodes = 0

    def join(self, a: Ints, b: Ints) -> None:
        """Add edges from a[i] to b[i]; both int64 (n,), not negative."""
        if not len(a):
            return
        self._edges.append((a, b))
        self._waiting += len(a)
        self._nodes = max(self._nodes, int(a.max()) + 1, int(b.max()) + 1)
        if self._waiting > max(BATCH, 2 * self._nodes):
            self._shrink()

    def _shrink(self) -> None:
        nodes, roots = np.arange(self._nodes), self.labels(self._nodes)
        joined = roots != nodes
        self._edges = [(nodes[joined], roots[joined])]
        self._waiting = int(joined.sum())

    def labels(self, nodes: int) -> Ints:
        """Return the component of each node, int64 (nodes,): the number of the component's first node."""
        a, b = (np.concatenate([edge[side] for edge in self._edges] or [np.empty(0, np.int64)]) for side in (0, 1))
        return components(nodes, a, b)


def components(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return the component of each node: the number of the component's first node, int64 (nodes,).

    Edges join a[i] with b[i], int64 (n,). The algorithm hooks trees on trees and halves paths, as Shiloach and Vishkin
    do (An O(log n) parallel connectivity algorithm, 1982). This code takes about as long as SciPy's, and importing
    SciPy takes as long as a small run."""
    labels = np.arange(nodes)
    while len(a):
        np.minimum.at(labels, np.maximum(a, b), np.minimum(a, b))  # links to smaller roots form no cycle
        while not np.array_equal(nearer := labels[labels], labels):
            labels = nearer
        a, b = labels[a], labels[b]  # roots from now on
        apart = a != b
        a, b = a[apart], b[apart]
    return labels
