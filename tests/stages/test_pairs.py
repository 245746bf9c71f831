"""The stage `pairs` against a loop over Python integers."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.stage import Task, Upstream
from stages import pairs
from stages.comparing.block_cache import INDEXES, _cache
from stages.comparing.blocks import read_blocks
from stages.comparing.order import SUPER_TILE
from stages.kernels import compare
from stages.kernels.bounds import coarse
from stages.kernels.graph import groups
from stages.kernels.graph.groups import PairArrays
from tests.in_memory import MemoryArtifact, MemoryJob
from tests.pairwise import pairwise
from tests.stages import reference
from tests.stages.conftest import WAYS
from tests.stages.reference import Picture, block, computed, copies, corner, expected_rows, gallery, relit, rows_of

SHAPES = [(16, 16, 3), (5, 5, 3), (12, 8, 3), (13, 13, 1), (8, 8, 4)]
THRESHOLDS = [0.0, 50.0, 200.0, 2000.0, None]


def params_for(shape: tuple[int, ...], **changes: object) -> pairs.Params:
    return pairs.Params(**{"rotations": shape[0] == shape[1], "identical": "all"} | changes)


@pytest.mark.quick(8)
@pytest.mark.usefixtures("path")
@pairwise(indirect=("path",), path=WAYS, threshold=THRESHOLDS, shape=SHAPES, mirror=(False, True))
def test_one_block_with_itself(shape: tuple[int, ...], threshold: float | None, mirror: bool) -> None:
    pictures, params = gallery(1, shape), params_for(shape, threshold=threshold, mirror=mirror)
    artifact = computed([block(pictures, "a", shape, params=params)], params, shape)
    rows, ledger = expected_rows(pictures, None, params)
    assert rows_of(artifact.rows_) == rows
    assert artifact.summary == ledger
    assert rows


@pytest.mark.quick(8)
@pytest.mark.usefixtures("path")
@pairwise(indirect=("path",), path=WAYS, threshold=THRESHOLDS, shape=SHAPES, mirror=(False, True))
def test_two_sets(shape: tuple[int, ...], threshold: float | None, mirror: bool) -> None:
    a, b = gallery(1, shape), gallery(1, shape, path=lambda n: f"b{n}")
    b = b[5:] + gallery(2, shape, 3, path=lambda n: f"other{n}")
    params = params_for(shape, threshold=threshold, mirror=mirror)
    blocks = [block(a, "a", shape, params=params), block(b, "b", shape, 3, params=params)]
    artifact = computed(blocks, params, shape)
    rows, ledger = expected_rows(a, b, params)
    assert rows_of(artifact.rows_) == rows
    assert artifact.summary == ledger


@pytest.mark.quick(4)
@pytest.mark.usefixtures("path")
@pairwise(
    indirect=("path",),
    path=WAYS,
    threshold=THRESHOLDS,
    shape=SHAPES,
    mirror=(False, True),
    normalize=("pixel", "value"),
    same_hash=("compare", "zero", "skip"),
    two=(False, True),
)
def test_exposure_is_ignored(
    shape: tuple[int, ...], threshold: float | None, mirror: bool, normalize: str, same_hash: str, two: bool
) -> None:
    a = relit(5, gallery(1, shape))
    b = relit(6, gallery(1, shape, path=lambda n: f"b{n}")[5:]) if two else None
    rules = {"threshold": threshold, "mirror": mirror, "normalize": normalize, "same_hash": same_hash}
    params, plain = (params_for(shape, **rules, exposure=exposure) for exposure in ("ignore", "compare"))
    blocks = [block(pictures, name, shape, params=params) for name, pictures in (("a", a), ("b", b)) if pictures]
    artifact = computed(blocks, params, shape)
    rows, ledger = expected_rows(a, b, params)
    assert rows_of(artifact.rows_) == rows
    assert artifact.summary == ledger
    assert threshold is None or len(rows) > len(expected_rows(a, b, plain)[0])
    grouped = replace(params, identical="group")
    short = computed(blocks, grouped, shape)
    assert expanded(short, [each.index.rows_ for each in blocks], grouped) == rows
    assert short.summary["matches"] == ledger["matches"]


@pytest.mark.parametrize("shape", [(64, 64, 3), (50, 50, 3), (32, 48, 3)], ids=str)
def test_the_sizes_that_people_use(shape: tuple[int, ...]) -> None:
    pictures = gallery(3, shape, 3)[:14]
    for threshold in (0.0, 200.0):
        params = params_for(shape, threshold=threshold)
        artifact = computed([block(pictures, "a", shape)], params, shape)
        assert rows_of(artifact.rows_) == expected_rows(pictures, None, params)[0]


@pytest.mark.parametrize("normalize", ["pixel", "value"])
def test_matches_near_the_threshold_are_borderline_where_decoding_is_fast(normalize: str) -> None:
    """The root of an MSE changes by less than 3 a pixel, which is the root of 3 a value."""
    shape = (8, 8, 3)
    pictures, params = gallery(1, shape), params_for(shape, threshold=900.0, normalize=normalize)
    found = computed([block(pictures, "a", shape)], params, shape).rows_["mse"].to_pylist()
    threshold = sorted(found)[len(found) * 3 // 4]
    params = params_for(shape, threshold=threshold, normalize=normalize)
    table = computed([block(pictures, "a", shape)], params, shape).rows_
    unsure = 3.0 if normalize == "pixel" else 3.0**0.5
    expected = [mse**0.5 > threshold**0.5 - unsure for mse in table["mse"].to_pylist()]
    assert table["borderline"].to_pylist() == expected
    assert True in expected
    assert False in expected
    values = table["mse"].to_numpy()
    assert not params.comparison.borderline(values, "exact", "rgb").any()
    assert not params_for(shape, threshold=None).comparison.borderline(values, "fast", "rgb").any()


RULES = [
    {"same": same, "same_hash": same_hash, "rotations": rotations, "normalize": normalize, "mirror": mirror}
    for same, same_hash, rotations, (normalize, mirror) in itertools.product(
        ("any", "dimensions", "aspect"),
        ("compare", "zero", "skip"),
        (True, False),
        (("pixel", False), ("value", False), ("pixel", True)),
    )
]


@pytest.mark.quick(12)
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: "-".join(map(str, rules.values())))
def test_every_rule(rules: dict[str, object]) -> None:
    shape = (8, 8, 3)
    pictures = gallery(4, shape)
    half = len(pictures) // 2
    ordered = sorted(pictures, key=lambda picture: picture.path)
    first, second = ordered[:half], ordered[half:]
    params = params_for(shape, **rules)
    grouped = params_for(shape, **rules, identical="group")
    blocks = [block(first, "a", shape, params=params), block(second, "b", shape, params=params)]
    for which, a, b in (([0], first, None), ([1], second, None), ([0, 1], first, second)):
        rows, ledger = expected_rows(a, b, params)
        artifact = computed([blocks[n] for n in which], params, shape)
        assert rows_of(artifact.rows_) == rows
        assert artifact.summary == ledger
        short = computed([blocks[n] for n in which], grouped, shape)
        counts = short.summary
        assert expanded(short, [blocks[n].index.rows_ for n in which], grouped) == rows
        assert counts["matches"] == ledger["matches"]
        assert counts["skipped_by_rule"] == ledger["skipped_by_rule"]
        assert counts["decided"] + counts["identical"] == ledger["decided"]


PLACES = ("/r", "/r/x", "/r/x/deep", "/r/y", "/r/y/deep/er", "/s/x")


def placed(pictures: Sequence[Picture], by: int) -> list[Picture]:
    """Put the pictures in folders, two inputs among them; `by`: number of pictures in a folder."""
    return [
        replace(each, path=f"{PLACES[n // by % len(PLACES)]}/{each.path.replace('/', '')}")
        for n, each in enumerate(pictures)
    ]


@pytest.mark.quick(4)
@pytest.mark.usefixtures("path")
@pairwise(
    indirect=("path",),
    path=WAYS,
    folders=("across", "within"),
    depth=(0, 1, 2),
    rotations=(True, False),
    same=("any", "aspect"),
    same_hash=("compare", "zero", "skip"),
    references=("compare", "skip"),
    by=(1, 4, 40),
)
def test_folders(
    folders: str,
    depth: int,
    rotations: bool,
    same: str,
    same_hash: str,
    references: str,
    by: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rule against all pairs; a block has many folders, few folders, or one."""
    shape = (8, 8, 3)
    monkeypatch.setattr(compare, "FOLDERS", 3)
    rules = {"folders": folders, "folder_depth": depth, "rotations": rotations, "same": same, "same_hash": same_hash}
    rules |= {"references": references, "threshold": 500.0}
    params, grouped = params_for(shape, **rules), params_for(shape, **rules, identical="group")
    first = placed(copies(3, shape, "f") + gallery(3, shape, 6), by)
    second = placed(copies(3, shape, "s") + gallery(3, shape, 6, lambda n: f"t{n}"), by)
    monkeypatch.setattr(reference, "REFERENCES", tuple(each.path for each in (*first, *second)[::2]))
    blocks = [block(first, "a", shape), block(second, "b", shape)]
    for which, b, swap in (([0], None, True), ([0, 1], second, False)):
        chosen = [blocks[n] for n in which]
        rows, ledger = expected_rows(first, b, params)
        whole, short = (computed(chosen, each, shape) for each in (params, grouped))
        assert rows_of(whole.rows_) == rows
        assert whole.summary == ledger
        assert expanded(short, [each.index.rows_ for each in chosen], grouped, swap) == rows
        assert [short.summary[name] for name in ("matches", "skipped_by_rule", "pairs_total")] == [
            ledger[name] for name in ("matches", "skipped_by_rule", "pairs_total")
        ]


