import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.kernels.bounds import coarse, orbits
from stages.kernels.measure import native
from tests.stages.kernels import plain

SQUARE = [(4, 4, 1), (5, 5, 3), (7, 7, 4), (13, 13, 3), (16, 16, 1), (50, 50, 3)]
SHAPES = [*SQUARE, (4, 9, 1), (7, 13, 3), (50, 20, 4)]
GRIDS = [(shape, grid) for shape in SHAPES for grid in (4, 8, 16) if grid <= min(shape[:2])]


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def looping(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run with sums by compiled loops, and by NumPy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coarse, "native_for", lambda *_: native if request.param == "compiled" else None)
        yield


def test_edges_mirror_each_other_and_leave_out_an_odd_middle() -> None:
    assert coarse.edges(50) == [(0, 12), (12, 25), (25, 38), (38, 50)]
    assert coarse.edges(51) == [(0, 12), (12, 25), (26, 39), (39, 51)]
    for grid in (4, 8, 16):
        for side in range(grid, 70):
            cells = coarse.edges(side, grid)
            assert len(cells) == grid
            assert all(start < stop for start, stop in cells)
            assert [(side - stop, side - start) for start, stop in reversed(cells)] == cells
            assert sorted({*range(side)} - {x for cell in cells for x in range(*cell)}) == [side // 2] * (side % 2)


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize(("shape", "grid"), GRIDS, ids=str)
def test_sums_are_those_of_the_cells(shape: coarse.Shape, grid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = plain.gallery(shape)[-9:]
    expected = [plain.sums(image, grid) for image in images]
    assert len(expected[0]) == coarse.length(shape, grid)
    found = coarse.coarse(images, grid)
    assert found.dtype == np.int64
    assert found.tolist() == expected
    monkeypatch.setattr(coarse, "BYTES", 8 * math.prod(shape) * 2)  # two at a time
    assert coarse.coarse(images, grid).tolist() == expected


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 5, 1), (5, 8, 4), (9, 9, 2), (4, 6, 1)], ids=str)
def test_contrast_is_the_standard_deviation_of_all_values(shape: coarse.Shape) -> None:
    images = plain.gallery(shape)
    found = coarse.contrast(images, coarse.coarse(images))
    assert found.dtype == np.float32
    for image, each in zip(images, found.tolist(), strict=True):
        values = image.ravel().tolist()
        squared = len(values) * sum(value**2 for value in values) - sum(values) ** 2
        assert each == np.float32(math.sqrt(squared) / len(values))


@pytest.mark.parametrize("side", [1022, 1023])
def test_contrast_of_a_large_thumbnail_of_nearly_one_colour(side: int) -> None:
    """Float64 can't hold the squares of the sums, but can hold their differences."""
    image = np.full((1, side, side, 4), 254, np.uint8)
    image[0, 0, 0, 0] = 255
    size = image.size
    assert coarse.contrast(image, coarse.coarse(image)).tolist() == [np.float32(math.sqrt(size - 1) / size)]


@pytest.mark.usefixtures("looping")
def test_no_thumbnails() -> None:
    sums = coarse.coarse(np.empty((0, 8, 8, 3), np.uint8))
    assert sums.shape == coarse.vectors(sums, (8, 8, 3)).shape == (0, 64)


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("side", [1024, 1023])
def test_sums_of_large_thumbnails_at_the_extremes(side: int) -> None:
    image = np.full((1, side, side, 4), 255, np.uint8)
    pixels = side // 4 * ((side + 1) // 4)
    assert coarse.coarse(image)[0, 5:10].tolist() == [255 * pixels] * 4 + [4 * 255**2 * pixels]
    assert coarse.vectors(coarse.coarse(image), image.shape[1:])[0, 9] == 0  # the cell has no remaining contrast


def test_sums_that_float32_cannot_hold() -> None:
    """Cells of more than 258 lines, larger than any thumbnail that the config allows; float64 from fewer lines on
    gives equal sums."""
    for shape in ((1, 1100, 4, 1), (1, 4, 1100, 1)):
        image = np.full(shape, 255, np.uint8)
        image[:, ::7, ::7] = 254
        assert coarse.coarse(image).tolist() == [plain.sums(image[0], coarse.GRID)]


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((64, 64, 3), True),
        ((360, 360, 4), True),
        ((400, 440, 3), True),
        ((400, 400, 4), False),
        ((1024, 256, 4), False),
        ((256, 1024, 4), False),
        ((1024, 1024, 4), False),
    ],
)
def test_which_sums_fit_32_bits(shape: coarse.Shape, fits: bool) -> None:
    """2³¹ is no multiple of 255², so < and <= give the same."""
    brightest = int(coarse.coarse(np.full((1, *shape), 255, np.uint8)).max())
    assert coarse.fits_int32(shape) == fits == (brightest < 2**31)


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("shape", "grid"), GRIDS, ids=str)
def test_vectors_are_rounded_once(
    shape: coarse.Shape, grid: int, zero_mean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coarse, "ROWS", 4)
    images = plain.gallery(shape)[::2]
    ulp = Decimal(2) ** -24 * (1 + Decimal(2) ** -10)
    for image, row in zip(images, plain.vectors(images, grid, zero_mean), strict=True):
        for entry, exact in zip(row.tolist(), plain.vector(image, grid, zero_mean), strict=True):
            if abs(exact) < Decimal(10) ** -50:  # 0, to 60 digits
                assert entry == 0
            assert abs(Decimal(entry) - exact) <= ulp * abs(exact) + Decimal(10) ** -50


