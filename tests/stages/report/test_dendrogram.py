"""How clusters split and how their images are turned, against the cluster stage at each threshold."""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from stages import pairs
from stages.clustering.matches import Matches
from stages.kernels.graph.components import Forest
from stages.kernels.measure import turns
from stages.report import dendrogram as module
from stages.report.dendrogram import Dendrogram, dendrogram
from tests.in_memory import MemoryArtifact
from tests.stages.kernels.plain import form

Row = tuple[int, int, float, int, bool]


def matches(rows: Sequence[Row], threshold: float = 100.0) -> Matches:
    """Return matches of images p00, p01, ...: rows of a, b, distance, turn of b, measured."""
    table = [
        {
            "path_a": f"p{a:02}",
            "path_b": f"p{b:02}",
            "mse": far,
            "rotation": turn % 4 * 90,
            "turns": 1 << turn,
            "measured": seen,
        }
        for a, b, far, turn, seen in rows
    ]
    artifact = MemoryArtifact("pairs", "p.p", pa.Table.from_pylist(table, pairs.schema(pairs.Params(), {}.get)))
    return Matches([artifact], "mse", threshold, pa.array([], pa.string()))


def parts(count: int, links: Dendrogram, threshold: float) -> set[frozenset[int]]:
    forest = Forest()
    near = links.at <= threshold
    forest.join(links.a[near], links.b[near])
    labels = forest.labels(count)
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def random_rows(seed: int, count: int = 14) -> list[Row]:
    """Return matches of images that are points on a small grid: some are copies, and many distances are equal."""
    points = np.random.default_rng(seed).integers(0, 6, (count, 2)) * 4
    far = {(a, b): float(np.square(points[a] - points[b]).sum()) for a, b in itertools.combinations(range(count), 2)}
    return [(a, b, distance, 0, True) for (a, b), distance in far.items() if distance <= 100]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["components", "complete"])
def test_links_cut_as_a_run_with_the_lower_threshold_would(
    how: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", 5)  # so that matches are freed in between
    graph = matches(random_rows(seed)).graph()
    rank = np.arange(len(graph.paths))
    labels = graph.clusters(how, rank, {})
    order = np.lexsort(
        [np.random.default_rng(seed).permutation(len(labels)), labels]
    )  # a keeper that is not the first image
    cluster = np.unique(labels[order], return_inverse=True)[1]
    paths = graph.paths.take(pa.array(order))
    links = dendrogram(matches(random_rows(seed)), paths, cluster, how, {})
    for threshold in (0.0, 16.0, 50.0, 80.0, 100.0):
        lower = matches(random_rows(seed), threshold).graph()
        among = lower.clusters(how, np.arange(len(lower.paths)), {})
        of = dict(zip(lower.paths.to_pylist(), among.tolist(), strict=True))
        expected = {
            frozenset(group)
            for _, group in itertools.groupby(
                sorted(range(len(paths)), key=lambda n: of.get(paths[n].as_py(), -n - 1)),
                key=lambda n: of.get(paths[n].as_py(), -n - 1),
            )
        }
        assert parts(len(paths), links, threshold) == expected


def test_a_star_loses_images_that_are_too_far_from_its_keeper() -> None:
    rows = [
        (0, 1, 10.0, 0, True),
        (0, 2, 60.0, 0, True),
        (1, 2, 5.0, 0, True),
        (3, 4, 0.0, 0, True),
        (3, 5, 30.0, 0, True),
    ]
    paths, cluster = pa.array(["p00", "p01", "p02", "p04", "p03", "p05"]), np.array([0, 0, 0, 1, 1, 1])
    links = dendrogram(matches(rows), paths, cluster, "star", {})
    assert parts(6, links, 100.0) == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}
    assert parts(6, links, 59.0) == {frozenset({0, 1}), frozenset({2}), frozenset({3, 4, 5})}
    assert parts(6, links, 29.0) == {frozenset({0, 1}), frozenset({2}), frozenset({3, 4}), frozenset({5})}


def test_turns_add_up_along_the_way_to_the_keeper() -> None:
    """Image b, turned by the rotation of a row, looks like a."""
    rows = [(0, 1, 1.0, 1, True), (1, 2, 1.0, 1, True), (0, 3, 1.0, 3, True)]
    paths, cluster = pa.array(["p02", "p00", "p01", "p03"]), np.zeros(4, np.int64)
    links = dendrogram(matches(rows), paths, cluster, "components", {})
    assert links.turn.tolist() == [0, 2, 3, 1]


def test_mirrored_turns_add_up_in_their_order() -> None:
    """The reference uses images: each image, in its turn, equals the keeper."""
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    for first, second, third in itertools.product(range(8), repeat=3):
        one = form(picture, int(turns.inverse(first)))  # form(one, first) is the picture
        two = form(one, int(turns.inverse(second)))
        three = form(picture, third)  # the picture in this turn is image 3
        rows = [(0, 1, 1.0, first, True), (1, 2, 1.0, second, True), (0, 3, 1.0, int(turns.inverse(third)), True)]
        links = dendrogram(
            matches(rows), pa.array(["p00", "p01", "p02", "p03"]), np.zeros(4, np.int64), "components", {}
        )
        for image, turn in zip((picture, one, two, three), links.turn.tolist(), strict=True):
            assert np.array_equal(form(image, turn), picture)


def test_images_joined_by_no_row_are_linked_at_the_threshold() -> None:
    """An image whose only match was dismissed is in the cluster through a match of its copy."""
    rows = [(0, 1, 0.0, 0, True), (0, 2, 30.0, 0, True)]
    paths, cluster = pa.array(["p00", "p01", "p02"]), np.zeros(3, np.int64)
    links = dendrogram(matches(rows), paths, cluster, "components", {0: {1}, 1: {0}})
    assert parts(3, links, 100.0) == {frozenset({0, 1, 2})}
    assert parts(3, links, 29.0) == {frozenset({0}), frozenset({1}), frozenset({2})}
    loose = dendrogram(matches(rows[:1]), paths, cluster, "components", {})
    assert parts(3, loose, 100.0) == {frozenset({0, 1, 2})}
    assert parts(3, loose, 99.0) == {frozenset({0, 1}), frozenset({2})}


def test_unmeasured_rows_are_no_copies() -> None:
    """Two images with equal hashes need not be equally far from a third image."""
    rows = [(0, 1, 0.0, 0, False), (0, 2, 10.0, 0, True), (1, 2, 40.0, 0, True)]
    links = dendrogram(matches(rows), pa.array(["p00", "p01", "p02"]), np.zeros(3, np.int64), "complete", {})
    assert sorted(links.at.tolist()) == [0.0, 40.0]
    rows[0] = (0, 1, 0.0, 0, True)
    links = dendrogram(matches(rows[:2]), pa.array(["p00", "p01", "p02"]), np.zeros(3, np.int64), "complete", {})
    assert sorted(links.at.tolist()) == [0.0, 10.0]
