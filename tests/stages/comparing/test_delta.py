"""A delta on an earlier artifact of a block pair equals a full computation, and compares new pairs only."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Base, Inputs
from stages import pairs
from stages.kernels.measure import exact
from tests.in_memory import MemoryArtifact
from tests.stages.conftest import small_tiles
from tests.stages.reference import (
    Artifacts,
    Picture,
    block,
    computed,
    computed_by_levels,
    gallery,
    near,
    relit,
    rows_of,
)

SHAPE = (8, 8, 3)
RULES = [
    {"identical": identical, "same_hash": same_hash, "same": same, "rotations": rotations}
    for identical, same_hash, same, rotations in (
        ("group", "compare", "any", True),
        ("all", "compare", "aspect", True),
        ("group", "zero", "any", True),
        ("all", "skip", "any", False),
        ("group", "skip", "dimensions", True),
    )
]
RULES += [{"mirror": True, "same_hash": "zero"}, {"mirror": True, "rotations": False, "identical": "all"}]
RULES += [{"exposure": "ignore"}, {"exposure": "ignore", "mirror": True, "normalize": "value", "identical": "all"}]
RULES += [{"folders": folders, "references": "skip", "same": "aspect"} for folders in ("across", "within")]


def base(blocks: Sequence[Artifacts], params: pairs.Params) -> Base:
    return Base(computed(blocks, params, SHAPE), Inputs(tuple(each.index for each in blocks)), asdict(params))


def changed(pictures: list[Picture], seed: int) -> list[Picture]:
    """Change the images: one removed, one changed, one a copy of another, and one new image before all others."""
    random = np.random.default_rng(seed)
    ordered = sorted(pictures, key=lambda picture: picture.path)
    gone, other, copied, *rest = (ordered[n] for n in random.permutation(len(ordered)))
    assert gone not in rest
    new = Picture("/r/!first", near(random, copied.pixels, 2), copied.width, copied.height)
    return [
        *rest,
        copied,
        new,
        Picture(other.path, near(random, rest[0].pixels, 4), other.width, other.height),
        Picture("/r/1/!copy", copied.pixels, copied.width, copied.height),
    ]


@pytest.fixture(params=["one sweep", "small tiles"])
def sweep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small tiles":
        small_tiles(monkeypatch)


@pytest.mark.quick(3)
@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: "-".join(map(str, rules.values())))
def test_changed_images_and_thresholds(rules: dict[str, object]) -> None:
    one, two = (
        gallery(seed, SHAPE, path=lambda n, top=top: f"/r/{n % 3}/{top}{n}") for seed, top in ((1, ""), (2, "z"))
    )
    if "exposure" in rules:
        one, two = relit(1, one), relit(2, two)
    kind = pairs.Params(**rules)
    old = [block(one, "a", SHAPE, params=kind), block(two, "b", SHAPE, params=kind)]
    new = [block(changed(one, 3), "a", SHAPE, 3, params=kind), block(changed(two, 4), "b", SHAPE, params=kind)]
    copied = 0
    for then, now in ((200.0, 200.0), (2000.0, 50.0), (50.0, 2000.0), (None, 200.0), (200.0, None)):
        was, params = (pairs.Params(**rules, threshold=threshold) for threshold in (then, now))
        for which in ([0], [0, 1], [1]):
            earlier = base([old[n] for n in which], was)
            fresh = computed([new[n] for n in which], params, SHAPE)
            built, levels = computed_by_levels([new[n] for n in which], params, SHAPE, [earlier])
            assert rows_of(built.rows_) == rows_of(fresh.rows_)
            assert built.summary == fresh.summary
            copied += levels["copied"]
    assert copied


@pytest.mark.parametrize("threshold", [200.0, None])
def test_a_new_image_costs_as_many_pairs_as_there_are_images(threshold: float | None) -> None:
    pictures = [Picture(f"{n:04}", picture.pixels) for n, picture in enumerate(gallery(5, SHAPE, 60))]
    params = pairs.Params(threshold=threshold, identical="all")
    old = [block(pictures, "a", SHAPE)]
    new = [block([*pictures, Picture("0030-new", near(np.random.default_rng(1), pictures[7].pixels, 3))], "a", SHAPE)]
    built, levels = computed_by_levels(new, params, SHAPE, [base(old, params)])
    assert rows_of(built.rows_) == rows_of(computed(new, params, SHAPE).rows_)
    assert levels["order"] + levels["compared"] + levels["products"] <= 3 * len(pictures)


def test_a_lower_threshold_measures_nothing_and_a_higher_one_only_new_matches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exact.Squares, "costs", lambda self, size: exact.Costs(1e9, 1, 1))  # pairs one by one
    pictures = [block(gallery(6, SHAPE), "a", SHAPE)]
    low, high = pairs.Params(threshold=100.0), pairs.Params(threshold=3000.0)
    built, levels = computed_by_levels(pictures, low, SHAPE, [base(pictures, high)])
    assert levels["compared"] == levels["checked"] == levels["products"] == 0
    built, levels = computed_by_levels(pictures, high, SHAPE, [base(pictures, low)])
    _, alone = computed_by_levels(pictures, high, SHAPE)
    assert levels["copied"] + levels["checked"] == alone["checked"]
    assert rows_of(built.rows_) == rows_of(computed(pictures, high, SHAPE).rows_)


def test_a_damaged_one_tells_nothing() -> None:
    class Damaged(MemoryArtifact):
        def table(self, columns: Sequence[str] | None = None) -> None:  # type: ignore[override]
            raise ArtifactDamaged(self.stage, self.key, "cut short")

    blocks, params = [block(gallery(7, SHAPE), "a", SHAPE)], pairs.Params()
    earlier = base(blocks, params)
    damaged = Base(Damaged("pairs", "pair", earlier.artifact.rows_), earlier.inputs, earlier.params)
    built, levels = computed_by_levels(blocks, params, SHAPE, [damaged])
    assert levels["copied"] == 0
    assert built.rows > 0
