import numpy as np
import pytest

from stages.kernels import exact


def plain(a: np.ndarray, b: np.ndarray) -> int:
    return sum((int(x) - int(y)) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True))


@pytest.mark.parametrize("size", [1, 48, 1023, 1024, 1025, 5000])
def test_cross_is_exact_even_at_the_extremes(size: int) -> None:
    random = np.random.default_rng(size)
    a = random.integers(0, 256, (5, size), dtype=np.uint8)
    a[0], a[1] = 0, 255
    b = random.integers(0, 256, (4, size), dtype=np.uint8)
    b[0], b[1] = 255, 0
    expected = [[plain(x, y) for y in b] for x in a]
    assert exact.cross(a, b).tolist() == expected


def test_aligned_and_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    a, b = random.integers(0, 256, (2, 9, 6, 6, 3), dtype=np.uint8)
    a[0], b[0] = 0, 255
    expected = [plain(x, y) for x, y in zip(a, b, strict=True)]
    assert exact.aligned(a, b).tolist() == expected
    monkeypatch.setattr(exact, "GATHER", 2000)
    assert exact.aligned(a, b).tolist() == expected


@pytest.mark.parametrize("turn", range(4))
def test_the_least_turn_and_all_that_attain_it(turn: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 6, 6, 3), dtype=np.uint8)
    turned = exact.turned(image, turn)
    for least in (exact.least_over_turns, exact.cross_over_turns):
        sums, bits = least(turned, image, 4)
        assert (sums.ravel().tolist(), bits.ravel().tolist()) == ([0], [1 << turn])
    half = image.copy()
    half[0] = (half[0].astype(int) + np.rot90(half[0], 2)) // 2  # unchanged by half a turn
    _, bits = exact.least_over_turns(half, half, 4)
    assert bits.tolist() == [0b0101]
