"""Compare every metric with a loop over Python numbers, and check the errors of invalid functions and hashes."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from pipeline.messages.errors import TaskError
from pipeline.stage import Task
from stages import embed, index, pairs
from stages import hash as hash_stage
from stages.commands.results.expand import expanded
from stages.comparing.blocks import read_blocks
from stages.kernels.graph.groups import PairArrays
from stages.kernels.measure import floats
from stages.kernels.measure.identity import digest
from tests.in_memory import MemoryArtifact, compute
from tests.pairwise import pairwise
from tests.stages.conftest import WAYS
from tests.stages.kernels.plain import form
from tests.stages.reference import (
    Artifacts,
    Picture,
    comparable,
    gallery,
    hash_agrees,
    random_picture,
    settings,
    turns_of,
)
from tests.stages.reference import block as plain_block

HERE = __name__
SHAPE = (8, 8, 3)
Row = tuple[str, str, float, int, int, bool]


def brighter(image: np.ndarray) -> str:
    """Return a bit for each of 4x5 cells, set if the cell is brighter than the mean, as perceptual hashes do."""
    cells = image[1:5, :5].astype(int).sum(axis=2)
    bits = "".join("01"[value] for value in (cells > cells.mean()).ravel().astype(int))
    return f"{int(bits, 2):05x}"


def cells(images: np.ndarray) -> np.ndarray:
    """Return five fractions of an image that change when the image is turned: integer sums of few values, divided."""
    sums = images.astype(np.int64).sum(axis=3)
    columns = [sums[:, :4, :4], sums[:, :3, 2:], sums[:, 5:, 5:], sums[:, 1:2], sums[:, 7:]]
    return np.stack([column.sum(axis=(1, 2)) for column in columns], axis=1).astype(np.float32) / np.float32(37) + 1


def largest(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return, for each of `images`, the largest difference between one of its values and the same value of `image`."""
    return np.abs(images.astype(int) - image).max(axis=(1, 2, 3))


