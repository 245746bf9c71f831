"""Shared directions: blocks are projected once, no match is lost, and other kinds of blocks renew the directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stages.kernels.bounds import keys
from stages.kernels.bounds.directions import DIRECTIONS, WIDE
from stages.kernels.bounds.keys import RENEWALS, BlockName, projected
from stages.kernels.bounds.space import Space, prepare
from stages.kernels.filters.leaves import Leaves
from stages.kernels.filters.tree import leaves_of

D = 40


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    for cache in (keys._shared, keys._kept):
        cache.clear()
    yield
    for cache in (keys._shared, keys._kept):
        cache.clear()


def named(block: object, comparison: object = "mse") -> BlockName:
    return BlockName(comparison, block)


def doubles(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64)


def block(seed: int, start: int = 0, count: int = 10, n: int = 300, d: int = D) -> np.ndarray:
    """Return vectors that vary along some axes only."""
    rows = np.zeros((n, d), np.float32)
    rows[:, start : start + count] = np.random.default_rng(seed).normal(size=(n, count)) * 10
    return rows


def test_a_block_is_projected_once_and_blocks_share_directions() -> None:
    a, b = block(1), block(2)
    first, directions = projected(named("a"), 0, a, doubles)
    second, same = projected(named("b"), 0, b, doubles)
    assert directions is same
    assert projected(named("a"), 0, a, doubles)[0] is first is not second
    assert leaves_of(first, None) is leaves_of(first, None)
    other, elsewhere = projected(named("a", "hamming"), 0, a, doubles)
    assert elsewhere is not directions
    assert other is not first
    assert projected(named("longer"), 0, block(3, d=D + 8), doubles)[1] is not directions
    assert projected(named("b"), 0, b, doubles)[1] is directions
    turned, again = projected(named("a"), 1, a, lambda rows: doubles(rows[:, ::-1]))
    assert turned is not first
    assert again is not directions  # turned vectors vary along other axes


def test_directions_are_renewed_for_another_kind_of_block_and_then_serve_both() -> None:
    photographs, icons = block(1, 0, 4), block(2, 20, 4)
    before = projected(named("photographs"), 0, photographs, doubles)[1]
    after = projected(named("icons"), 0, icons, doubles)[1]
    assert before is not after
    assert projected(named("photographs"), 0, photographs, doubles)[1] is after
    assert projected(named("more"), 0, block(3, 0, 4), doubles)[1] is after
    spread = np.square((icons - icons.mean(axis=0)) @ after.basis).sum() / np.square(icons).sum()
    assert spread > 0.8


def test_directions_are_renewed_a_limited_number_of_times() -> None:
    found = [projected(named(number), 0, block(number, 3 * number, 3), doubles)[1] for number in range(3 * RENEWALS)]
    assert len(set(map(id, found))) == RENEWALS + 1


@pytest.mark.parametrize(("entries", "expected"), [(2 * WIDE - 1, DIRECTIONS), (2 * WIDE, WIDE)])
def test_long_vectors_are_projected_on_more_directions(entries: int, expected: int) -> None:
    rows = block(1, 0, entries, 200, entries)
    assert projected(named("a"), 0, rows, doubles)[0].rows.shape == (200, expected)


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("n", [1, 200])
def test_no_match_is_lost_along_the_directions_of_other_blocks(turns: int, n: int) -> None:
    """The directions come from a block that varies in other dimensions."""
    random = np.random.default_rng(7)
    space = Space(30.0, np.arange(D * turns).reshape(turns, D))
    far = np.tile(block(1, 25, 10), turns)
    prepare(far, far, space, (named("far"), named("far")))
    left = np.tile(block(2, 0, 20, n), turns)
    right = left[::-1] + random.normal(size=left.shape).astype(np.float32) * 0.8
    for some, other, names in (
        (left, right, (named("left"), named("right"))),
        (left, left, (named("left"), named("left"))),
    ):
        ascending = some is other
        prepared = prepare(some, other, space, names)
        assert len(prepared.passes) == turns
        found = Leaves(prepared).candidates(np.arange(n), None, ascending, n * n + 1)
        assert found is not None
        expected = set()
        for turn, order in enumerate(space.orders):
            far_apart = ((doubles(some)[:, None, space.orders[0]] - doubles(other)[:, order]) ** 2).sum(axis=2)
            near = far_apart <= space.squared
            expected |= {(i, j, turn) for i, j in np.argwhere(np.triu(near, 1) if ascending else near).tolist()}
        bits = zip(found.a.tolist(), found.b.tolist(), found.turns.tolist(), strict=True)
        assert {(i, j, turn) for i, j, each in bits for turn in range(turns) if each >> turn & 1} == expected
        assert expected or ascending


def test_more_blocks_than_fit_are_projected_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    small = keys.LRUCache[object, keys.Projections](20_000, getsizeof=lambda kept: min(20_000, kept.rows.nbytes))
    monkeypatch.setattr(keys, "_kept", small)
    first = projected(named("a"), 0, block(1), doubles)[0]
    assert projected(named("b"), 0, block(2), doubles)[0] is not first
    again = projected(named("a"), 0, block(1), doubles)[0]
    assert again is not first
    assert np.array_equal(again.rows, first.rows)
