"""A block pair against a plain loop over all pairs: rows, ledger, and no match lost at the limit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels import compare
from stages.kernels.arrays import CPU, Device
from stages.kernels.bounds import coarse, orbits, slack
from stages.kernels.bounds.space import Space
from stages.kernels.compare import BlockPair
from stages.kernels.filters.leaves import Leaves
from stages.kernels.filters.product import Product
from stages.kernels.measure.exact import Costs, Measure, Squares
from stages.kernels.measure.floats import FloatSquares, UserFunction
from stages.kernels.measure.metric import Finer, MatchArrays, Metric, Side
from stages.kernels.measure.turns import turned
from stages.kernels.measure.zero_mean import ZeroMeanSquares
from stages.kernels.rules import EarlierMatches, Ledger, MatchRules
from tests.pairwise import pairwise
from tests.stages.kernels import plain
from tests.stages.kernels.tuned import tuned

STRICT = Device("strict", array_api_strict, array_api_strict.asarray, np.asarray)
DEVICES = {"leaves": CPU, "numpy": CPU, "strict": STRICT}

Row = tuple[int, int, float, int, bool]
Distances = Callable[[Any, Any, int], list[Any]]


COSTS = {
    "as they are": None,
    "products": Costs(1, 1e9, 1e9),
    "one by one": Costs(1e9, 1, 1),
    "finer sums": Costs(1e9, 1e10, 1e10),
}
"""Costs that decide how tiles with many candidates are measured."""


class Priced(Squares):
    """A measure with other costs."""

    def __init__(self, prices: str, device: Device = CPU) -> None:
        super().__init__(device)
        self._prices = COSTS[prices]

    def costs(self, size: int) -> Costs:
        return self._prices or super().costs(size)


FILTERS = (*DEVICES, "tiles", "strict tiles")
ROOMS = {
    "whole": {},
    "tiles": {
        "tile": 16,
        "gathered": 2_000,
        "many": 10,
        "measured": 3,
        "candidates": 40,
        "pairs": 200,
        "rows": 2,
        "matches": 30,
    },
    "crumbs": {
        "tile": 5,
        "gathered": 1,
        "many": 0,
        "measured": 1,
        "candidates": 0,
        "pairs": 4,
        "rows": 1,
        "matches": 4,
    },
}
BOTH = (True, False)
RULES = ("compare", "zero", "skip")


@pytest.fixture(params=FILTERS)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """How candidates are found; small blocks would never load the compiled filter."""
    tuned(
        monkeypatch, compiled=0 if request.param == "leaves" else 2**62, crowded=-1 if "tiles" in request.param else 2
    )
    return STRICT if "strict" in request.param else CPU


@pytest.fixture(params=ROOMS)
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Room for all rows at once, or for so few that rows are taken in runs and tiles."""
    tuned(monkeypatch, **ROOMS[request.param])
    return str(request.param)


def back(turn: int) -> int:
    """Return the turn that undoes a turn."""
    return turn if turn >= 4 else -turn % 4


def finer_vectors(thumbnails: np.ndarray, grid: int, zero_mean: bool) -> np.ndarray:
    return plain.vectors(thumbnails, grid, zero_mean)


def mse(
    shape: coarse.Shape,
    turns: int,
    limit: int | None,
    device: Device = CPU,
    measure: Measure | None = None,
    zero_mean: bool = False,
) -> Metric:
    """Return the metric as `stages.metrics` has it, written by hand."""
    channels = shape[2]
    space = Space(
        (limit or 0) / (shape[0] * shape[1] if zero_mean else 1),
        orbits.orders(channels, turns),
        orbits.unchanged_by(channels, turns),
    )
    return Metric(
        measure or (ZeroMeanSquares(device) if zero_mean else Squares(device)),
        None if limit is None else space,
        lambda points, place: turned(points, back(plain.TURNS[turns][place])),
        None,
        shape[0] * shape[1] * shape[2],
        [
            Finer(partial(finer_vectors, grid=grid, zero_mean=zero_mean), orbits.orders(shape[2], turns, grid))
            for grid in (8, 16)
            if grid <= min(shape[:2])
        ],
    )