@pytest.mark.parametrize("side", [1024, 1023])
def test_vectors_without_means_of_large_thumbnails(side: int) -> None:
    """The integers behind the entries are as large as possible; a brighter copy has the same vector, bit by bit."""
    half = np.zeros((1, side, side, 4), np.uint8)
    half[:, side // 2 :] = 200
    found = plain.vectors(half, zero_mean=True)[0]
    if side == 1024:
        assert found[:4].tolist() == [-100 * 256.0] * 4
    assert plain.vectors(half + 55, zero_mean=True).tobytes() == found.tobytes()
    assert not plain.vectors(half * 0 + 255, zero_mean=True).any()


@given(
    values=st.lists(st.integers(0, 255), min_size=2, max_size=200),
    level=st.integers(0, 255),
    alike=st.booleans(),
)
def test_the_contrast_within_a_cell_keeps_its_digits(values: list[int], level: int, alike: bool) -> None:
    """If nearly all values are equal, subtracting s²/m from q in floats would lose all digits."""
    values = [level] * (9_000 * alike) + values
    side = math.isqrt(len(values))
    values = values[-side * side :]
    image = np.zeros((4 * side, 4 * side, 1), np.uint8)
    image[:side, :side, 0] = np.reshape(values, (side, side))
    m, s, q = side * side, sum(values), sum(value**2 for value in values)
    exact = Fraction(q * m - s * s, m)
    found = Fraction(float(plain.vectors(image[None])[0, 1]))
    assert abs(found**2 - exact) <= exact * Fraction(2**11 + 3, 2**34)
    assert found >= 0


def bounded(images: np.ndarray, grid: int, turns: int, zero_mean: bool) -> None:
    """Check the bound for every pair in every turn, in float64 of the exact vectors, up to the rounding of float64."""
    exact = np.array([[float(entry) for entry in plain.vector(image, grid, zero_mean)] for image in images])
    flat = images.reshape(len(images), -1, images.shape[3]).astype(np.int64)
    for turn, order in zip(plain.TURNS[turns], orbits.orders(images.shape[3], turns, grid), strict=True):
        apart = flat[:, None] - plain.forms(images, turn).reshape(flat.shape).astype(np.int64)
        whole = (apart**2).sum(axis=(2, 3)).astype(np.float64)
        if zero_mean:
            whole -= (apart.sum(axis=2) ** 2).sum(axis=2) / flat.shape[1]
        bound = ((exact[:, None] - exact[:, order]) ** 2).sum(axis=2)
        assert (bound <= whole * (1 + 1e-12) + 1e-6).all()


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("shape", "grid"), GRIDS, ids=str)
def test_the_bound_holds(shape: coarse.Shape, grid: int, zero_mean: bool) -> None:
    bounded(plain.gallery(shape), grid, 8 if shape in SQUARE else 2, zero_mean)


@given(
    images=arrays(np.uint8, (2, 5, 5, 2)) | arrays(np.uint8, (2, 5, 5, 2), elements=st.sampled_from([0, 1, 255])),
    zero_mean=st.booleans(),
)
def test_the_bound_holds_for_all_images(images: np.ndarray, zero_mean: bool) -> None:
    bounded(images, 4, 8, zero_mean)


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("shape", "grid"), GRIDS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_tight_where_images_differ_in_means(
    shape: coarse.Shape, grid: int, seed: int, zero_mean: bool
) -> None:
    """No term of the bound is missing: a bound that never exceeds the distance is also never much smaller."""
    a, b = plain.stepped(np.random.default_rng(seed), shape, grid, orbits=False)
    u, v = plain.vectors(np.stack([a, b]), grid, zero_mean).astype(np.float64)
    whole: float = plain.squares(a, b)
    if zero_mean:  # of the pixels inside cells: on an odd side, other pixels share in the mean
        apart = np.concatenate(
            [(a[cell].astype(int) - b[cell]).reshape(-1, shape[2]) for cell in plain.cells(shape, grid)]
        )
        whole = float(((apart - apart.mean(axis=0)) ** 2).sum())
    assert ((u - v) ** 2).sum() == pytest.approx(whole, rel=1e-4)


def test_the_bound_is_tight_where_images_differ_in_contrast() -> None:
    """This tests the residues' term: images with equal means, of which one has a greater contrast by a constant
    factor."""
    signs = np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1
    a, b = ((128 + signs * by)[:, :, None].astype(np.uint8) for by in (3, 40))
    u, v = plain.vectors(np.stack([a, b])).astype(np.float64)
    assert ((u - v) ** 2).sum() == pytest.approx(plain.squares(a, b))


@given(threshold=st.floats(0, 200_000), divisor=st.integers(1, 1 << 22))
def test_the_limit_is_the_greatest_sum_that_is_a_match(threshold: float, divisor: int) -> None:
    limit = coarse.limit(threshold, divisor)
    assert limit / divisor <= threshold < (limit + 1) / divisor


@pytest.mark.parametrize("threshold", [260_100.0, 1e18, 1e308])
@pytest.mark.parametrize("divisor", [1, 4096, 1 << 22])
def test_a_threshold_beyond_reach_lets_everything_pass(threshold: float, divisor: int) -> None:
    assert coarse.limit(threshold, divisor) == 4 * 255**2 * divisor


@pytest.mark.parametrize("divisor", [3, 7, 2500, 4096, 12288])
def test_the_limit_where_division_rounds(divisor: int) -> None:
    for sums in (*range(200), 999, 123_457):
        threshold = sums / divisor
        assert coarse.limit(threshold, divisor) == sums
        assert coarse.limit(math.nextafter(threshold, math.inf), divisor) == sums
        if sums:
            assert coarse.limit(math.nextafter(threshold, 0), divisor) == sums - 1
