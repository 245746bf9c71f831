"""Find the connected components of edges that arrive in batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BATCH = 1 << 20
"""Edges that are collected before components are computed."""

Ints = NDArray[np.int64]


class Forest:
    """A graph that keeps at most one edge per node of all edges seen.

    Edges are collected until there are BATCH edges, and more than twice as many edges as nodes. Then SciPy finds the
    components, and each node but the first of its component keeps one edge, to this first node. So memory is linear
    in the number of nodes, not of edges, and time is linear in the number of edges."""

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
        labels = self.labels(self._nodes)
        _, first = np.unique(labels, return_index=True)
        nodes = np.arange(self._nodes)
        roots = first[labels]
        joined = roots != nodes
        self._edges = [(nodes[joined], roots[joined])]
        self._waiting = int(joined.sum())

    def labels(self, nodes: int) -> Ints:
        """Return the component of each node, int64 (nodes,), in no stated numbering."""
        if not self._edges:
            return np.arange(nodes)
        # Importing SciPy takes as long as a whole run in which everything is up to date.
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        a, b = (np.concatenate([edge[side] for edge in self._edges]) for side in (0, 1))
        graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(nodes, nodes))
        return connected_components(graph, directed=False)[1].astype(np.int64)
