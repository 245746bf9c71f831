"""Complete linkage, stars and spanning forests, against SciPy and simple references."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from stages.kernels.graph.components import Forest
from stages.kernels.graph.linkage import complete, merges, spanning, star


def edges(matrix: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matches in a matrix of distances."""
    a, b = (side.astype(np.int64) for side in np.triu_indices(len(matrix), 1))
    near = matrix[a, b] <= threshold
    return a[near], b[near], matrix[a, b][near]


def parts(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def distances(count: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 2))
    return np.square(points[:, None] - points[None]).sum(axis=2)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("threshold", [0.05, 0.3, 1.0, 4.0])
def test_complete_linkage_equals_scipys(seed: int, threshold: float) -> None:
    matrix = distances(40, seed)
    expected = fcluster(linkage(squareform(matrix, checks=False), "complete"), threshold, "distance")
    assert parts(complete(40, *edges(matrix, threshold))) == parts(expected)


tied = st.integers(0, 9).flatmap(
    lambda count: st.lists(st.integers(0, 3), min_size=count * (count - 1) // 2, max_size=count * (count - 1) // 2)
)
"""Return distances, many of them equal, of all pairs of up to nine images."""


def square(values: list[int]) -> np.ndarray:
    return squareform(np.array(values, float)) if values else np.zeros((1, 1))


@given(tied, st.integers(0, 3))
def test_every_two_of_a_complete_cluster_match_and_no_two_clusters_could_be_one(
    values: list[int], threshold: int
) -> None:
    matrix = square(values)
    a, b, far = edges(matrix, threshold)
    mixed = np.random.default_rng(len(values)).permutation(len(a))
    found = parts(complete(len(matrix), a, b, far))
    assert found == parts(complete(len(matrix), a[mixed], b[mixed], far[mixed])), "whatever order edges come in"
    assert all(matrix[x, y] <= threshold for part in found for x, y in itertools.combinations(part, 2))
    for one, other in itertools.combinations(found, 2):
        assert any(matrix[x, y] > threshold for x in one for y in other)


@given(tied, st.integers(0, 3))
def test_each_of_a_star_matches_its_keeper_and_no_two_keepers_match(values: list[int], threshold: int) -> None:
    matrix = square(values)
    rank = np.random.default_rng(len(values) + threshold).permutation(len(matrix))
    keepers: list[int] = []
    expected = {}
    for node in np.argsort(rank).tolist():
        near = [keeper for keeper in keepers if matrix[node, keeper] <= threshold]
        keepers += [] if near else [node]
        expected[node] = near[0] if near else node
    a, b, _ = edges(matrix, threshold)
    assert dict(enumerate(star(rank, a, b).tolist())) == expected


def test_a_chain_falls_apart() -> None:
    line = np.arange(6.0)
    matrix = np.abs(line[:, None] - line[None])
    assert parts(complete(6, *edges(matrix, 1.0))) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}
    assert star(np.arange(6), *edges(matrix, 1.0)[:2]).tolist() == [0, 0, 2, 2, 4, 4]
    assert star(np.array([5, 0, 4, 3, 1, 2]), *edges(matrix, 1.0)[:2]).tolist() == [1, 1, 1, 4, 4, 4]


def test_nothing_to_put_together() -> None:
    none = np.empty(0, np.int64)
    assert complete(3, none, none, np.empty(0)).tolist() == [0, 1, 2]
    assert star(np.arange(3), none, none).tolist() == [0, 1, 2]
    assert complete(0, none, none, np.empty(0)).tolist() == star(none, none, none).tolist() == []


@pytest.mark.parametrize("seed", range(6))
def test_merges_cut_at_a_lesser_threshold_are_its_own(seed: int) -> None:
    matrix = distances(30, seed)
    a, b, far = edges(matrix, 4.0)
    joining = merges(len(matrix), a, b, far)
    for threshold in (0.05, 0.3, 1.0, 4.0):
        forest = Forest()
        near = joining[far[joining] <= threshold]
        forest.join(a[near], b[near])
        assert parts(forest.labels(len(matrix))) == parts(complete(len(matrix), *edges(matrix, threshold)))


@given(tied, st.integers(0, 3), st.integers(1, 3))
def test_a_spanning_forest_gives_the_components_of_all_edges_at_every_threshold(
    values: list[int], threshold: int, times: int
) -> None:
    matrix = square(values)
    a, b, far = (np.tile(column, times) for column in edges(matrix, 3.0))
    swapped = np.random.default_rng(len(values)).random(len(a)) < 0.5
    a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    kept = spanning(len(matrix), a, b, far)
    assert len(kept) <= max(0, len(matrix) - 1)
    labels = []
    for some in (np.flatnonzero(far <= threshold), kept[far[kept] <= threshold]):
        forest = Forest()
        forest.join(a[some], b[some])
        labels.append(parts(forest.labels(len(matrix))))
    assert labels[0] == labels[1]


def test_of_equal_distances_the_edge_with_the_lesser_nodes_comes_first() -> None:
    a, b, far = np.array([1, 0, 0, 2]), np.array([2, 1, 2, 3]), np.ones(4)
    whole = np.array([0, 0, 0, 1, 1]), np.array([1, 2, 3, 2, 3])  # all pairs of 0 to 3 except 2-3
    assert parts(complete(4, *whole, np.ones(5))) == {frozenset({0, 1, 2}), frozenset({3})}
    assert merges(4, *whole, np.ones(5)).tolist() == [0, 3]
    assert merges(4, a, b, far).tolist() == [1, 0]


def test_the_lesser_of_two_nodes_decides_before_the_greater() -> None:
    """0 and 1 form a cluster, which edge 0-3 completes with 3, or edge 1-2 with 2."""
    a, b = np.array([0, 1, 0, 1, 0]), np.array([1, 3, 2, 2, 3])
    far = np.array([1.0, 2.0, 2.0, 3.0, 3.0])
    assert parts(complete(4, a, b, far)) == {frozenset({0, 1, 3}), frozenset({2})}
    assert merges(4, a, b, far).tolist() == [0, 4]


def test_of_edges_between_the_same_two_nodes_the_shortest_counts() -> None:
    """Of equally long edges, the edge with the smaller number counts; an edge from a node to itself joins nothing."""
    a, b, far = np.array([0, 1, 0, 1, 2, 1]), np.array([1, 0, 1, 2, 2, 2]), np.array([5.0, 1.0, 1.0, 4.0, 0.0, 4.0])
    assert spanning(3, a, b, far).tolist() == [1, 3]
