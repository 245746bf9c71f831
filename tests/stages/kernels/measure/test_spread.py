import numpy as np
import pytest

from stages.kernels.measure import spread
from stages.kernels.measure.exact import Squares
from stages.kernels.measure.spread import distinct, farthest
from stages.kernels.measure.zero_mean import measure_of
from tests.stages.kernels import plain


def dull(images: np.ndarray, turns: int, zero_mean: bool) -> int:
    return max(
        (min(plain.apart(a, b, turns, zero_mean)) for number, a in enumerate(images) for b in images[:number]),
        default=0,
    )


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("turns", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 40])
def test_it_is_the_largest_of_all_pairs(
    count: int, turns: int, zero_mean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "TILE", 5)
    random = np.random.default_rng(count)
    centre = random.integers(60, 190, (1, 6, 6, 3))
    noise = random.integers(-60, 60, (count, 6, 6, 3)) * random.random((count, 1, 1, 1))
    images = np.clip(centre + noise, 0, 255).astype(np.uint8)
    assert farthest(images, turns, measure_of(zero_mean)) == dull(images, turns, zero_mean)


def test_most_pairs_of_a_tight_cluster_with_two_that_stand_out_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spread, "TILE", 4)
    images = np.full((400, 4, 4, 1), 100, np.uint8) + np.random.default_rng(1).integers(0, 3, (400, 4, 4, 1), np.uint8)
    images[7], images[300] = 0, 255
    compared = []
    cross = Squares.cross
    monkeypatch.setattr(Squares, "cross", lambda self, a, b: (compared.append(1), cross(self, a, b))[1])
    assert farthest(images, 1, Squares()) == 16 * 255**2
    assert len(compared) < 250, "of 5,050 tiles"


def test_a_pair_as_far_apart_as_its_bound_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images lie on opposite sides of the first; a pair that is compared before is nearer by one part in 10⁹."""
    monkeypatch.setattr(spread, "TILE", 1)
    middle = np.full((200, 200, 3), 100, np.uint8)
    one, other = middle + 91, middle - 91
    before = other.copy()
    before.ravel()[:182] += 1
    before.ravel()[182:363] -= 1
    most = 182**2 * middle.size
    assert int(((one.astype(int) - before) ** 2).sum()) == most - 1
    assert farthest(np.stack([middle, one, other, before]), 1, Squares()) == most


@pytest.mark.parametrize("count", [0, 1, 30])
def test_each_different_image_is_taken_once_in_the_order_of_its_first_copy(count: int) -> None:
    images = np.random.default_rng(count).integers(0, 2, (count, 2, 2, 1), dtype=np.uint8)
    once = list(dict.fromkeys(image.tobytes() for image in images))
    found = distinct(images)
    assert [image.tobytes() for image in found] == once
    assert found.shape[1:] == images.shape[1:]
    assert found.dtype == np.uint8
