"""Shared images of folders, against loops over images and folders."""

import numpy as np
import pytest

from stages.kernels.graph import trees
from stages.kernels.graph.trees import Bundle, Tree, condensed, shared

Ints = np.ndarray


def random_tree(random: np.random.Generator, count: int) -> Tree:
    """Return the parents of folders in the order of a walk: a parent is the folder before, or one of its ancestors."""
    parent: list[int] = []
    for number in range(count):
        around = [-1]
        while number and around[-1] != number - 1:
            around.append(number - 1 if len(around) == 1 else parent[around[-1]])
            if around[-1] < 0 or random.random() < 0.5:
                break
        parent.append(around[-1])
    return Tree(np.array(parent, np.int64))


def groups(random: np.random.Generator, count: int) -> list[tuple[list[int], list[tuple[int, bool]]]]:
    """Return the folders of each group's images, the groups that match each group, and whether they are identical."""
    made = [sorted(random.integers(0, count, random.integers(1, 5)).tolist()) for _ in range(6)]
    edges = {(i, j): bool(random.random() < 0.5) for i in range(6) for j in range(i, 6) if random.random() < 0.4}
    return [
        (images, [(j if i == n else i, same) for (i, j), same in edges.items() if n in (i, j)])
        for n, images in enumerate(made)
    ]


def bundles_of(found: list[tuple[list[int], list[tuple[int, bool]]]]) -> list[Bundle]:
    bundles = []
    for images, others in found:
        matched: dict[int, bool] = {}
        for other, same in others:
            for folder in found[other][0]:
                matched[folder] = matched.get(folder, False) or same
        if matched:
            folders, counts = np.unique(images, return_counts=True)
            places = np.array(sorted(matched))
            exact = np.array([matched[place] for place in places.tolist()])
            bundles.append(Bundle(folders, counts, counts * 10, places, exact))
    return bundles


def by_hand(tree: Tree, bundles: list[Bundle]) -> tuple[dict[tuple[int, int], tuple[int, int, int]], list[int]]:
    """Return images, identical images and bytes for each pair of folders; for each folder, images that match
    elsewhere."""
    count = len(tree.parent)

    def around(folder: int) -> set[int]:
        above = int(tree.parent[folder])
        return {folder} | (around(above) if above >= 0 else set())

    inside = [{folder for folder in range(count) if one in around(folder)} for one in range(count)]
    table = {}
    for a in range(count):
        for b in range(count):
            of_a = inside[a] - (inside[b] if b in inside[a] else set())
            of_b = inside[b] - (inside[a] if a in inside[b] else set())
            sums = np.zeros(3, int)
            for bundle in bundles:
                near = {folder for folder in bundle.matched.tolist() if folder in of_b}
                exact = {folder for folder in bundle.matched[bundle.identical].tolist() if folder in of_b}
                for folder, images in zip(bundle.folders.tolist(), bundle.images.tolist(), strict=True):
                    if near and folder in of_a:
                        sums += (images, images if exact else 0, images * 10)
            if a != b and sums[0]:
                table[a, b] = tuple(sums.tolist())
    elsewhere = [
        sum(
            images
            for bundle in bundles
            for folder, images in zip(bundle.folders.tolist(), bundle.images.tolist(), strict=True)
            if folder in inside[one] and set(bundle.matched.tolist()) - inside[one]
        )
        for one in range(count)
    ]
    return table, elsewhere


@pytest.mark.parametrize("seed", range(40))
def test_against_loops(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    tree = random_tree(random, 9)
    bundles = bundles_of(groups(random, 9))
    monkeypatch.setattr(trees, "WAITING", int(random.integers(1, 50)))
    monkeypatch.setattr(trees, "TOGETHER", int(random.integers(1, 5)))
    monkeypatch.setattr(trees, "PRODUCT", int(random.integers(100, 200)))
    found = shared(tree, bundles)
    table, elsewhere = by_hand(tree, bundles)
    rows = zip(*(column.tolist() for column in found[:-1]), strict=True)
    assert {(a, b): (images, same, size) for a, b, images, same, size in rows} == table
    assert found.elsewhere.tolist() == elsewhere
    assert found.a.tolist() == sorted(found.a.tolist())


@pytest.mark.parametrize("seed", range(30))
def test_images_in_very_many_folders_count_for_pairs_of_other_images(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    tree = random_tree(random, 9)
    bundles = bundles_of(groups(random, 9))
    table, elsewhere = by_hand(tree, bundles)
    most = int(random.integers(2, 40))
    monkeypatch.setattr(trees, "PRODUCT", most)
    found = shared(tree, bundles)
    rows = {(a, b): tuple(rest) for a, b, *rest in zip(*(column.tolist() for column in found[:-1]), strict=True)}
    small = [
        bundle
        for bundle in bundles
        if len(tree.upward(bundle.folders)[0]) * len(tree.upward(bundle.matched)[0]) <= most
    ]
    wanted = {pair for a, b in by_hand(tree, small)[0] for pair in ((a, b), (b, a))}
    assert rows == {pair: table[pair] for pair in wanted}
    assert found.elsewhere.tolist() == elsewhere
    condensed(tree, found)  # the look-up finds all rows


def test_subtrees_are_ranges() -> None:
    tree = Tree(np.array([-1, 0, 1, 1, 0, -1]))
    assert tree.end.tolist() == [5, 4, 3, 4, 5, 6]
    assert tree.sums(np.arange(6)).tolist() == [10, 6, 2, 3, 4, 5]
    nodes, (sums,) = tree.upward(np.array([2, 4]), np.array([5, 7]))
    assert (nodes.tolist(), sums.tolist()) == ([0, 1, 2, 4], [12, 5, 5, 7])


def test_nothing_shared() -> None:
    found = shared(Tree(np.array([-1, 0])), [])
    assert [len(column) for column in found] == [0, 0, 0, 0, 0, 2]
    assert not len(condensed(Tree(np.array([-1, 0])), found))
