import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.kernels import cut


def plain(hashes: list[int], window: int) -> list[int]:
    return [
        i
        for i in range(window, len(hashes) - window)
        if all(hashes[i] < other for other in hashes[i - window : i])
        and all(hashes[i] <= other for other in hashes[i : i + window + 1])
    ]


@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60), window=st.integers(0, 8))
def test_cuts_are_the_least_of_their_window(hashes: list[int], window: int) -> None:
    assert cut.cuts(np.array(hashes, np.uint64), window).tolist() == plain(hashes, window)


@pytest.mark.parametrize(("mean", "window"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (1000, 499)])
def test_the_window_of_a_mean(mean: int, window: int) -> None:
    """The widest with 2w + 1 members at most."""
    assert cut.window(mean) == window


@pytest.mark.parametrize(
    ("hashes", "window", "cuts"),
    [([9, 3, 3, 9], 1, [1]), ([3, 9, 3, 9, 3], 2, []), ([9, 9, 3, 9, 3, 9, 9], 2, [2]), ([4, 4, 4], 0, [0, 1, 2])],
)
def test_of_equal_hashes_the_first_is_the_cut(hashes: list[int], window: int, cuts: list[int]) -> None:
    assert cut.cuts(np.array(hashes, np.uint64), window).tolist() == cuts


def pieces(hashes: np.ndarray, window: int) -> set[tuple[int, ...]]:
    return {tuple(piece) for piece in np.split(hashes, cut.cuts(hashes, window) + 1)}


@pytest.mark.parametrize("seed", range(20))
def test_one_member_more_changes_a_piece_or_two(seed: int) -> None:
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, 20_000, dtype=np.uint64)
    longer = np.insert(hashes, random.integers(20_000), random.integers(0, 2**64, dtype=np.uint64))
    before, after = pieces(hashes, 99), pieces(longer, 99)
    assert len(after - before) <= 2
    assert len(before - after) <= 2


def test_sizes_and_wider_windows() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 200_000, dtype=np.uint64)
    narrow, wide = cut.cuts(hashes, cut.window(1000)), cut.cuts(hashes, cut.window(8000))
    assert np.diff(narrow).min() > cut.window(1000)
    assert 900 < 200_000 / len(narrow) < 1100
    assert set(wide) < set(narrow)