@pytest.mark.parametrize(
    ("rules", "second"),
    [({"folders": "across"}, "/r/x"), ({"folders": "within"}, "/r/y"), ({"references": "skip"}, "/r/y")],
)
def test_a_block_pair_that_is_ruled_out_reads_no_thumbnail(
    rules: dict[str, object], second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (8, 8, 3)
    pictures = [
        [replace(each, path=f"{place}/{each.path}") for each in gallery(1, shape)] for place in ("/r/x", second)
    ]
    monkeypatch.setattr(reference, "REFERENCES", tuple(each.path for some in pictures for each in some))
    blocks = [block(some, name, shape) for some, name in zip(pictures, "ab", strict=True)]
    monkeypatch.setattr(MemoryJob, "find", lambda *names: pytest.fail("a thumbnail was read"))
    monkeypatch.setattr(coarse, "vectors", lambda *arguments: pytest.fail("coarse sums were read"))
    artifact = computed(blocks, params_for(shape, **rules), shape)
    assert not artifact.rows
    assert artifact.summary["skipped_by_rule"] == artifact.summary["pairs_total"] == len(pictures[0]) ** 2


@pytest.mark.quick(3)
@pytest.mark.usefixtures("path")
@pairwise(
    indirect=("path",),
    path=WAYS,
    rotations=(True, False),
    mirror=(True, False),
    same_hash=("compare", "zero", "skip"),
    by=("pixels", "corner"),
)
def test_groups_of_turned_copies(by: str, same_hash: str, rotations: bool, mirror: bool) -> None:
    """With `corner`, different images have equal hashes, and some images equal some of their own turns."""
    shape = (8, 8, 3)
    hashed: Callable[[np.ndarray], object] = np.ndarray.tobytes if by == "pixels" else corner
    references = "skip" if by == "pixels" else "compare"
    rules = {"same_hash": same_hash, "rotations": rotations, "threshold": 500.0, "references": references}
    rules["mirror"] = mirror
    params, grouped = params_for(shape, **rules), params_for(shape, **rules, identical="group")
    function = "sha256" if by == "pixels" else "tests.stages.reference:corner"
    for seed in range(2):
        first, second, other = (copies(seed, shape, name) for name in ("f", "s", "e"))
        blocks = [block(some, "a", shape, function=function, params=params) for some in (first, second, other)]
        for which, b, swap in (([0], None, True), ([0, 1], second, True), ([0, 2], other, False)):
            chosen = [blocks[n] for n in which]
            rows, ledger = expected_rows(first, b, params, hashed)
            whole, short = (computed(chosen, each, shape) for each in (params, grouped))
            assert rows_of(whole.rows_) == rows
            assert whole.summary == ledger
            assert rows_of(short.rows_) == sorted(rows_of(short.rows_))
            assert set(rows_of(short.rows_)) <= set(rows)
            assert expanded(short, [each.index.rows_ for each in chosen], grouped, swap) == rows
            assert short.summary["matches"] == len(rows)
            assert short.rows < len(rows) or not rows


def expanded(artifact: object, tables: list[pa.Table], params: pairs.Params, swap: bool = True) -> list[tuple]:
    """Return the rows of `identical: group` as rows of `identical: all`; `swap` for blocks of a single set."""
    blocks = read_blocks(tables, params.comparison, reference.REFERENCES, reference.ROOTS)
    offsets = np.cumsum([0, *(len(table) for table in tables)])
    paths = [path for table in tables for path in table["path"].to_pylist()]
    number = {path: n for n, path in enumerate(paths)}
    table = artifact.rows_
    rows = PairArrays(
        np.array([number[path] for path in table["path_a"].to_pylist()], np.int64),
        np.array([number[path] for path in table["path_b"].to_pylist()], np.int64),
        table["mse"].to_numpy(),
        table["turns"].to_numpy(),
        table["measured"].to_numpy(zero_copy_only=False),
    )
    representative = np.concatenate([b.representative + o for b, o in zip(blocks, offsets[:-1], strict=True)])
    turn, unchanged = (np.concatenate([getattr(b, name) for b in blocks]) for name in ("turn", "unchanged"))
    whole = groups.expand(rows, representative, turn, unchanged, swap)
    a, b, mse, bits, measured = (getattr(whole, field.name).tolist() for field in fields(PairArrays))
    rotation = [((n & -n).bit_length() - 1) % 4 * 90 for n in bits]
    return sorted(zip([paths[n] for n in a], [paths[n] for n in b], mse, rotation, bits, measured, strict=True))


def test_copies_are_compared_once() -> None:
    shape = (8, 8, 3)
    page = np.full(shape, 250, np.uint8)
    pictures = [Picture(f"{n:05}", page) for n in range(3000)]
    artifact = computed([block(pictures, "a", shape)], pairs.Params(), shape)
    assert artifact.rows == 2999
    assert artifact.summary == {
        "pairs_total": 3000 * 2999 // 2,
        "decided": 0,
        "skipped_by_rule": 0,
        "identical": 3000 * 2999 // 2,
        "matches": 3000 * 2999 // 2,
    }
    assert set(artifact.rows_["turns"].to_pylist()) == {0b1111}


@pytest.mark.slow
def test_more_images_than_a_tile() -> None:
    """Rows are sorted, whatever tile they come from; some matches span tiles, some are near the threshold."""
    shape = (4, 4, 1)
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (1500, *shape), dtype=np.uint8)
    pixels[1400:] = np.clip(pixels[:100] + random.integers(-6, 7, (100, *shape)), 0, 255)
    pictures = [Picture(f"{n:05}", image) for n, image in enumerate(pixels)]
    params = params_for(shape, threshold=1000.0, rotations=False)
    artifact = computed([block(pictures, "a", shape)], params, shape)
    flat = pixels.reshape(len(pixels), -1).astype(np.int64)
    apart = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    a, b = np.nonzero(np.triu(apart <= 16_000, 1))
    assert [(row[0], row[1]) for row in rows_of(artifact.rows_)] == [
        (f"{i:05}", f"{j:05}") for i, j in zip(a, b, strict=True)
    ]
    assert len(a) > 100