@dataclass
class Block:
    """The points of one block, and all facts that rules read."""

    points: np.ndarray
    weight: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    kind: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: np.ndarray | None = None
    settled: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.points)
        self.weight = self.weight if len(self.weight) else np.ones(n, np.int64)
        self.kind = self.kind if len(self.kind) else np.zeros(n, np.int64)

    def side(self, vectors: np.ndarray | None) -> Side:
        """Return one side; its points come in any order, also reversed."""

        def points(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            assert (np.diff(positions) > 0).all()
            given = np.concatenate([positions[::-1], positions[:1]])
            return self.points[given], np.arange(len(positions))[::-1]

        none = np.empty((len(self.points), 0), np.float32)
        return Side(none if vectors is None else vectors, self.weight, self.kind, self.hashes, points, self.settled)


def agreeing(a: Block, b: Block, i: int, j: int, turns: int) -> int:
    """Return the places of the turns in which the first hash of one image equals the hash of the other, either way
    round."""
    if a.hashes is None or b.hashes is None:
        return 0
    x, y = a.hashes[i].tolist(), b.hashes[j].tolist()
    group = plain.TURNS[turns]
    return sum(1 << k for k, turn in enumerate(group) if x[0] == y[k] or x[group.index(back(turn))] == y[0])


def apart(x: np.ndarray, y: np.ndarray, turns: int) -> list[int]:
    return _apart(x.tobytes(), y.tobytes(), x.shape, y.shape, turns)


@functools.cache
def _apart(x: bytes, y: bytes, x_shape: coarse.Shape, y_shape: coarse.Shape, turns: int) -> list[int]:
    """Return the distances; cached, since many tests look at the same pairs."""
    one = np.frombuffer(x, np.uint8).reshape(x_shape).astype(np.int64)
    other = np.frombuffer(y, np.uint8).reshape(y_shape)
    return [int(((one - plain.form(other, turn)) ** 2).sum()) for turn in plain.TURNS[turns]]


def expected(a: Block, b: Block, diagonal: bool, rules: MatchRules, distances: Distances) -> tuple[list[Row], Ledger]:
    """Return the expected matches, found pair by pair."""
    rows, ledger = [], Ledger()
    for i in range(len(a.points)):
        for j in range(i + 1 if diagonal else 0, len(b.points)):
            images = int(a.weight[i] * b.weight[j])
            agree = agreeing(a, b, i, j, rules.turns) if rules.same_hash != "compare" else 0
            settled = a.settled is not None and b.settled is not None and a.settled[i] and b.settled[j]
            if settled or a.kind[i] != b.kind[j] or (agree and rules.same_hash == "skip"):
                ledger.skipped_by_rule += images
                continue
            ledger.decided += 1
            ledger.identical += images - 1
            values = [0] if agree else distances(a.points[i], b.points[j], rules.turns)
            least = min(values)
            if agree or rules.limit is None or least <= rules.limit:
                best = agree or sum(1 << k for k, value in enumerate(values) if value == least)
                rows.append((i, j, least, best, not agree))
                ledger.matches += images
    return rows, ledger


def rows_of(found: MatchArrays) -> list[Row]:
    return list(zip(*(column.tolist() for column in found), strict=True))


def compared(pair: BlockPair) -> list[Row]:
    """Return all rows of a block pair, and assert that consecutive runs cover all rows."""
    rows: list[Row] = []
    at = 0
    for run, found in pair.runs():
        assert run.start == at < run.stop
        at = run.stop
        assert all(run.start <= row < run.stop for row in found.a.tolist())
        assert found.values.dtype == pair.metric.measure.numbers
        rows += rows_of(found)
    assert at == (len(pair.a) if len(pair.b) else 0)
    return rows


def images(seed: int, n: int, shape: coarse.Shape) -> np.ndarray:
    """Return copies of a few images, turned at random and slightly changed; some are unchanged by half a turn."""
    random = np.random.default_rng(seed)
    base = [*plain.gallery(shape)[[1, 3, 5, 8, 11, 12]]]
    base.append(((base[-1].astype(int) + np.rot90(base[-1], 2)) // 2).astype(np.uint8))
    found = [base[random.integers(len(base))] for _ in range(n)]
    kept = range(8) if shape[0] == shape[1] else (0, 4)
    found = [plain.form(image, int(random.choice(kept))) for image in found]
    moved = [image + random.integers(-1, 2, shape) * random.integers(2) for image in found]
    return np.clip(np.array(moved).reshape(n, *shape), 0, 255).astype(np.uint8)


def block(seed: int, n: int, shape: coarse.Shape, kinds: int = 1) -> Block:
    """Return images with weights, kinds, and hashes that agree at random: in one turn, in several turns, or in none."""
    random = np.random.default_rng(seed)
    points = images(seed, n, shape)
    weights, classes, hashes = random.integers(1, 4, n), random.integers(0, kinds, n), random.integers(0, 60, (n, 8))
    return Block(points, weights, classes, hashes, random.random(n) < 0.4)


def paired(
    a: Block,
    b: Block | None,
    rules: MatchRules,
    metric: Metric,
    device: Device = CPU,
    earlier: EarlierMatches | None = None,
    zero_mean: bool = False,
) -> BlockPair:
    sides = [
        each.side(plain.vectors(each.points, zero_mean=zero_mean) if metric.space else None)
        for each in ([a] if b is None else [a, b])
    ]
    return BlockPair(sides[0], sides[-1], b is None, rules, metric, device, earlier)


@pytest.mark.usefixtures("room")
@pairwise(
    indirect=("device", "room"),
    device=FILTERS,
    room=tuple(ROOMS),
    same_hash=RULES,
    shape=((8, 8, 3), (5, 7, 1), (16, 16, 1)),
    diagonal=BOTH,
    mirror=BOTH,
)
def test_rows_and_ledger(device: Device, same_hash: str, shape: coarse.Shape, diagonal: bool, mirror: bool) -> None:
    turns = (4 if shape[0] == shape[1] else 1) * (2 if mirror else 1)
    a, b = block(1, 25, shape, kinds=2), block(2, 20, shape, kinds=3)
    for per_value in (0, 0.7, 60, None):
        limit = None if per_value is None else int(per_value * a.points[0].size)
        rules = MatchRules(limit, turns, same_hash)
        pair = paired(a, None if diagonal else b, rules, mse(shape, turns, limit, device), device)
        rows, ledger = expected(a, a if diagonal else b, diagonal, rules, apart)
        assert compared(pair) == rows
        assert pair.ledger == ledger
        assert len(rows) > 5 or per_value == 0


@pytest.mark.quick(8)
@pytest.mark.usefixtures("room")
@pairwise(
    indirect=("device", "room"),
    device=FILTERS,
    room=tuple(ROOMS),
    shape=((8, 8, 3), (5, 7, 1), (16, 16, 1)),
    diagonal=BOTH,
    mirror=BOTH,
)
def test_rows_without_the_means_of_channels(device: Device, shape: coarse.Shape, diagonal: bool, mirror: bool) -> None:
    turns = (4 if shape[0] == shape[1] else 1) * (2 if mirror else 1)
    a, b = block(1, 25, shape, kinds=2), block(2, 20, shape, kinds=3)
    for each, seed in ((a, 3), (b, 4)):  # brighter and darker copies, cut at the ends of the range
        by = np.random.default_rng(seed).integers(-40, 41, (len(each.points), 1, 1, shape[2]))
        each.points = np.clip(each.points + by, 0, 255).astype(np.uint8)
    for per_value in (0, 0.7, 60, None):
        limit = None if per_value is None else int(per_value * a.points[0].size * shape[0] * shape[1])
        rules = MatchRules(limit, turns, "compare")
        metric = mse(shape, turns, limit, device, zero_mean=True)
        pair = paired(a, None if diagonal else b, rules, metric, device, zero_mean=True)
        rows, ledger = expected(a, a if diagonal else b, diagonal, rules, partial(plain.apart, zero_mean=True))
        assert compared(pair) == rows
        assert pair.ledger == ledger
        assert len(rows) > 5 or per_value == 0


@pytest.mark.parametrize("diagonal", [True, False])
def test_settled_blocks_are_not_compared(diagonal: bool) -> None:
    a, b = (block(seed, 20, (8, 8, 1)) for seed in (1, 2))
    a.settled, b.settled = np.ones(20, bool), np.ones(20, bool)

    def unread(positions: np.ndarray) -> Any:
        raise AssertionError("a point was read")

    left, right = (replace(each.side(plain.vectors(each.points)), points=unread) for each in (a, b))
    rules = MatchRules(500, 4, "compare")
    pair = BlockPair(left, left if diagonal else right, diagonal, rules, mse((8, 8, 1), 4, 500))
    assert list(pair.runs()) == []
    assert pair.ledger == expected(a, a if diagonal else b, diagonal, rules, apart)[1]


@pytest.mark.parametrize(
    ("pairs", "numba", "device", "kind"),
    [
        (25, True, CPU, Leaves),
        (26, True, CPU, Product),
        (25, False, CPU, Product),
        (25, True, replace(STRICT, free=1), Product),
    ],
    ids=["many", "few", "no numba", "gpu"],
)
def test_which_filter_is_taken(
    monkeypatch: pytest.MonkeyPatch, pairs: int, numba: bool, device: Device, kind: type
) -> None:
    """No other test shows which filter was chosen."""
    tuned(monkeypatch, compiled=pairs)
    monkeypatch.setattr(compare, "compiled", lambda: numba)
    tuned(monkeypatch, crowded=2)
    pair = paired(block(1, 5, (8, 8, 1)), None, MatchRules(9, 1, "compare"), mse((8, 8, 1), 1, 9), device)
    assert isinstance(pair._filter, kind)


@pytest.mark.parametrize("crowded", [0.2, 0.19])
def test_crowded_blocks_are_given_no_filter(monkeypatch: pytest.MonkeyPatch, crowded: float) -> None:
    """Two of ten pairs pass the bounds: the first images of a and b are near each other, and so are the last ones."""
    tuned(monkeypatch, crowded=crowded)
    shades = np.array([0, 255]), np.array([1, 60, 120, 180, 254])
    a, b = (Block(np.repeat(each, 64).astype(np.uint8).reshape(-1, 8, 8, 1)) for each in shades)
    pair = paired(a, b, MatchRules(64, 1, "compare"), mse((8, 8, 1), 1, 64))
    assert pair._share() == 0.2
    assert (pair._filter is not None) is (crowded == 0.2)
    one = Block(a.points[:1])
    assert paired(one, None, MatchRules(64, 1, "compare"), mse((8, 8, 1), 1, 64))._share() == 1


@pytest.mark.parametrize("agree", [False, True])
def test_a_low_block_with_more_candidates_than_room_is_compared_by_tiles(
    monkeypatch: pytest.MonkeyPatch, agree: bool
) -> None:
    """A refused sweep is not repeated with the same rows, which would never end."""
    tuned(monkeypatch, crowded=2, candidates=0, rows=1)
    swept: list[slice] = []
    wide = BlockPair._wide

    def once(self: BlockPair, rows: slice) -> MatchArrays | None:
        assert rows not in swept
        swept.append(rows)
        return wide(self, rows)

    monkeypatch.setattr(BlockPair, "_wide", once)
    a, b = block(3, 9, (8, 8, 1)), block(4, 7, (8, 8, 1))
    a.points[:], b.points[:] = a.points[0], a.points[0]
    a.hashes, b.hashes = np.zeros((9, 4), np.int64), np.full((7, 4), not agree, np.int64)
    rules = MatchRules(500, 4, "zero")
    pair = paired(a, b, rules, mse((8, 8, 1), 4, 500))
    rows, ledger = expected(a, b, False, rules, apart)
    assert compared(pair) == rows
    assert pair.ledger == ledger
    assert swept == [slice(0, 9)]


@pytest.mark.usefixtures("room")
@pairwise(indirect=("device", "room"), device=FILTERS, room=tuple(ROOMS), settled=("a", "b"))
def test_a_settled_block_is_compared_with_one_that_is_not(device: Device, settled: str) -> None:
    """Only pairs of two settled images are left out."""
    a, b = block(1, 12, (8, 8, 1)), block(2, 10, (8, 8, 1))
    a.settled, b.settled = np.full(12, settled == "a"), np.full(10, settled == "b")
    rules = MatchRules(500, 4, "compare")
    rows, ledger = expected(a, b, False, rules, apart)
    pair = paired(a, b, rules, mse((8, 8, 1), 4, 500, device), device)
    assert len(rows) > 5
    assert compared(pair) == rows
    assert pair.ledger == ledger


def test_without_a_limit_no_bound_is_asked(device: Device) -> None:
    """A metric without a limit may have a space all the same."""
    a, rules = block(1, 12, (8, 8, 1)), MatchRules(None, 4, "compare")
    pair = paired(a, None, rules, mse((8, 8, 1), 4, 1, device), device)
    assert compared(pair) == expected(a, a, True, rules, apart)[0]


@pytest.mark.parametrize("hashed", ["neither", "a", "b"])
@pytest.mark.parametrize("same_hash", ["zero", "skip"])
def test_images_without_hashes_agree_with_none(same_hash: str, hashed: str) -> None:
    a, b = block(1, 12, (8, 8, 1)), block(2, 10, (8, 8, 1))
    a.hashes, b.hashes = (each.hashes if hashed == name else None for name, each in (("a", a), ("b", b)))
    rules = MatchRules(500, 4, same_hash)
    pair = paired(a, b, rules, mse((8, 8, 1), 4, 500))
    rows, ledger = expected(a, b, False, rules, apart)
    assert compared(pair) == rows
    assert pair.ledger == ledger


@pytest.mark.usefixtures("room")
@pairwise(indirect=("device", "room"), device=FILTERS, room=tuple(ROOMS), same_hash=("zero", "skip"), diagonal=BOTH)
def test_all_hashes_agree(device: Device, same_hash: str, diagonal: bool) -> None:
    a, b = block(1, 17, (8, 8, 1), kinds=2), block(2, 9, (8, 8, 1), kinds=2)
    a.hashes, b.hashes = np.zeros((17, 4), np.int64), np.zeros((9, 4), np.int64)
    rules = MatchRules(500, 4, same_hash)
    pair = paired(a, None if diagonal else b, rules, mse((8, 8, 1), 4, 500, device), device)
    rows, ledger = expected(a, a if diagonal else b, diagonal, rules, apart)
    assert compared(pair) == rows
    assert pair.ledger == ledger


@pytest.mark.parametrize(("crowded", "compared_pairs", "directions"), [(-1, 15, 15), (2, 36, 3)])
def test_levels_count_the_pairs_that_are_left(
    monkeypatch: pytest.MonkeyPatch, crowded: float, compared_pairs: int, directions: int
) -> None:
    """Of 15 pairs, three pass the bounds; counted by tiles, and by a filter that visits both orders."""
    tuned(monkeypatch, crowded=crowded)
    points = np.repeat([0, 1, 2, 90, 180, 250], 64).astype(np.uint8).reshape(6, 8, 8, 1)
    pair = paired(Block(points), None, MatchRules(256, 1, "compare"), mse((8, 8, 1), 1, 256))
    assert len(compared(pair)) == 3
    levels = pair.levels
    assert [levels.order, levels.compared, levels.directions, levels.sums] == [0, compared_pairs, directions, 3]


@pytest.mark.quick(8)
@pytest.mark.usefixtures("room")
@pairwise(
    indirect=("device", "room"),
    device=FILTERS,
    room=tuple(ROOMS),
    prices=tuple(COSTS),
    turns=(1, 2, 4, 8),
    shape=((8, 8, 1), (17, 17, 3)),
)
def test_crowded_tiles(device: Device, shape: coarse.Shape, turns: int, prices: str) -> None:
    """Finer sums exclude candidates; where finer sums do not help, whole tiles are measured."""
    a, b = block(3, 23, shape), block(4, 19, shape)
    for limit in (0, 3 * a.points[0].size, 2_000 * a.points[0].size):
        rules = MatchRules(limit, turns, "compare")
        for other in (None, b):
            pair = paired(a, other, rules, mse(shape, turns, limit, device, Priced(prices, device)), device)
            rows, ledger = expected(a, other or a, other is None, rules, apart)
            assert compared(pair) == rows
            assert pair.ledger == ledger
            assert pair.levels.checked + pair.levels.products > 0


@pytest.mark.parametrize("prices", COSTS)
@pytest.mark.parametrize("limit", [None, 0, 40])
def test_tiles_of_which_few_pairs_are_wanted(monkeypatch: pytest.MonkeyPatch, prices: str, limit: int | None) -> None:
    """However pairs are measured, only wanted pairs are: pairs of one kind, with different hashes."""
    tuned(monkeypatch, crowded=-1, many=0)
    a = block(1, 30, (8, 8, 1), kinds=6)
    rules = MatchRules(limit, 4, "skip")
    pair = paired(a, None, rules, mse((8, 8, 1), 4, limit, CPU, Priced(prices)))
    rows, ledger = expected(a, a, True, rules, apart)
    assert compared(pair) == rows
    assert pair.ledger == ledger


@pytest.mark.parametrize(
    ("prices", "gain", "levels"),
    [
        ("one by one", np.inf, [0, 20, 0]),
        ("products", np.inf, [0, 10, 25]),
        ("one by one", 0, [6, 16, 0]),
        ("products", 0, [6, 10, 9]),
    ],
)
def test_levels_count_pairs_that_are_measured_in_tiles(
    monkeypatch: pytest.MonkeyPatch, prices: str, gain: float, levels: list[int]
) -> None:
    """All ten pairs of five images pass coarse sums; finer sums exclude the last image; the other four are equal.

    The ten pairs are also the sample. A product covers all five rows and columns, or three that pass finer sums."""
    tuned(monkeypatch, crowded=-1, many=0, gain=gain)
    points = np.full((5, 8, 8, 1), 100, np.uint8)
    points[4] += np.indices((8, 8)).sum(axis=0)[:, :, None].astype(np.uint8) % 2 * 60
    points[:4, ::2] += 60
    pair = paired(Block(points), None, MatchRules(0, 1, "compare"), mse((8, 8, 1), 1, 0, CPU, Priced(prices)))
    assert len(compared(pair)) == 6
    assert [pair.levels.finer, pair.levels.checked, pair.levels.products] == levels


def test_empty_blocks(device: Device) -> None:
    shape = (8, 8, 1)
    some, none = block(5, 3, shape), Block(np.empty((0, *shape), np.uint8))
    rules, metric = MatchRules(5, 4, "compare"), mse(shape, 4, 5)
    for a, b in ((some, none), (none, some), (none, none), (none, None)):
        empty = np.empty((0, 32), np.float32)
        sides = [each.side(plain.vectors(each.points) if len(each.points) else empty) for each in (a, b or a)]
        pair = BlockPair(*sides, b is None, rules, metric, device)
        assert compared(pair) == []
        assert pair.ledger == Ledger()


def known(a: Block, b: Block, diagonal: bool, rules: MatchRules, limit: float | None, seed: int) -> EarlierMatches:
    """Return the matches up to a limit that an earlier artifact holds, and the images that it covers."""
    random = np.random.default_rng(seed)
    known_a = random.random(len(a.points)) < 0.7
    known_b = known_a if diagonal else random.random(len(b.points)) < 0.6
    rows, _ = expected(a, b, diagonal, MatchRules(limit, rules.turns, rules.same_hash), apart)
    told = [row for row in rows if row[4] and known_a[row[0]] and known_b[row[1]]]
    columns = np.array([row[:4] for row in told], np.int64).reshape(-1, 4).T
    measured = np.ones(len(told), bool)
    return EarlierMatches(limit, known_a, known_b, MatchArrays(*columns[:3], columns[3].astype(np.uint8), measured))


@pytest.mark.usefixtures("room")
@pairwise(
    indirect=("room",),
    room=tuple(ROOMS),
    crowded=(-1, 2),
    diagonal=BOTH,
    limits=((43, 43), (43, 90), (43, 22), (43, None), (None, None), (None, 43)),
    same_hash=RULES,
    turns=(4, 8),
)
def test_known_matches_are_copied(
    monkeypatch: pytest.MonkeyPatch,
    crowded: float,
    diagonal: bool,
    limits: tuple[int | None, int | None],
    same_hash: str,
    turns: int,
) -> None:
    """The earlier limit may be any; pairs that the earlier artifact covers are not compared again."""
    limit, before = limits
    tuned(monkeypatch, crowded=crowded, compiled=0 if diagonal else 2**62)
    shape = (8, 8, 1)
    a, b = block(6, 40, shape, kinds=2), block(7, 30, shape, kinds=2)
    b = a if diagonal else b
    figures = {row[2] for row in expected(a, b, diagonal, MatchRules(43, turns, "compare"), apart)[0]}
    assert 43 in figures  # a copied match may be exactly at the limit
    rules = MatchRules(limit, turns, same_hash)
    earlier = known(a, b, diagonal, rules, before, 8)
    assert len(earlier.found.a) > 5
    pair = paired(a, None if diagonal else b, rules, mse(shape, turns, limit), earlier=earlier)
    rows, ledger = expected(a, b, diagonal, rules, apart)
    assert compared(pair) == rows
    assert pair.ledger == ledger
    assert pair.levels.copied == sum(limit is None or value <= limit for value in earlier.found.values)


@pytest.mark.parametrize(
    ("before", "limit", "covers"),
    [(5, 5, True), (5, 6, False), (6, 5, True), (None, 5, True), (5, None, False), (None, None, True)],
)
def test_pairs_that_an_earlier_limit_covers(before: int | None, limit: int | None, covers: bool) -> None:
    nothing = MatchArrays(*np.empty((5, 0), np.int64))
    assert EarlierMatches(before, np.empty(0, bool), np.empty(0, bool), nothing).covers(limit) is covers


def test_copied_rows_are_trusted() -> None:
    """If all images are known, no point is read, and recorded matches are copied even if they are wrong."""
    a = block(9, 20, (8, 8, 1))
    rules = MatchRules(500, 4, "compare")
    earlier = known(a, a, True, rules, 500, 1)
    earlier.known_a[:] = True
    earlier.found.values[:] = 7

    def unread(positions: np.ndarray) -> Any:
        raise AssertionError("a point was read")

    side = replace(a.side(plain.vectors(a.points)), points=unread)
    pair = BlockPair(side, side, True, rules, mse((8, 8, 1), 4, 500), CPU, earlier)
    assert len(earlier.found.a) > 5
    assert pair._filter is None, "nothing is left to find"
    assert compared(pair) == rows_of(earlier.found)


# Other measures


@pytest.mark.usefixtures("room")
@pairwise(indirect=("room",), room=tuple(ROOMS), diagonal=BOTH, limit=(None, 0.0, 500.0))
def test_a_function_for_which_there_are_no_bounds(diagonal: bool, limit: float | None) -> None:
    shape = (6, 6, 1)
    a, b = block(10, 24, shape, kinds=2), block(11, 18, shape, kinds=2)

    def darker(images: np.ndarray, image: np.ndarray) -> np.ndarray:
        return np.abs(images[:, :3].astype(float).sum(axis=(1, 2, 3)) - image[:3].sum())

    def distances(x: np.ndarray, y: np.ndarray, turns: int) -> list[float]:
        return [float(darker(np.rot90(y, turn)[None], x)[0]) for turn in range(turns)]

    metric = Metric(UserFunction(darker), None, None, turned, 36)
    rules = MatchRules(limit, 4, "skip")
    pair = paired(a, None if diagonal else b, rules, metric)
    rows, ledger = expected(a, a if diagonal else b, diagonal, rules, distances)
    assert compared(pair) == rows
    assert pair.ledger == ledger


def in_turns(measure: Measure, turns: int, d: int, limit: float) -> Metric:
    """Return points that are stored with all their turns, as hashes and embeddings are."""
    space = Space(limit, np.arange(turns * d).reshape(turns, d))
    return Metric(measure, space, lambda points, turn: points[:, 0], lambda points, turn: points[:, turn], turns * d)


@pytest.mark.quick(6)
@pytest.mark.usefixtures("room")
@pairwise(indirect=("device", "room"), device=FILTERS, room=tuple(ROOMS), diagonal=BOTH, alike=(0.0, 0.3, 1.0))
def test_bits_in_four_turns(device: Device, diagonal: bool, alike: float) -> None:
    """`alike`: the share of points with equal hashes in every turn: their pairs pass four times, and count once."""
    random = np.random.default_rng(12)
    a, b = (Block(random.integers(0, 2, (n, 4, 16), dtype=np.uint8), random.integers(1, 3, n)) for n in (33, 25))
    for each in (a, b):
        each.points[random.random(len(each.points)) < alike] = 1

    def distances(x: np.ndarray, y: np.ndarray, turns: int) -> list[int]:
        return [int((x[0] != y[turn]).sum()) for turn in range(turns)]

    for limit in (0, 4, 16):
        rules = MatchRules(limit, 4, "compare")
        sides = [each.side(each.points.reshape(len(each.points), -1).astype(np.float32)) for each in (a, b)]
        pair = BlockPair(
            sides[0], sides[0 if diagonal else 1], diagonal, rules, in_turns(Squares(device), 4, 16, limit), device
        )
        rows, ledger = expected(a, a if diagonal else b, diagonal, rules, distances)
        assert compared(pair) == rows
        assert pair.ledger == ledger


@pytest.mark.quick(6)
@pytest.mark.usefixtures("room")
@pairwise(indirect=("device", "room"), device=FILTERS, room=tuple(ROOMS), turns=(1, 4))
def test_vectors_at_the_very_distance(device: Device, turns: int) -> None:
    """The limit is the measured distance of some pair, to the last bit; the space is slightly wider."""
    random = np.random.default_rng(13)
    points = (random.normal(size=(30, turns, 5)) * 3 + 50).astype(np.float32)
    points[15:] = points[:15] + random.normal(size=(15, turns, 5)).astype(np.float32) / 100
    a = Block(points)

    def distances(x: np.ndarray, y: np.ndarray, turns: int) -> list[float]:
        found = []
        for turn in range(turns):
            total = 0.0
            for u, v in zip(x[0].tolist(), y[turn].tolist(), strict=True):
                total += (u - v) * (u - v)
            found.append(total)
        return found

    figures = sorted(row[2] for row in expected(a, a, True, MatchRules(None, turns, "compare"), distances)[0])
    for limit in figures[:: len(figures) // 6]:
        rules = MatchRules(limit, turns, "compare")
        metric = in_turns(FloatSquares(), turns, 5, limit * (1 + 2.0**-30))
        side = a.side(points.reshape(30, -1))
        rows, _ = expected(a, a, True, rules, distances)
        assert compared(BlockPair(side, side, True, rules, metric, device)) == rows


# The limit equals the distance of a pair whose bound is tight


def crowd(seed: int, shape: coarse.Shape, grid: int, orbits: bool, turns: int) -> np.ndarray:
    """Return pairs that differ in the means of cells, and sometimes in one more value, turned at random.

    If the mirror is compared, cells that the mirror maps to each other may differ equally."""
    random = np.random.default_rng(seed)
    pairs = [
        plain.stepped(random, shape, grid, orbits, int(random.choice([1, 2, 60])), turns in (2, 8))
        for _ in range(random.integers(1, 4))
    ]
    turned = [(a, plain.form(b, int(random.choice(plain.TURNS[turns])))) for a, b in pairs]
    return np.array([plain.nudged(random, image, int(random.integers(-1, 2))) for pair in turned for image in pair])


def limits(found: np.ndarray, turns: int) -> list[int]:
    """Return the sums of squares of the pairs, and the numbers one below and one above."""
    exactly = {min(apart(x, y, turns)) for x, y in zip(found[::2], found[1::2], strict=True)}
    return sorted({max(0, each + by) for each in exactly for by in (-1, 0, 1)})


@pytest.mark.quick(5)
@pytest.mark.parametrize("name", [*DEVICES, "tiles"])
@pytest.mark.parametrize(
    ("shape", "grid"), [((5, 5, 1), 4), ((13, 13, 3), 4), ((16, 16, 1), 8), ((50, 50, 1), 4), ((50, 50, 1), 16)]
)
@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    turns=st.sampled_from([1, 2, 4, 8]),
    orbits=st.booleans(),
    prices=st.sampled_from(list(COSTS)),
)
def test_no_match_at_the_limit_is_lost(
    name: str, shape: coarse.Shape, grid: int, seed: int, turns: int, orbits: bool, prices: str
) -> None:
    device = DEVICES.get(name, CPU)
    a = Block(crowd(seed, shape, grid, orbits, turns))
    known: dict[tuple[bytes, bytes], list[int]] = {}

    def once(x: np.ndarray, y: np.ndarray, turns: int) -> list[int]:
        key = x.tobytes(), y.tobytes()
        if key not in known:
            known[key] = apart(x, y, turns)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        tuned(patch, compiled=0 if name == "leaves" else 2**62, crowded=-1 if name == "tiles" else 2, many=0)
        for limit in limits(a.points, turns):
            rules = MatchRules(limit, turns, "compare")
            metric = mse(shape, turns, limit, device, Priced(prices, device))
            rows, ledger = expected(a, a, True, rules, once)
            pair = paired(a, None, rules, metric, device)
            assert compared(pair) == rows
            assert pair.ledger == ledger


def thinned(found: np.ndarray, grid: int, turns: int, limit: int, given: int = 255) -> list[set[tuple[int, int]]]:
    """Return which pairs pass finer sums in the given turns, turn by turn."""
    pair = paired(Block(found), None, MatchRules(limit, turns, "compare"), mse(found.shape[1:], turns, limit))
    every = np.arange(len(found))
    parts = [pair._refiner.part(every, left) for left in (True, False)]
    bits = pair._refiner.bounds(*parts, {8: 1, 16: 2}[grid]) & given
    return [set(zip(*np.nonzero(bits >> turn & 1), strict=True)) for turn in range(turns)]


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("shape", "grid"), [((13, 13, 3), 8), ((16, 16, 1), 8), ((50, 50, 3), 8), ((50, 50, 1), 16), ((24, 17, 4), 16)]
)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), turned=st.booleans(), mirror=st.booleans())
def test_finer_sums_lose_no_match(shape: coarse.Shape, grid: int, seed: int, turned: bool, mirror: bool) -> None:
    turns = (4 if turned and shape[0] == shape[1] else 1) * (2 if mirror else 1)
    found = crowd(seed, shape, grid, False, turns)
    far = np.array([[apart(x, y, turns) for y in found] for x in found])
    u = plain.vectors(found, grid).astype(np.float64)
    norms = 2 * float(np.linalg.norm(u, axis=1).max())
    for limit in limits(found, turns):
        left = thinned(found, grid, turns, limit)
        for turn, order in enumerate(orbits.orders(shape[2], turns, grid)):
            bound = ((u[:, None] - u[:, order]) ** 2).sum(axis=2)
            assert left[turn] >= set(zip(*np.nonzero(far[:, :, turn] <= limit), strict=True))
            clearly = bound > (limit**0.5 * 1.0001 + 1e-5 * norms) ** 2 + 1e-4 * norms**2
            assert not left[turn] & set(zip(*np.nonzero(clearly), strict=True))


