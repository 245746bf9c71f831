import numpy as np
import pytest

from stages.kernels.graph import components


def plain(nodes: int, edges: list[tuple[int, int]]) -> list[frozenset[int]]:
    sets = [{node} for node in range(nodes)]
    for a, b in edges:
        first = next(s for s in sets if a in s)
        second = next(s for s in sets if b in s)
        if first is not second:
            sets.remove(second)
            first |= second
    return sorted(map(frozenset, sets), key=min)


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_components_for_edges_in_any_order(monkeypatch: pytest.MonkeyPatch, seed: int, batch: int) -> None:
    monkeypatch.setattr(components, "BATCH", batch)
    random = np.random.default_rng(seed)
    edges = random.integers(0, 60, (45, 2))
    forest = components.Forest()
    for start in range(0, len(edges), 4):
        forest.join(edges[start : start + 4, 0], edges[start : start + 4, 1])
    labels = forest.labels(60)
    found = sorted((frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels)), key=min)
    assert found == plain(60, edges.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_components_stay_joined_after_edges_are_thinned_out(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(components, "BATCH", 1)
    random = np.random.default_rng(seed)
    few = [(0, 5), (2, 9), (1, 5), (3, 9), (2, 6), (7, 8)]
    forest = components.Forest()
    for edge in few:
        forest.join(*np.array([edge]).T)
    for _ in range(60):  # the same edges again: each edge is seen and skipped many times
        forest.join(*np.array([few[random.integers(len(few))]]).T)
    labels = forest.labels(11)
    found = sorted((frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels)), key=min)
    assert found == plain(11, few)


def test_memory_follows_the_nodes_not_the_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "BATCH", 100)
    forest = components.Forest()
    random = np.random.default_rng(1)
    for _ in range(200):
        forest.join(random.integers(0, 50, 20), random.integers(0, 50, 20))
        assert sum(len(a) for a, _ in forest._edges) == forest._waiting <= 100 + 20


def test_no_nodes() -> None:
    assert len(components.Forest().labels(0)) == 0