def test_a_block_without_readable_images() -> None:
    shape = (8, 8, 3)
    empty, full = block([], "a", shape), block(gallery(6, shape), "b", shape)
    zeros = dict.fromkeys(("pairs_total", "decided", "skipped_by_rule", "identical", "matches"), 0)
    for blocks in ([empty], [empty, full], [full, empty]):
        artifact = computed(blocks, pairs.Params(), shape)
        assert artifact.rows == 0
        assert artifact.summary == zeros


def block_pairs(a: int, b: int = 0) -> list[Task]:
    tasks = [Task(f"{name}-{n:03}", notes={"set": name}) for name, count in (("a", a), ("b", b)) for n in range(count)]
    return list(pairs.tasks(Upstream({"index": tasks}, {}.__getitem__), pairs.Params()))


def in_line(tasks: list[Task]) -> list[str]:
    return [task.key for task in sorted(tasks, key=lambda task: task.order)]


@pytest.mark.parametrize("arranged", [in_line, lambda tasks: [task.key for task in tasks]])
def test_every_block_pair_once_and_early_blocks_first(arranged: Callable[[list[Task]], list[str]]) -> None:
    keys = arranged(block_pairs(20))
    assert len(keys) == len(set(keys)) == 20 * 21 // 2
    assert all(key.split(".")[0] <= key.split(".")[1] for key in keys)
    assert max(key.split(".")[1] for key in keys[:36]) == "a-007"
    early = [key.split(".") for key in arranged(block_pairs(20, 20))[:256]]
    assert (max(a for a, _ in early), max(b for _, b in early)) == ("a-015", "b-015")
    assert sorted(arranged(block_pairs(3, 2))) == [f"a-{i:03}.b-{j:03}" for i in range(3) for j in range(2)]


