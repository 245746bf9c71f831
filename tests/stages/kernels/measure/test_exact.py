from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels import arrays
from stages.kernels.arrays import Device
from stages.kernels.measure import exact, floats, native
from stages.kernels.measure.exact import Squares, TileMatches
from stages.kernels.measure.floats import FloatSquares, UserFunction
from tests.stages.kernels import plain

STRICT = Device("strict", array_api_strict, array_api_strict.asarray, np.asarray, free=1)
EVERYTHING = 2.0**62


@pytest.fixture(params=["numkong", "floats", "strict"])
def squares(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Squares:
    """Return `Squares` with products by NumKong, by chunks of floats, or by a library of the array API standard."""
    if request.param == "numkong":
        pytest.importorskip("numkong")
    else:
        monkeypatch.setattr(exact, "fast_bytes", lambda: None)
    return Squares(STRICT) if request.param == "strict" else Squares()


@pytest.fixture(params=["compiled", "numpy"])
def checking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Squares:
    """Return `Squares` that computes pairs in compiled code, or with NumPy."""
    compiled = request.param == "compiled"
    monkeypatch.setattr(exact, "COMPILED", 0 if compiled else 2**62)
    if not compiled:
        monkeypatch.setattr(exact, "native_for", lambda *_: None)
    return Squares()


def extremes(seed: int, n: int, width: int) -> np.ndarray:
    """Return rows of noise; the first three rows are all 0, all 255, and all 0 but for a last value of 255."""
    rows = np.random.default_rng(seed).integers(0, 256, (n, width), dtype=np.uint8)
    rows[0], rows[1], rows[2] = 0, 255, 0
    rows[2, -1] = 255
    return rows


def every_pair(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    i, j = np.indices((n, m)).reshape(2, -1)
    return i, j


@pytest.mark.parametrize("width", [1, 48, 255, 256, 257, 1023, 1024, 1025, 2049, 7500])
def test_products_of_tiles_are_exact(squares: Squares, width: int) -> None:
    a, b = extremes(1, 5, width), extremes(2, 4, width)
    found = squares.cross(a, b)
    assert found.dtype == np.int64
    assert found.tolist() == [[plain.squares(x, y) for y in b] for x in a]


@pytest.mark.parametrize("width", [1, 48, 1023, 1024, 1025, 2049, 7500])
def test_pairs_are_exact(checking: Squares, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = extremes(1, 5, width), extremes(2, 4, width)
    i, j = every_pair(5, 4)
    expected = [plain.squares(x, y) for x in a for y in b]
    found = checking.pairs(a, b, i, j, EVERYTHING)
    assert found.dtype == np.int64
    assert found.tolist() == expected
    monkeypatch.setattr(exact, "GATHERED", 8 * width * 3)  # three at a time
    assert checking.pairs(a, b, i[::-1], j[::-1], np.inf).tolist() == expected[::-1]
    assert checking.pairs(a, b, i[:0], j[:0], EVERYTHING).tolist() == []


@pytest.mark.parametrize("width", [66_051, 66_052, 66_053, 132_103])
def test_sums_wider_than_32_bits_are_exact(squares: Squares, width: int) -> None:
    """66,051 · 255² is just below 2³²."""
    a = np.stack([np.zeros(width, np.uint8), np.full(width, 255, np.uint8)])
    assert squares.cross(a, a).tolist() == [[0, 255**2 * width], [255**2 * width, 0]]


@pytest.mark.quick(1)
def test_the_widest_thumbnails(squares: Squares) -> None:
    black, white = np.zeros((1, 1024, 1024, 4), np.uint8), np.full((1, 1024, 1024, 4), 255, np.uint8)
    expected = 255**2 * 1024 * 1024 * 4
    assert squares.cross(black, white).tolist() == [[expected]]
    assert squares.cross(white, white).tolist() == [[0]]


def test_pairs_of_the_widest_thumbnails(checking: Squares) -> None:
    black, white = np.zeros((1, 1024, 1024, 4), np.uint8), np.full((1, 1024, 1024, 4), 255, np.uint8)
    one = np.zeros(1, np.int64)
    assert checking.pairs(black, white, one, one, EVERYTHING).tolist() == [255**2 * 1024 * 1024 * 4]
    assert checking.pairs(white, black, one, one, 10**9)[0] > 10**9


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    width=st.integers(1, 3_000),
    levels=st.sampled_from([(0, 256), (0, 2), (254, 256), (100, 103)]),
)
def test_tiles_and_pairs_agree(seed: int, width: int, levels: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    a, b = (random.integers(*levels, (n, width), dtype=np.uint8) for n in (3, 4))
    whole = ((a[:, None].astype(np.int64) - b) ** 2).sum(axis=2)
    assert Squares().cross(a, b).tolist() == whole.tolist()
    assert Squares().pairs(a, b, *every_pair(3, 4), EVERYTHING).tolist() == whole.ravel().tolist()


@pytest.mark.parametrize("by", [-1, -0.5, 0, 0.5, 1])
def test_a_sum_above_most_may_be_any_number_above_most(checking: Squares, by: float) -> None:
    """A sum of at most `most` is exact; a larger sum may be returned as any number above `most`."""
    random = np.random.default_rng(3)
    a = random.integers(0, 256, (6, 5_000), dtype=np.uint8)
    b = np.clip(a + random.integers(-1, 2, a.shape), 0, 255).astype(np.uint8)
    b[3:] = random.integers(0, 256, (3, 5_000))
    i, j = every_pair(6, 6)
    whole = np.array([plain.squares(a[x], b[y]) for x, y in zip(i, j, strict=True)])
    for most in (whole + by).tolist():
        found = checking.pairs(a, b, i, j, most)
        assert (found[whole <= most] == whole[whole <= most]).all()
        assert (found[whole > most] > most).all()


def test_a_sum_of_at_most_counts_all_values(checking: Squares) -> None:
    a, b = np.zeros((2, 1, 5_000), np.uint8)
    b[0, [3, 1_023, 1_024, 4_999]] = 2, 2, 2, 1
    one = np.zeros(1, np.int64)
    for most in range(13):
        assert checking.pairs(a, b, one, one, most)[0] > most
    assert checking.pairs(a, b, one, one, 13).tolist() == [13]


def test_tiles_of_any_shape_and_layout(squares: Squares) -> None:
    images = np.random.default_rng(4).integers(0, 256, (7, 9, 9, 3), dtype=np.uint8)
    turned = np.rot90(images, 1, axes=(1, 2))
    expected = [[plain.squares(x, y) for y in turned[::2]] for x in images]
    assert squares.cross(images, turned[::2]).tolist() == expected
    assert squares.cross(images[:, :, ::-1], turned[::2][:, :, ::-1]).tolist() == expected


def test_tiles_of_no_rows(squares: Squares) -> None:
    images = np.zeros((7, 9, 9, 3), np.uint8)
    assert squares.cross(images[:0], images).shape == (0, 7)
    assert squares.cross(images, images[:0]).shape == (7, 0)


def test_pairs_of_any_layout(checking: Squares) -> None:
    images = np.random.default_rng(4).integers(0, 256, (7, 9, 9, 3), dtype=np.uint8)
    turned = np.rot90(images, 1, axes=(1, 2))
    i, j = np.array([6, 0, 3]), np.array([1, 1, 0])
    expected = [plain.squares(images[x], turned[y]) for x, y in zip(i, j, strict=True)]
    assert checking.pairs(images, turned, i, j, EVERYTHING).tolist() == expected


def near_by_loop(distances: np.ndarray, wanted: np.ndarray, most: float) -> list[tuple[int, int, float, int]]:
    """Return wanted pairs whose least distance is at most `most`, with this distance and the turns that attain it.

    distances  (turns, n, m)"""
    found = []
    for i, j in np.argwhere(wanted).tolist():
        values = distances[:, i, j].tolist()
        if min(values) <= most:
            found.append((i, j, min(values), sum(1 << turn for turn, each in enumerate(values) if each == min(values))))
    return found


def rows_of(near: TileMatches) -> list[tuple[int, int, float, int]]:
    assert [column.dtype for column in (near.i, near.j, near.turns)] == [np.int64, np.int64, np.uint8]
    return list(zip(*(column.tolist() for column in near), strict=True))


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("width", [5, 1_025, 66_052])
def test_near_pairs_of_a_tile(squares: Squares, width: int, turns: int) -> None:
    lefts = [extremes(1, 5, width)] * turns
    rights = [extremes(2 + turn, 4, width) for turn in range(turns)]
    rights[0][3] = rights[-1][3] = lefts[0][4]  # two turns attain the least distance of this pair
    distances = np.array(
        [((a[:, None].astype(np.int64) - b) ** 2).sum(axis=2) for a, b in zip(lefts, rights, strict=True)]
    )
    wanted = np.random.default_rng(9).random((5, 4)) < 0.7
    wanted[4, 3] = True
    values = np.unique(distances.min(axis=0))
    for most in [-1, *values[::3].tolist(), float(values[2]) + 0.5, np.inf]:
        found = squares.near(lefts, rights, wanted, most)
        assert rows_of(found) == near_by_loop(distances, wanted, most)
        assert found.values.dtype == np.int64


def test_near_pairs_of_a_tile_of_no_rows(squares: Squares) -> None:
    rows = np.zeros((3, 7), np.uint8)
    for a, b in ((rows, rows[:0]), (rows[:0], rows)):
        found = squares.near([a, a], [b, b], np.ones((len(a), len(b)), bool), np.inf)
        assert rows_of(found) == []


def test_near_pairs_of_vectors_and_of_a_function() -> None:
    random = np.random.default_rng(10)
    lefts, rights = ([random.integers(0, 3, (n, 1, 2, 1)).astype(np.float32) for _ in range(3)] for n in (5, 4))
    wanted = random.random((5, 4)) < 0.7
    flat = [[rows.reshape(len(rows), 2) for rows in side] for side in (lefts, rights)]
    for measure, a, b in ((FloatSquares(), *flat), (UserFunction(brightness), lefts, rights)):
        distances = np.array([measure.cross(x, y) for x, y in zip(a, b, strict=True)])
        for most in (0, 1, 2.0, np.inf):
            assert rows_of(measure.near(a, b, wanted, most)) == near_by_loop(distances, wanted, most)


@pytest.mark.parametrize("size", [48, 12_288])
def test_the_faster_way_costs_less(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The costs decide which of two methods computes distances; the test checks which cost is larger."""
    monkeypatch.setattr(exact, "fast_bytes", lambda: None)
    monkeypatch.setattr(exact, "compiled", lambda: False)
    slowest, device = Squares().costs(size), Squares(STRICT).costs(size)
    monkeypatch.setattr(exact, "compiled", lambda: True)
    compiled = Squares().costs(size)
    monkeypatch.setattr(exact, "fast_bytes", object)
    numkong = Squares().costs(size)
    assert device.product < numkong.product < compiled.product == slowest.product < slowest.apart
    assert compiled.apart <= compiled.alike < slowest.alike
    for measure in (FloatSquares(), UserFunction(brightness)):
        assert 1 <= measure.costs(size).product <= measure.costs(size).apart <= measure.costs(size).alike


@pytest.mark.parametrize(("kong", "calls"), [(True, 1), (False, 0)])
def test_which_products_are_taken(monkeypatch: pytest.MonkeyPatch, kong: bool, calls: int) -> None:
    """A device with its own memory uses its own products; NumKong is used only where 32 bits suffice."""
    numkong = pytest.importorskip("numkong")
    seen: list[int] = []

    class Counted:
        dots_pack = staticmethod(numkong.dots_pack)
        dot = staticmethod(numkong.dot)

        @staticmethod
        def dots_packed(a: Any, b: Any) -> Any:
            seen.append(a.shape[1])
            return numkong.dots_packed(a, b)

    monkeypatch.setattr(exact, "fast_bytes", lambda: Counted if kong else None)
    rows = extremes(5, 4, exact.WIDEST)
    Squares().cross(rows, rows)
    assert len(seen) == calls
    Squares(STRICT).cross(rows, rows)
    wide = extremes(5, 3, exact.WIDEST + 1)
    Squares().cross(wide, wide)
    assert len(seen) == calls


def test_pairs_are_measured_by_compiled_code_once_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    true = native.sums
    monkeypatch.setattr(native, "sums", lambda *given: seen.append(len(given[2])) or true(*given))
    rows = extremes(6, 5, 100)
    i, j = every_pair(5, 5)
    expected = [plain.squares(rows[x], rows[y]) for x, y in zip(i, j, strict=True)]
    monkeypatch.setattr(exact, "COMPILED", 26)
    monkeypatch.setattr(arrays, "_items", Counter())
    for calls in ([], [25]):  # the second call brings the process to 50 pairs
        assert Squares().pairs(rows, rows, i, j, EVERYTHING).tolist() == expected
        assert seen == calls


# Vectors


def looped(u: np.ndarray, v: np.ndarray, scale: float) -> float:
    total = 0.0
    for x, y in zip(u.tolist(), v.tolist(), strict=True):
        apart = x - y
        total += apart * apart
    return total * scale


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    d=st.integers(1, 200),
    scale=st.sampled_from([1.0, 0.5, 0.3]),
    spread=st.sampled_from([1e-20, 1.0, 1e15]),
)
def test_vectors_to_the_last_bit(seed: int, d: int, scale: float, spread: float) -> None:
    random = np.random.default_rng(seed)
    a, b = ((random.normal(size=(n, d)) * spread).astype(np.float32) for n in (3, 5))
    b[0] = a[1]
    i, j = every_pair(3, 5)
    expected = [looped(x, y, scale) for x in a for y in b]
    assert FloatSquares(scale).cross(a, b).ravel().tolist() == expected
    for compiled in (0, 10**9):
        with mock.patch.object(floats, "COMPILED", compiled):
            assert FloatSquares(scale).pairs(a, b, i, j, np.inf).tolist() == expected
            for most in expected[::4]:
                found = FloatSquares(scale).pairs(a, b, i, j, most)
                near = np.array(expected) <= most
                assert found[near].tolist() == np.array(expected)[near].tolist()
                assert (found[~near] > most).all()


@pytest.mark.parametrize("small", [1, 7, 30])
def test_vectors_cut_into_any_tiles(monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    a, b = (np.random.default_rng(n).normal(size=(n, 33)).astype(np.float32) for n in (9, 7))
    expected = [looped(x, y, 1.0) for x in a for y in b]
    monkeypatch.setattr(floats, "SMALL", small)
    i, j = every_pair(9, 7)
    assert FloatSquares().cross(a, b).ravel().tolist() == expected
    assert FloatSquares().pairs(a, b, i, j, 0.0).tolist() == expected
    assert FloatSquares().cross(a[:0], b).shape == (0, 7)
    assert FloatSquares().cross(a, b[:0]).shape == (9, 0)
    assert FloatSquares().pairs(a, b, i[:0], j[:0], 0.0).shape == (0,)


# A user's function


def brightness(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.abs(images.astype(int).sum(axis=(1, 2, 3)) - int(image.sum()))


def test_a_function_is_given_images_and_one_image() -> None:
    a, b = (np.random.default_rng(n).integers(0, 256, (n, 4, 5, 3), dtype=np.uint8) for n in (6, 4))
    expected = [[float(abs(int(y.sum()) - int(x.sum()))) for y in b] for x in a]
    measure = UserFunction(brightness)
    found = measure.cross(a, b)
    assert found.dtype == np.float64
    assert found.tolist() == expected
    i, j = np.array([5, 0, 5, 2, 0]), np.array([1, 0, 0, 3, 0])
    assert measure.pairs(a, b, i, j, 0.0).tolist() == [expected[x][y] for x, y in zip(i, j, strict=True)]
    assert measure.cross(a[:0], b).shape == (0, 4)
    assert measure.cross(a, b[:0]).shape == (6, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda images, image: np.zeros(len(images) + 1), r"expected 3 numbers, got an array \(4,\)"),
        (lambda images, image: 0.0, r"expected 3 numbers, got an array \(\)"),
        (lambda images, image: np.zeros((len(images), 1)), r"got an array \(3, 1\)"),
        (lambda images, image: ["far"] * len(images), "of <U3"),
        (lambda images, image: np.zeros(len(images), complex), "of complex128"),
        (lambda images, image: [0, 1, -1e-9], "got a negative number"),
        (lambda images, image: [0, 1, np.nan], "number or NaN"),
    ],
)
def test_the_result_of_a_function_is_checked(given: Any, message: str) -> None:
    images = np.zeros((3, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match=message):
        UserFunction(given).cross(images, images)
    with pytest.raises(ValueError, match=message):
        UserFunction(given).pairs(images, images, np.array([1, 1, 1]), np.arange(3), 0.0)


@pytest.mark.parametrize("which", [0, 1])
def test_a_function_may_not_change_its_input(which: int) -> None:
    def brightened(*given: np.ndarray) -> np.ndarray:
        given[which][...] = 255
        return np.zeros(len(given[0]))

    images = np.zeros((3, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        UserFunction(brightened).cross(images, images)
    with pytest.raises(ValueError, match="read-only"):
        UserFunction(brightened).pairs(images, images, np.arange(3), np.arange(3), 0.0)
    assert not images.any()
    assert images.flags.writeable


def test_a_function_of_infinite_or_whole_numbers() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    assert UserFunction(lambda images, image: [np.inf, 0]).cross(images, images).tolist() == [[np.inf, 0.0]] * 2
    assert UserFunction(lambda images, image: images[:, 0, 0, 0] > 0).cross(images, images).tolist() == [[0.0, 0.0]] * 2