def lopsided(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return a distance that is not symmetric, and that is 3 from an image to itself."""
    return 3 + np.maximum(images.astype(int) - image, 0).sum(axis=(1, 2, 3)) / 7


@dataclass(frozen=True)
class Case:
    """Parameters of a metric, and a plain function with the same distance of image a and of image b in a turn."""

    params: dict[str, Any]
    plain: Callable[[np.ndarray, np.ndarray], float]
    thresholds: tuple[float, ...]

    def distance(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return the distance; cached, since many tests look at the same pairs."""
        key = self.plain, a.tobytes(), b.tobytes()
        if key not in _distances:
            _distances[key] = self.plain(a, b)
        return _distances[key]


_distances: dict[tuple[Callable[..., float], bytes, bytes], float] = {}


def bits_apart(a: np.ndarray, b: np.ndarray) -> float:
    """Return the number of differing bits of two images' hashes; values are shifted right by 4 bits before."""
    return float(bin(int(brighter(a >> 4), 16) ^ int(brighter(b >> 4), 16)).count("1"))


def vector(image: np.ndarray) -> list[float]:
    return list(map(float, cells(image[None])[0]))


def squared(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for x, y in zip(vector(a), vector(b), strict=True):
        total += (x - y) * (x - y)
    return total


def unit(vector: list[float]) -> list[float]:
    total = 0.0
    for x in vector:
        total += x * x
    return [float(np.float32(x / math.sqrt(total))) for x in vector]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for x, y in zip(unit(vector(a)), unit(vector(b)), strict=True):
        total += (x - y) * (x - y)
    return total * 0.5


def largest_apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(max(abs(x - y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)))


def lopsided_apart(a: np.ndarray, b: np.ndarray) -> float:
    return 3 + sum(max(y - x, 0) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)) / 7


EMBEDDING = {"metric": "embedding", "embedding": f"{HERE}:cells"}
CASES = {
    "hamming": Case({"metric": "hamming"}, bits_apart, (0.0, 3.5)),
    "squared": Case(EMBEDDING, squared, (0.0, 900.0)),
    "cosine": Case(EMBEDDING | {"embedding_distance": "cosine"}, cosine, (0.0, 0.002)),
    "custom": Case({"metric": f"{HERE}:largest"}, largest_apart, (0.0, 30.0)),
    "lopsided": Case({"metric": f"{HERE}:lopsided"}, lopsided_apart, (3.0, 90.0)),
}


def expected(
    case: Case, params: pairs.Params, a: Sequence[Picture], b: Sequence[Picture] | None
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows and the ledger that `identical: all` must give."""
    turns = turns_of(params)
    together = [(x, y) for x in a for y in b] if b is not None else [(x, y) for x in a for y in a if x.path < y.path]
    rows: list[Row] = []
    skipped = 0
    for x, y in together:
        agree = [k for k in turns if hash_agrees(x, y, k, brighter)] if params.same_hash != "compare" else []
        if not comparable(x, y, params) or (params.same_hash == "skip" and agree):
            skipped += 1
        elif agree:
            rows.append((x.path, y.path, 0.0, agree[0] % 4 * 90, sum(1 << k for k in agree), False))
        else:
            found = [case.distance(x.pixels, form(y.pixels, k)) for k in turns]
            best = [k for k, far in zip(turns, found, strict=True) if far == min(found)]
            if params.threshold is None or min(found) <= params.threshold:
                rows.append((x.path, y.path, min(found), best[0] % 4 * 90, sum(1 << k for k in best), True))
    counts = {"decided": len(together) - skipped, "skipped_by_rule": skipped, "identical": 0, "matches": len(rows)}
    return sorted(rows), {"pairs_total": len(together), **counts}


def block(pictures: Sequence[Picture], name: str, params: pairs.Params, partitions: int = 2) -> Artifacts:
    """Return the artifacts of a block, with this module's hash and, if the metric needs vectors, with vectors."""
    made = plain_block(pictures, name, SHAPE, partitions)
    known = settings(SHAPE, params)
    hashing = hash_stage.Params(function=f"{HERE}:brighter")
    hashes = [compute(hash_stage.STAGE, [part], hashing, known, None, Task(part.key))[0] for part in made.thumbnails]
    task = Task(made.index.key)
    vectors = []
    if params.embedding:
        vectors = [
            compute(embed.STAGE, [part], embed.Params(), known, None, Task(part.key))[0] for part in made.thumbnails
        ]
    gathered, _ = compute(index.STAGE, [*made.thumbnails, *hashes, *vectors], index.Params(), known, None, task)
    return Artifacts(made.thumbnails, hashes, gathered)


def computed(blocks: Sequence[Artifacts], params: pairs.Params) -> MemoryArtifact:
    others = [artifact for each in blocks for artifact in each.thumbnails]
    indexes = [each.index for each in blocks]
    return compute(pairs.STAGE, indexes, params, settings(SHAPE, params), None, Task("pair"), others=others)[0]


def rows_of(table: pa.Table) -> list[Row]:
    names = ("path_a", "path_b", "distance", "rotation", "turns", "measured")
    assert [name for name in table.schema.names if name != "mirrored"] == [*names, "borderline"]
    assert not any(table["borderline"].to_pylist())  # only `mse` has a known tolerance
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def all_rows(artifact: MemoryArtifact, blocks: Sequence[Artifacts], params: pairs.Params, swap: bool) -> list[Row]:
    """Return every pair that rows of `identical: group` represent."""
    tables = [each.index.rows_ for each in blocks]
    paths = [path for table in tables for path in table["path"].to_pylist()]
    number = {path: n for n, path in enumerate(paths)}
    a, b, distance, _, turns, measured = zip(*rows_of(artifact.rows_), strict=True) if artifact.rows else [()] * 6
    places = [np.array([number[path] for path in side], np.int64) for side in (a, b)]
    rows = PairArrays(*places, np.array(distance, float), np.array(turns, np.uint8), np.array(measured, bool))
    whole = expanded(rows, read_blocks(tables, params.comparison), params.comparison, swap)
    rotation = [((n & -n).bit_length() - 1) % 4 * 90 for n in whole.turns.tolist()]
    sides = [[paths[n] for n in side] for side in (whole.a, whole.b)]
    return sorted(zip(*sides, whole.mse.tolist(), rotation, whole.turns.tolist(), whole.measured.tolist(), strict=True))


def pictures(seed: int, prefix: str = "") -> list[Picture]:
    """Return pictures with near-duplicates, turned copies, and identical images that interleave in path order."""
    found = gallery(seed, SHAPE, 6, path=lambda n: f"{prefix}{n * 37 % 101:03}-{n}")
    random = np.random.default_rng(seed)
    for n, place in enumerate(random.permutation(8)):
        found.append(
            Picture(f"{prefix}{place}00-copy {n}", found[n % 3].pixels, found[n % 3].width, found[n % 3].height)
        )
    return found


@pytest.mark.quick(5)
@pytest.mark.usefixtures("path")
@pairwise(indirect=("path",), path=WAYS, rotations=(True, False), mirror=(True, False), name=tuple(CASES))
def test_every_pair_against_a_plain_loop(name: str, rotations: bool, mirror: bool) -> None:
    """Distances are equal to the last bit, with one set and with two."""
    case, first = CASES[name], pictures(1)
    second = pictures(1, "x")[4:] + gallery(2, SHAPE, 2, path=lambda n: f"y{n}")[:4]
    for threshold in (*case.thresholds, None):
        rules = {"threshold": threshold, "rotations": rotations, "mirror": mirror}
        params = pairs.Params(**case.params, **rules, identical="all")
        blocks = [block(first, "a", params), block(second, "b", params, 3)]
        for chosen, others in ((blocks[:1], None), (blocks, second)):
            artifact = computed(chosen, params)
            rows, ledger = expected(case, params, first, others)
            assert rows_of(artifact.rows_) == rows
            assert artifact.summary == ledger
            assert 0 < len(rows) < ledger["pairs_total"] or threshold is None


@pytest.mark.quick(3)
@pairwise(same_hash=("compare", "zero", "skip"), rotations=(True, False), mirror=(True, False), name=tuple(CASES))
def test_rules_and_copies(name: str, rotations: bool, mirror: bool, same_hash: str) -> None:
    """Expanding the rows of `identical: group` gives the rows of `identical: all`, whichever block comes first."""
    case, first, second = CASES[name], pictures(3, "f"), pictures(3, "s")[3:]
    for same, threshold in (("any", case.thresholds[1]), ("aspect", None)):
        rules = {"rotations": rotations, "same_hash": same_hash, "same": same, "threshold": threshold}
        rules["mirror"] = mirror
        params = pairs.Params(**case.params, **rules, identical="all")
        grouped = pairs.Params(**case.params, **rules, identical="group")
        blocks = [block(some, "a", params) for some in (first, second)]
        for which, a, b, swap in (
            ([0], first, None, True),
            ([0, 1], first, second, True),
            ([1, 0], second, first, False),
        ):
            chosen = [blocks[n] for n in which]
            rows, ledger = expected(case, params, a, b)
            whole, short = computed(chosen, params), computed(chosen, grouped)
            assert rows_of(whole.rows_) == rows
            assert whole.summary == ledger
            assert rows_of(short.rows_) == sorted(rows_of(short.rows_))
            assert set(rows_of(short.rows_)) <= set(rows)
            assert all_rows(short, chosen, grouped, swap) == rows
            assert short.summary["matches"] == len(rows)
            assert short.summary["skipped_by_rule"] == ledger["skipped_by_rule"]
            assert short.summary["decided"] + short.summary["identical"] == ledger["decided"]
            assert short.rows < len(rows) or same_hash == "skip"


@pytest.mark.parametrize("name", CASES)
def test_copies_cost_a_row_each(name: str) -> None:
    """For every metric, copies cost one row for each copy, not one row for each pair of copies."""
    page = random_picture(np.random.default_rng(1), SHAPE)
    params = pairs.Params(**CASES[name].params, threshold=CASES[name].thresholds[1])
    artifact = computed([block([Picture(f"{n:03}", page) for n in range(60)], "a", params)], params)
    assert artifact.rows == 59
    assert artifact.summary["matches"] == 60 * 59 // 2


@pytest.mark.parametrize("name", CASES)
def test_blocks_without_readable_images(name: str) -> None:
    params = pairs.Params(**CASES[name].params, threshold=CASES[name].thresholds[1])
    empty, full = block([], "a", params), block(pictures(6), "b", params)
    for blocks in ([empty], [empty, full], [full, empty]):
        artifact = computed(blocks, params)
        assert artifact.rows == 0
        assert set(artifact.summary.values()) == {0}


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_floats_are_summed_in_the_order_of_their_entries(scale: float) -> None:
    """Whole tiles and single pairs give the same bits; entries differ much in size, so another order would change the
    sum."""
    random = np.random.default_rng(1)
    a, b = ((random.normal(size=(n, 37)) * 10.0 ** random.uniform(-3, 3, 37)).astype(np.float32) for n in (23, 31))
    plain = np.array([[sum_in_order(x, y) * scale for y in b.tolist()] for x in a.tolist()])
    measure = floats.FloatSquares(scale)
    assert np.array_equal(measure.cross(a, b), plain)
    i, j = (side.ravel() for side in np.indices(plain.shape))
    assert np.array_equal(measure.pairs(a, b, i, j, np.inf).reshape(plain.shape), plain)
    assert not np.array_equal(((a[:, None].astype(float) - b) ** 2)[..., ::-1].cumsum(axis=2)[..., -1] * scale, plain)


def sum_in_order(x: list[float], y: list[float]) -> float:
    total = 0.0
    for u, v in zip(x, y, strict=True):
        total += (u - v) * (u - v)
    return total


def far(images: np.ndarray) -> np.ndarray:
    return cells(images) * np.float32(2.0**80)


def tiny(images: np.ndarray) -> np.ndarray:
    return cells(images) * np.float32(2.0**-90)


@pytest.mark.usefixtures("path")
def test_vectors_of_which_squares_vanish_in_float32() -> None:
    params = pairs.Params(metric="embedding", embedding=f"{HERE}:tiny", threshold=900 * 2.0**-180, identical="all")
    found = computed([block(pictures(1), "a", params)], params)
    like = pairs.Params(**EMBEDDING, threshold=900.0, identical="all")
    rows, _ = expected(CASES["squared"], like, pictures(1), None)
    assert [row[:2] for row in rows_of(found.rows_)] == [row[:2] for row in rows]


# Invalid functions and hashes


def raising(*arguments: np.ndarray) -> np.ndarray:
    raise RuntimeError("two\nlines")


def half_nan(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.where((images[:, 0, 0, 0] == 77) | (image[0, 0, 0] == 77), np.nan, 1.0)


def negative(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.full(len(images), -1)


def one_short(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.zeros(len(images) + 1)


def text(images: np.ndarray, image: np.ndarray) -> list[str]:
    return ["near"] * len(images)


def writing(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    images[0] = 0
    return np.zeros(len(images))


ODD = "odd one.png"
FAIL = {
    "raising": rf"failed on {ODD} with x\.png: RuntimeError: two lines",
    "half_nan": rf"expected finite numbers of 0 or more, got nan for {ODD} with x\.png",
    "negative": rf"expected finite numbers of 0 or more, got -1 for {ODD} with x\.png",
    "one_short": rf"expected an array of 1 number, one for each image, for {ODD}, got float64 of shape \(2,\)",
    "text": r"expected an array of 1 number, .* got <U4 of shape \(1,\)",
    "writing": rf"failed on {ODD} with x\.png: ValueError: assignment destination is read-only",
}


def two() -> list[Picture]:
    """Return an image whose every value is 77, and another image."""
    return [Picture(ODD, np.full(SHAPE, 77, np.uint8)), Picture("x.png", pictures(1)[0].pixels)]


@pytest.mark.parametrize("name", FAIL)
def test_a_metric_that_is_no_good_is_named_with_the_images(name: str) -> None:
    params = pairs.Params(metric=f"{HERE}:{name}", threshold=1.0)
    one, other = two()
    for blocks in ([block(two(), "a", params)], [block([one], "a", params), block([other], "b", params)]):
        with pytest.raises(TaskError, match=f"^pairs.metric {re.escape(f'{HERE}:{name}')}.*{FAIL[name]}") as caught:
            computed(blocks, params)
        assert "\n" not in str(caught.value)


def nan_vectors(images: np.ndarray) -> np.ndarray:
    return np.where(images[:, 0, 0, :1] == 77, np.nan, [[1.0, 2.0]])


def flat(images: np.ndarray) -> np.ndarray:
    return np.zeros(len(images))


def fewer(images: np.ndarray) -> np.ndarray:
    return np.zeros((len(images) - 1, 3))


def nothing(images: np.ndarray) -> np.ndarray:
    return np.zeros((len(images), 0))


def ragged(images: np.ndarray) -> list[list[int]]:
    return [[0] * (1 + n) for n in range(len(images) + 1)]


def by_content(images: np.ndarray) -> np.ndarray:
    """Return vectors of another length for batches that begin with the odd image."""
    return np.ones((len(images), 2 if images[0, 0, 0, 0] == 77 else 3))


def by_turn(images: np.ndarray) -> np.ndarray:
    return np.ones((len(images), 2 if images[0, 0, 0, 0] < images[0, -1, 0, 0] else 3))


def zeros(images: np.ndarray) -> np.ndarray:
    return np.where(images[:, 0, 0, :1] == 77, 0.0, [[1.0, 2.0]])


VECTORS = {
    "raising": rf"failed on 1 image from {ODD}: RuntimeError: two lines",
    "nan_vectors": f"expected finite numbers, got infinite numbers or NaN for {ODD}",
    "flat": rf"expected an array \(1, d\), one vector for each image, got \(1,\) for 1 image from {ODD}",
    "fewer": r"expected an array \(1, d\), one vector for each image, got \(0, 3\)",
    "nothing": r"expected an array \(1, d\), one vector for each image, got \(1, 0\)",
    "ragged": rf"failed on 1 image from {ODD}: ValueError",
    "by_content": rf"expected vectors of one length, got 3 numbers for x\.png and 2 for {ODD}",
    "by_turn": r"expected vectors of one length, got 2 and 3 numbers for turns of x\.png",
    "far": rf"expected vectors of length up to 1e\+18, got a longer vector for {ODD}",
    "zeros": rf"expected vectors with a direction, got zeros for {ODD}; return other vectors, or set .*=squared",
}


@pytest.mark.parametrize("name", VECTORS)
def test_an_embedding_that_is_no_good_is_named_with_the_image(name: str) -> None:
    distance = "cosine" if name == "zeros" else "squared"
    params = pairs.Params(metric="embedding", embedding=f"{HERE}:{name}", threshold=1.0, embedding_distance=distance)
    with pytest.raises(TaskError, match=f"^pairs.embedding {re.escape(f'{HERE}:{name}')}.*{VECTORS[name]}") as caught:
        computed([block(two(), "a", params)], params)
    assert "\n" not in str(caught.value)


def test_lengths_that_differ_within_a_partition_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.vectors.user_function.AT_ONCE", 1)
    params = pairs.Params(metric="embedding", embedding=f"{HERE}:by_content", threshold=1.0)
    with pytest.raises(TaskError, match=rf"expected vectors of one length, got 3 numbers for x\.png and 2 for {ODD}"):
        block(two(), "a", params, partitions=1)


HASHES = {
    "xyz": r"gives 'xyz' for .*; expected hex digits",
    "ab cd ": r"gives 'ab cd ' for .*; expected hex digits",
    "": r"gives '' for .*; expected hex digits",
    "٣٤٥": r"gives '٣٤٥' for .*; expected hex digits",
}


def hashed(image: np.ndarray) -> str:
    """Return the text that the test has stored in the image's first pixels."""
    return GIVEN[int(image[0, 0, 0])]


GIVEN: dict[int, str] = {}


@pytest.mark.parametrize("bad", HASHES)
@pytest.mark.parametrize("first", [True, False])
def test_hashes_that_are_not_hex_are_named(bad: str, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [bad, "abcdef"] if first else ["abcdef", bad]
    with pytest.raises(TaskError, match=rf"^pairs\.metric hamming: hash\.function {HASHES[bad]}") as caught:
        computed_by_hash(given, monkeypatch)
    assert f"{1 - first}.png" in str(caught.value)


@pytest.mark.parametrize("blocks", [1, 2])
def test_hashes_of_several_lengths_are_named(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match=r"gives 'abcd' for 1\.png, 4 hex digits, but 3 for 0\.png; expected the same"):
        computed_by_hash(["abc", "abcd"], monkeypatch, blocks)


def computed_by_hash(given: Sequence[str], monkeypatch: pytest.MonkeyPatch, count: int = 1) -> MemoryArtifact:
    params = pairs.Params(metric="hamming", threshold=1.0)
    some = [Picture(f"{n}.png", np.full(SHAPE, n << 4, np.uint8)) for n in range(len(given))]
    monkeypatch.setattr(f"{HERE}.GIVEN", dict(enumerate(given)))
    monkeypatch.setattr(f"{HERE}.brighter", hashed)
    return computed([block(part, "a", params) for part in ([some] if count == 1 else [some[:1], some[1:]])], params)


def test_an_odd_number_of_digits_has_four_bits_each(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = computed_by_hash(["abc", "abD"], monkeypatch)
    assert artifact.rows_["distance"].to_pylist() == [1.0]


# Errors before the run begins


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metric": "hamming", "threshold": 3.0}, None),
        ({"metric": "hamming", "threshold": 3.0, "function": "md5"}, "pairs.metric: hamming needs .*function md5"),
        ({"metric": "hamming"}, r"pairs\.threshold: 200 is meant for mse; set a threshold for metric hamming"),
        ({"metric": "embedding", "threshold": 1.0}, r"pairs\.embedding: metric embedding needs a package"),
        (EMBEDDING | {"threshold": 1.0}, None),
        (EMBEDDING, "pairs.threshold: 200 is meant for mse"),
        ({"metric": f"{HERE}:largest"}, "pairs.threshold: 200 is meant for mse"),
        ({"metric": f"{HERE}:largest", "threshold": None}, None),
    ],
    ids=str,
)
def test_contradictory_settings(changes: dict[str, Any], problem: str | None) -> None:
    function = changes.get("function", f"{HERE}:brighter")
    params = pairs.Params(**{key: value for key, value in changes.items() if key != "function"})
    known = settings(SHAPE) | {"hash.function": function}
    found = "\n".join(pairs.check(params, known.__getitem__))
    assert re.search(problem, found) if problem else not found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "haming"}, "did you mean hamming?"),
        ({"metric": "ssim"}, "expected mse, hamming, embedding or package.module:function, got 'ssim'"),
        ({"metric": "no.such.module:f"}, "which can't be imported"),
        ({"metric": f"{HERE}:SHAPE"}, "which is not a function"),
        ({"embedding": f"{HERE}:missing"}, "which can't be imported"),
        ({"embedding_distance": "euclid"}, "squared"),
    ],
)
def test_metrics_that_do_not_exist_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        TypeAdapter(pairs.Params).validate_python(changes)


def test_a_custom_metric_finds_images_by_identity() -> None:
    """A custom metric finds an image's path by the digest in the index."""
    params = pairs.Params(metric=f"{HERE}:largest", threshold=1.0)
    (row, _) = block(two(), "a", params).index.rows_.to_pylist()
    assert row["identity"] == digest(two()[0].pixels)