def test_pairs_of_one_group_stand_together_and_share_few_blocks() -> None:
    tasks = sorted(block_pairs(50), key=lambda task: task.order)
    assert len({task.order for task in tasks}) == len(tasks)
    for _, group in itertools.groupby(tasks, key=lambda task: task.group):
        names = [task.key.split(".") for task in group]
        assert len({a for a, _ in names}) <= SUPER_TILE
        assert len({b for _, b in names}) <= SUPER_TILE
    assert len(list(itertools.groupby(tasks, key=lambda task: task.group))) == len({task.group for task in tasks})


def test_the_index_of_a_block_is_read_once_for_pairs_that_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (8, 8, 3)
    blocks = [block(gallery(seed, shape, 3), name, shape) for seed, name in ((1, "a"), (2, "b"))]
    params = params_for(shape, threshold=123.0)
    expected = [computed([one, other], params, shape) for one, other in (blocks, blocks[::-1])]
    _cache.clear()
    reads: list[tuple[str, str, tuple[str, ...]]] = []
    table = MemoryArtifact.table

    def watched(self: MemoryArtifact, columns: Sequence[str] | None = None) -> pa.Table:
        reads.append((self.stage, self.key, tuple(columns or ())))
        return table(self, columns)

    monkeypatch.setattr(MemoryArtifact, "table", watched)
    again = [computed([one, other], params, shape) for one, other in (blocks, blocks[::-1])]
    assert [artifact.rows_ for artifact in again] == [artifact.rows_ for artifact in expected]
    of_indexes = [read for read in reads if read[0] == "index"]
    assert len(of_indexes) == len(set(of_indexes)) == 2 * 2  # for each block the sums, and the other columns
    assert 0 < _cache.currsize <= INDEXES


def test_thumbnails_are_read_for_candidates_only() -> None:
    shape = (16, 16, 3)
    random = np.random.default_rng(7)
    pictures = [Picture(f"{n}", random.integers(0, 40, shape, dtype=np.uint8) + n * 20) for n in range(10)]
    artifacts = block([Picture(p.path, p.pixels.astype(np.uint8)) for p in pictures], "a", shape)
    artifacts.thumbnails.clear()
    assert computed([artifacts], pairs.Params(threshold=5.0), shape).rows == 0
