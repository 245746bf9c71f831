"""Results of a GPU equal the results of NumPy; skipped, with the reason, without a GPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.comparing.metrics.mse import Mse
from stages.kernels import arrays
from stages.kernels.arrays import CPU, Device, NoDevice
from stages.kernels.bounds import coarse, orbits
from stages.kernels.bounds.space import Space, prepare
from stages.kernels.compare import BlockPair
from stages.kernels.filters.product import Product
from stages.kernels.measure import exact
from stages.kernels.measure.exact import Squares
from stages.kernels.measure.metric import MatchArrays, Side, joined
from stages.kernels.rules import MatchRules
from stages.pairs import Params
from tests.benchmarks import thumbnails
from tests.end_to_end.driver import Project, make_images
from tests.stages.kernels import plain
from tests.stages.kernels.filters.test_filters import SHAPES, attack, checked, clouds, lost_by, told

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu() -> Device:
    try:
        return arrays.gpu()
    except NoDevice as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("width", [1, 48, 1023, 1024, 1025, 12_288, 66_053])
def test_products_are_exact(gpu: Device, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    a, b = (random.integers(0, 256, (n, width), dtype=np.uint8) for n in (70, 33))
    a[0], a[1], b[0], b[1] = 0, 255, 255, 0
    found = Squares(gpu).cross(a, b)
    monkeypatch.setattr(exact, "fast_bytes", lambda: None)
    assert np.array_equal(found, Squares(CPU).cross(a, b))
    assert found[0, 0] == found[1, 1] == plain.squares(a[0], b[0]) == 255**2 * width


@pytest.mark.parametrize(("d", "turns"), [(3, 1), (24, 1), (12, 4)])
def test_candidates_are_those_of_numpy(gpu: Device, d: int, turns: int) -> None:
    left, right = clouds(1, 1_500, d, turns), clouds(2, 1_100, d, turns)
    right[:500] = left[:500]
    space = Space(0.2 * d, np.arange(d * turns).reshape(turns, d))
    for sides in ((left, right), (left, left)):
        prepared = prepare(*sides, space)
        ascending = sides[0] is sides[1]
        everything = np.arange(len(left))
        found, expected = (
            told(Product(prepared, device).candidates(everything, None, ascending, 10**7)) for device in (gpu, CPU)
        )
        some = np.arange(0, len(left), 40)
        few = {pair: bits for pair, bits in found.items() if pair[0] % 40 == 0}
        checked(few, *sides, space, some, np.arange(len(sides[1])), ascending)
        assert len(set(found.items()) ^ set(expected.items())) <= len(expected) // 1_000  # pairs exactly at the cut


def test_candidates_by_invariants(gpu: Device) -> None:
    images = np.concatenate([np.rot90(plain.gallery((8, 8, 3), n), n % 4, axes=(1, 2)) for n in range(6)])
    rows = plain.vectors(images)
    space = Space(900.0, orbits.orders(3, 4), partial(orbits.invariants, channels=3))
    filtering, a = Product(prepare(rows, rows, space), gpu), np.arange(len(images))
    assert checked(told(filtering.candidates(a, None, True, 10**6)), rows, rows, space, a, a, True) > len(a)
    assert filtering.candidates(a, None, True, 3) is None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_match_at_the_limit_is_lost(gpu: Device, shape: coarse.Shape) -> None:
    for seed in range(15):
        a, b = attack(seed, shape)
        for turns in plain.TURNS:
            limit = min(plain.apart(a, b, turns))
            assert not lost_by(partial(Product, device=gpu), a, b, turns, limit)


def found_on(
    device: Device, images: np.ndarray, turns: int, threshold: float | None, exposure: str = "compare"
) -> MatchArrays:
    """Return all rows of a block compared with itself."""
    vectors = coarse.vectors(coarse.coarse(images), images.shape[1:], zero_mean=exposure == "ignore")
    one = Side(
        vectors, np.ones(len(images), np.int64), np.zeros(len(images), np.int64), None, lambda rows: (images, rows)
    )
    params = Params(rotations=turns >= 4, mirror=turns in (2, 8), threshold=threshold, exposure=exposure)
    kind = Mse(params.comparison, images.shape[1:], device)
    rules = MatchRules(kind.limit, turns, "compare")
    return joined([found for _, found in BlockPair(one, one, True, rules, kind.kernel, device).runs()])


@pytest.mark.parametrize("exposure", ["compare", "ignore"])
@pytest.mark.parametrize("threshold", [0.0, 200.0, 2_000.0, None])
@pytest.mark.parametrize("turns", plain.TURNS)
@pytest.mark.parametrize(
    "make", [thumbnails.synthesised, lambda _, count: thumbnails.flat(count)], ids=["photo", "flat"]
)
def test_rows_are_those_of_numpy(gpu: Device, make: Any, turns: int, threshold: float | None, exposure: str) -> None:
    images = make(0, 700)
    found, expected = (found_on(device, images, turns, threshold, exposure) for device in (gpu, CPU))
    assert len(expected.a) or threshold == 0
    for name in ("a", "b", "values", "turns"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_a_run_on_it_gives_the_artifacts_of_a_run_without(gpu: Device, tmp_path: Path) -> None:
    make_images(tmp_path / "images", 60)
    artifacts = []
    for device in ("gpu", "cpu"):
        project = Project(tmp_path, {"output": str(tmp_path / device)})
        assert project.run(f"pairs.device={device}") == 0
        artifacts.append(project.artifacts())
    assert artifacts[0] == artifacts[1]
