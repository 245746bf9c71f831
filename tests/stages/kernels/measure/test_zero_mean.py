"""Squared differences without the channels' means, against integers and against the projection itself."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.kernels.arrays import Device
from stages.kernels.measure import exact, zero_mean
from stages.kernels.measure.exact import Squares
from stages.kernels.measure.turns import COMPARED, turned
from stages.kernels.measure.zero_mean import RESTORED, ZeroMeanSquares, channel_sums, divisor, measure_of
from tests.stages.kernels import plain
from tests.stages.kernels.measure.test_exact import STRICT, every_pair, near_by_loop, rows_of

SHAPES = [(4, 4, 1), (5, 5, 3), (4, 9, 1), (13, 7, 4), (16, 16, 3)]
WIDE = (148, 149, 3)
"""More values than NumKong's 32 bits allow."""


@pytest.fixture(params=["numkong", "floats", "strict"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device | None:
    """Run with products by NumKong, by chunks of floats, and by an array library that only knows the standard."""
    if request.param == "numkong":
        pytest.importorskip("numkong")
    else:
        monkeypatch.setattr(exact, "fast_bytes", lambda: None)
    return STRICT if request.param == "strict" else None


@pytest.fixture(params=["compiled", "numpy"])
def checking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with pairs by the compiled loop, and by NumPy."""
    monkeypatch.setattr(exact, "COMPILED", 0)
    if request.param == "numpy":
        monkeypatch.setattr(exact, "native_for", lambda *_: None)


def measure(device: Device | None = None) -> ZeroMeanSquares:
    return ZeroMeanSquares(device) if device else ZeroMeanSquares()


def looped(a: np.ndarray, b: np.ndarray) -> int:
    """Return n Σd² - (Σd)², summed over the channels, in Python's integers."""
    total = 0
    for left, right in zip(a.reshape(-1, a.shape[2]).T.tolist(), b.reshape(-1, b.shape[2]).T.tolist(), strict=True):
        apart = [x - y for x, y in zip(left, right, strict=True)]
        total += len(apart) * sum(each**2 for each in apart) - sum(apart) ** 2
    return total


def projected(a: np.ndarray, b: np.ndarray) -> Fraction:
    """Return the exact squared distance after subtracting the mean of each channel of each image."""
    total, n = 0, a.shape[0] * a.shape[1]
    for channel in range(a.shape[2]):
        sides = [side[..., channel].ravel().tolist() for side in (a, b)]
        left, right = ([n * value - sum(side) for value in side] for side in sides)  # n times the values without mean
        total += sum((x - y) ** 2 for x, y in zip(left, right, strict=True))
    return Fraction(total, n**2)


def images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return constants, extremes, noise, and some of these brighter or darker."""
    found = plain.gallery(shape, seed)
    faint = np.random.default_rng(seed).integers(60, 190, shape)
    lit = [np.clip(faint + by, 0, 255) for by in (-60, -1, 0, 1, 65)]
    return np.concatenate([found, np.array(lit).astype(np.uint8)])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_integer_is_n_times_the_distance_of_the_projections(shape: tuple[int, ...]) -> None:
    some = images(shape)[[0, 4, 5, 8, 10, 11, -5, -1]]
    for a in some:
        for b in some:
            assert looped(a, b) == shape[0] * shape[1] * projected(a, b)


@pytest.mark.parametrize("shape", [*SHAPES, WIDE], ids=str)
def test_tiles_are_exact(device: Device | None, shape: tuple[int, ...]) -> None:
    a = images(shape)[:: 7 if shape == WIDE else 1]
    b = images(shape, 1)[:: 9 if shape == WIDE else 2]
    b[-1] = a[-1]
    found = measure(device).cross(a, b)
    assert found.dtype == np.int64
    assert found.tolist() == [[looped(x, y) for y in b] for x in a]
    assert measure(device).cross(a[:0], b).shape == (0, len(b))
    assert measure(device).cross(a, b[:0]).shape == (len(a), 0)


@pytest.mark.usefixtures("checking")
@pytest.mark.parametrize("shape", [*SHAPES, (40, 40, 3)], ids=str)
def test_pairs_are_exact_up_to_the_limit(shape: tuple[int, ...]) -> None:
    """Distances up to `most` are exact; larger distances are any number above `most`."""
    a, b = images(shape)[::2], images(shape)[::3]
    i, j = every_pair(len(a), len(b))
    whole = np.array([looped(a[x], b[y]) for x, y in zip(i, j, strict=True)])
    assert measure().pairs(a, b, i, j, np.inf).tolist() == whole.tolist()
    assert measure().pairs(a, b, i[:0], j[:0], np.inf).tolist() == []
    for most in sorted({value + by for value in whole[::5].tolist() for by in (-1, -0.5, 0, 0.5, 1)}):
        found = measure().pairs(a, b, i, j, most)
        assert (found[whole <= most] == whole[whole <= most]).all()
        assert (found[whole > most] > most).all()


@pytest.mark.parametrize("turns", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 5, 3), (13, 13, 4)], ids=str)
def test_near_pairs_of_a_tile_in_every_turn(device: Device | None, shape: tuple[int, ...], turns: int) -> None:
    a, b = images(shape)[::2], images(shape, 1)
    b = np.stack([plain.form(image, n % 8) for n, image in enumerate(np.concatenate([b[::3], a[-3:]]))])
    lefts = [a] * turns
    rights = [turned(b, turn) for turn in COMPARED[turns]]
    distances = np.array(
        [[[looped(x, y) for y in right] for x in left] for left, right in zip(lefts, rights, strict=True)]
    )
    wanted = np.random.default_rng(9).random((len(a), len(b))) < 0.7
    values = np.unique(distances.min(axis=0))
    for most in [-1, *values[:: max(1, len(values) // 9)].tolist(), float(values[2]) + 0.5, np.inf]:
        found = measure(device).near(lefts, rights, wanted, most)
        assert rows_of(found) == near_by_loop(distances, wanted, most)
        assert found.values.dtype == np.int64


@settings(max_examples=100)
@given(
    both=arrays(np.uint8, (3, 3, 4, 2)) | arrays(np.uint8, (3, 3, 4, 2), elements=st.sampled_from([0, 1, 254, 255])),
    by=st.integers(-255, 255),
)
def test_it_is_the_square_of_a_metric_that_ignores_an_offset(both: np.ndarray, by: int) -> None:
    found = measure().cross(both, both)
    assert found.tolist() == [[looped(x, y) for y in both] for x in both]
    assert (found == found.T).all()
    assert found.min() >= 0
    roots = np.sqrt(found)
    assert (roots[:, :, None] <= roots[:, None] + roots.T[None] + 1e-6).all(), "the triangle inequality"
    shifted = both.astype(int) + by
    if shifted.min() >= 0 and shifted.max() <= 255:
        moved = shifted.astype(np.uint8)
        assert measure().cross(both, moved).tolist() == found.tolist()
        assert not measure().cross(both, moved).diagonal().any()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_zero_is_a_constant_in_each_channel_and_nothing_else(shape: tuple[int, ...]) -> None:
    some = images(shape)
    found = measure().cross(some, some)
    apart = some[:, None].astype(int) - some[None]
    constant = (apart == apart[:, :, :1, :1]).all(axis=(2, 3, 4))
    assert ((found == 0) == constant).all()


@pytest.mark.parametrize("turns", [2, 4, 8])
def test_turns_keep_the_sums_of_channels_and_equal_turns_are_identical(turns: int) -> None:
    for image in images((5, 5, 3)):
        each = np.concatenate([turned(image[None], turn) for turn in COMPARED[turns]])
        assert (channel_sums(each) == channel_sums(image[None])).all()
        zero = measure().cross(image[None], each)[0] == 0
        assert zero.tolist() == [np.array_equal(image, other) for other in each]


@pytest.mark.parametrize("shape", [(1024, 1024, 4), (1023, 1021, 4)], ids=str)
def test_the_widest_thumbnails_fit_64_bits(shape: tuple[int, ...]) -> None:
    """Half black, half white against the reverse: the largest distance without the means."""
    half = np.zeros((1, *shape), np.uint8)
    half[:, : shape[0] // 2] = 255
    white = np.full((1, *shape), 255, np.uint8)
    upper, n = shape[0] // 2 * shape[1], shape[0] * shape[1]
    most = shape[2] * 255**2 * (n * n - (2 * upper - n) ** 2)
    assert most < 2**58
    one = np.zeros(1, np.int64)
    for a, b, expected in ((half, 255 - half, most), (white, 0 * white, 0), (half, white, most // 4)):
        assert measure().pairs(a, b, one, one, np.inf).tolist() == [expected]
        assert measure().pairs(a, b, one, one, expected).tolist() == [expected]
        assert measure().pairs(a, b, one, one, expected - 1)[0] > expected - 1
    assert measure().cross(half, 255 - half).tolist() == [[most]]
    assert rows_of(measure().near([half], [255 - half], np.ones((1, 1), bool), most)) == [(0, 0, most, 1)]
    assert rows_of(measure().near([half], [255 - half], np.ones((1, 1), bool), most - 1)) == []


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 9, 1), (1024, 1024, 4)], ids=str)
def test_sums_of_channels(shape: tuple[int, ...]) -> None:
    some = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    some[0] = 255
    expected = some.reshape(3, -1, shape[2]).astype(np.int64).sum(axis=1)
    assert channel_sums(some).tolist() == expected.tolist()
    assert channel_sums(some[:, :, ::-1]).tolist() == expected.tolist()


@given(number=st.integers(0, RESTORED - 1), by=st.integers(1, 2**42))
def test_a_quotient_restores_its_integer(number: int, by: int) -> None:
    for each in (number, RESTORED - 1):
        assert int(np.rint(np.float64(each) / by * by)) == each


def test_which_measure_and_divisor() -> None:
    assert type(measure_of(False)) is Squares
    assert type(measure_of(True, STRICT)) is ZeroMeanSquares
    assert [divisor((5, 4, 3), by_value, mean) for by_value in (False, True) for mean in (False, True)] == [
        20,
        400,
        60,
        1200,
    ]
    assert measure().costs(48) == Squares().costs(48)
    assert zero_mean.HIGHEST > 2**58