def test_pairs_exactly_at_the_bound_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of a few bits, for which float32 is exact, without slack."""
    monkeypatch.setattr(slack, "bound", lambda squared, *_: np.float32(-squared / 2))
    found = np.full((2, 8, 8, 1), 128, np.uint8)
    found[1, 2, 5] += 3
    assert thinned(found, 8, 1, 9) == [{(0, 0), (0, 1), (1, 0), (1, 1)}]
    assert thinned(found, 8, 1, 8) == [{(0, 0), (1, 1)}]
    assert thinned(found, 8, 4, 8, given=0b0100) == [set(), set(), {(0, 0)}, set()]


@pytest.mark.parametrize(("shape", "grid"), [((24, 24, 3), 8), ((50, 50, 1), 16)])
def test_without_slack_finer_sums_lose_matches(monkeypatch: pytest.MonkeyPatch, shape: coarse.Shape, grid: int) -> None:
    cases = [(found, min(apart(*found[:2], 4))) for found in (crowd(seed, shape, grid, False, 4) for seed in range(30))]

    def lost() -> int:
        return sum((0, 1) not in set().union(*thinned(found, grid, 4, limit)) for found, limit in cases)

    assert lost() == 0
    monkeypatch.setattr(slack, "bound", lambda squared, *_: np.float32(-squared / 2))
    assert lost() > 0


@pytest.mark.parametrize("name", DEVICES)
def test_without_slack_a_block_pair_loses_matches(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shape = (7, 7, 1)
    tuned(monkeypatch, compiled=0 if name == "leaves" else 2**62, crowded=2)
    cases = [(found, min(apart(*found[:2], 4))) for found in (crowd(seed, shape, 4, True, 4) for seed in range(30))]

    def lost() -> int:
        count = 0
        for found, limit in cases:
            pair = paired(Block(found), None, MatchRules(limit, 4, "compare"), mse(shape, 4, limit), DEVICES[name])
            count += (0, 1) not in {row[:2] for row in compared(pair)}
        return count

    assert lost() == 0
    monkeypatch.setattr(slack, "cut", lambda squared, *_: np.float32(squared))
    monkeypatch.setattr(slack, "bound", lambda squared, *_: np.float32(-squared / 2))
    assert lost() > 0
