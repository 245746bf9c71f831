"""The table of folders, against a loop over all pairs of images and folders."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.stage import Inputs, Task
from stages import pairs
from stages.clustering import dismissed
from stages.comparing.comparison import COMPARISON_KEYS, Comparison
from stages.report import folders as table
from stages.report.reads import FOLDERS
from tests.in_memory import MemoryArtifact, MemoryJob
from tests.pairwise import pairwise
from tests.stages import reference
from tests.stages.reference import (
    Artifacts,
    Picture,
    block,
    computed,
    expected_rows,
    near,
    random_picture,
    settings,
)

SHAPE = (8, 8, 3)
TREE = ("/r/phone/100", "/r/phone/101", "/r/backup/phone/100", "/r/backup/x", "/r/backup", "/r", "/r/only/one/deep")
Row = Mapping[str, object]
Match = tuple[str, str, bool]


def pictures(seed: int, count: int, top: str = "") -> list[Picture]:
    """Return pictures in folders, with copies, turned copies and near copies."""
    random = np.random.default_rng(seed)
    base = [random_picture(np.random.default_rng(n), SHAPE) for n in range(6)]
    base += [np.full(SHAPE, 40, np.uint8)]
    made = []
    for number in range(count):
        pixels = base[random.integers(len(base))]
        pixels = near(random, pixels, 3) if random.random() < 0.3 else pixels
        pixels = np.ascontiguousarray(np.rot90(pixels, random.integers(4) if random.random() < 0.4 else 0))
        size = [(640, 480), (480, 640), (600, 600)][random.integers(3)]
        made.append(Picture(f"{top}{TREE[random.integers(len(TREE))]}/{number:02}", pixels, *size))
    return made


def below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def expected(images: Mapping[str, int], failed: Sequence[str], matches: Sequence[Match]) -> list[Row]:
    """Return rows for every two folders, by sets of images."""
    own = {path.rpartition("/")[0] for path in [*images, *failed]}
    every = {folder[:end] for folder in own for end, letter in enumerate(folder) if letter == "/" and end} | own
    tops = {folder: {other for other in every if other.rpartition("/")[0] == folder} for folder in every}
    kept = sorted(folder for folder in every if folder in own or len(tops[folder]) > 1)
    kept.sort(key=lambda folder: folder.split("/"))
    both = [*matches, *((b, a, zero) for a, b, zero in matches)]

    def inside(folder: str, other: str) -> set[str]:
        """Return the images of a folder, without the images of the other folder if it lies inside."""
        without = below(other, folder)
        return {path for path in images if below(path, folder) and not (without and below(path, other))}

    def shared(a: str, b: str, zero: bool = False) -> set[str]:
        of_a, of_b = inside(a, b), inside(b, a)
        return {x for x, y, same in both if x in of_a and y in of_b and (same or not zero)}

    def children(folder: str) -> list[str]:
        lower = [other for other in kept if below(other, folder)]
        return [one for one in lower if not any(below(one, other) for other in lower)]

    def stats(a: str, b: str) -> list[set[str]]:
        return [shared(a, b), shared(b, a), shared(a, b, True), shared(b, a, True)]

    rows = []
    for number, a in enumerate(kept):
        for b in kept[number + 1 :]:
            smaller = [(child, b) for child in children(a) if child != b]
            smaller += [(a, child) for child in children(b) if not below(b, a)]
            if not shared(a, b) or any(stats(*pair) == stats(a, b) for pair in smaller):
                continue
            row: dict[str, object] = {"folder_a": a, "folder_b": b}
            for side, one, other in (("a", a, b), ("b", b, a)):
                common, zero = shared(one, other), shared(one, other, True)
                bad = [path for path in failed if below(path, one) and not (below(other, one) and below(path, other))]
                row |= {
                    f"images_{side}": len(inside(one, other)),
                    f"unreadable_{side}": len(bad),
                    f"shared_{side}": len(common),
                    f"identical_{side}": len(zero),
                    f"near_{side}": len(common - zero),
                    f"bytes_{side}": sum(images[path] for path in common),
                    f"alone_{side}": sum(
                        below(x, one) and not any(x == p and not below(y, one) for p, y, _ in both) for x in images
                    ),
                    f"contained_{side}": common == inside(one, other) and not bad,
                }
            rows.append(row)
    return rows


def table_of(
    blocks: Sequence[Artifacts],
    found: Sequence[MemoryArtifact],
    params: pairs.Params,
    folder: Path,
    **changes: object,
) -> list[Row]:
    """Return the table from the artifacts of a run."""
    thumbnails = [artifact for each in blocks for artifact in each.thumbnails]
    known = {name: getattr(params, name.partition(".")[2]) for name in COMPARISON_KEYS}
    more = {"pairs.threshold": params.threshold, "cluster.threshold": None, "cluster.min_contrast": 0.0}
    job = MemoryJob(
        Task("test", spec=dismissed.spec(changes.get("cluster.dismissed", ()))),
        {**settings(SHAPE), **known, **more, "cluster.dismissed": ()} | changes,
        folder,
        uses=(*FOLDERS, "inputs.a", "inputs.b"),
    )
    inputs = Inputs((*thumbnails, *(each.index for each in blocks), *found))
    return table.folder_table(inputs, job).to_pylist()


def made_of(
    chosen: Sequence[Sequence[Picture]], two: bool, params: pairs.Params, failed: str = "/r/phone/101/bad"
) -> tuple[list[Artifacts], list[MemoryArtifact]]:
    """Return artifacts of blocks and their block pairs; one image of the first block can't be read."""
    sides = ["ab"[two and number] + str(number) for number in range(len(chosen))]
    blocks = [block(each, side, SHAPE, 1, params=params) for side, each in zip(sides, chosen, strict=True)]
    places = [(i, j) for i in range(len(blocks)) for j in range(i, len(blocks))]
    places = [(i, j) for i, j in places if not two or i < j]
    found = []
    for i, j in places:
        some = [blocks[i]] if i == j else [blocks[i], blocks[j]]
        artifact = computed(some, params, SHAPE)
        found.append(replace(artifact, key=f"{blocks[i].index.key}.{blocks[j].index.key}"))
    for number, each in enumerate(blocks):
        rows = [row for row in each.thumbnails[0].rows_.to_pylist() if row["error"] is None]
        rows += [{"path": failed, "error": "truncated"}] * (number == 0)
        table = pa.Table.from_pylist(rows, each.thumbnails[0].rows_.schema)
        each.thumbnails[0] = replace(each.thumbnails[0], rows_=table)
    return blocks, found


@pytest.mark.quick(6)
@pairwise(
    two=(False, True),
    rotations=(True, False),
    mirror=(True, False),
    identical=("group", "all"),
    same=("any", "aspect"),
    same_hash=("compare", "zero", "skip"),
    references=("compare", "skip"),
    folders=("any", "across", "within"),
    threshold=(0.0, 60.0),
)
def test_against_all_pairs(
    two: bool,
    rotations: bool,
    mirror: bool,
    identical: str,
    same: str,
    same_hash: str,
    references: str,
    folders: str,
    threshold: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = {"rotations": rotations, "identical": identical, "same": same, "same_hash": same_hash, "folders": folders}
    params = pairs.Params(**rules, references=references, threshold=threshold, mirror=mirror)
    for seed in range(3):
        first, second = pictures(seed, 14), pictures(seed + 50, 11, "/s" if two else "")
        second = [replace(each, path=each.path + "b") for each in second]
        marked = tuple(each.path for each in [*first, *second] if "/phone/100" in each.path)
        monkeypatch.setattr(reference, "REFERENCES", marked)
        blocks, found = made_of([first, second], two, params)
        sides = (first, second) if two else (sorted([*first, *second], key=lambda each: each.path), None)
        matches = [(row[0], row[1], row[2] == 0 and row[5]) for row in expected_rows(*sides, params)[0]]
        images = {each.path: 1000 + each.width for each in [*first, *second]}
        assert table_of(blocks, found, params, tmp_path) == expected(images, ["/r/phone/101/bad"], matches)


def asymmetric(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return a distance that depends on the order of the images, but not on turns."""
    flat = images.reshape(len(images), -1).astype(int), image.reshape(-1).astype(int)
    return np.maximum(flat[0] - flat[1], 0).sum(axis=1)


def test_a_distance_that_depends_on_the_order(tmp_path: Path) -> None:
    params = pairs.Params(metric="tests.stages.report.test_folders:asymmetric", threshold=300.0)
    whole = replace(params, identical="all")
    images = pictures(3, 30)
    blocks, found = made_of([images[:16], images[16:]], False, params)
    every = [row for artifact in made_of([images[:16], images[16:]], False, whole)[1] for row in rows_of_any(artifact)]
    sizes = {each.path: 1000 + each.width for each in images}
    assert table_of(blocks, found, params, tmp_path) == expected(sizes, ["/r/phone/101/bad"], every)
    assert len(every) > sum(artifact.rows for artifact in found)


def rows_of_any(artifact: MemoryArtifact) -> list[Match]:
    columns = (artifact.rows_[name].to_pylist() for name in ("path_a", "path_b", "distance", "measured"))
    return [(a, b, distance == 0 and measured) for a, b, distance, measured in zip(*columns, strict=True)]


@pytest.mark.parametrize("identical", ["group", "all"])
def test_dismissed_pairs_and_flat_images_match_nothing(identical: str, tmp_path: Path) -> None:
    params = pairs.Params(threshold=60.0, identical=identical)
    for seed in range(6):
        images = pictures(seed, 24)
        digests = {each.path: hashlib.sha256(each.pixels.tobytes()).hexdigest() for each in images}
        chosen = sorted(set(digests.values()))[seed : seed + 4]
        apart = {(a, b) for a in chosen for b in chosen if a <= b}
        file = tmp_path / f"{seed}.csv"
        file.write_text("\n".join(["digest_a,digest_b", *(f"{a},{b}" for a, b in sorted(apart))]))
        blocks, found = made_of([images[:12], images[12:]], False, params)
        flat = {each.path for each in images if each.pixels.std() < 1}
        matches = [
            (row[0], row[1], row[2] == 0)
            for row in expected_rows(images, None, params)[0]
            if not flat & {*row[:2]} and tuple(sorted(digests[path] for path in row[:2])) not in apart
        ]
        changes = {"cluster.dismissed": (str(file),), "cluster.min_contrast": 1.0}
        sizes = {each.path: 1000 + each.width for each in images}
        assert table_of(blocks, found, params, tmp_path, **changes) == expected(sizes, ["/r/phone/101/bad"], matches)


def test_a_lower_threshold_of_clusters_counts(tmp_path: Path) -> None:
    params = pairs.Params(threshold=None)
    images = pictures(1, 20)
    blocks, found = made_of([images], False, params)
    matches = [(row[0], row[1], row[2] == 0) for row in expected_rows(images, None, params)[0] if row[2] <= 20]
    sizes = {each.path: 1000 + each.width for each in images}
    changes = {"cluster.threshold": 20.0}
    assert table_of(blocks, found, params, tmp_path, **changes) == expected(sizes, ["/r/phone/101/bad"], matches)


def test_many_copies_cost_rows_of_folders_only(tmp_path: Path) -> None:
    """Of 3,000 copies in three folders, 3 · 1,000 · 2,000 pairs span two folders."""
    page = np.full(SHAPE, 250, np.uint8)
    images = [Picture(f"/r/{n % 3}/{n:04}", page) for n in range(3000)]
    params = pairs.Params()
    blocks, found = made_of([images], False, params, "/r/3/bad")
    rows = table_of(blocks, found, params, tmp_path)
    assert [(row["folder_a"], row["folder_b"]) for row in rows] == [
        *(("/r", f"/r/{n}") for n in range(3)),
        *((f"/r/{a}", f"/r/{b}") for a, b in ((0, 1), (0, 2), (1, 2))),
    ]
    assert {(row["shared_b"], row["identical_b"], row["contained_b"]) for row in rows} == {(1000, 1000, True)}


def test_the_settings_are_those_of_the_comparison() -> None:
    assert {name.partition(".")[2] for name in COMPARISON_KEYS} == set(Comparison.__dataclass_fields__)


def test_equal_tables_are_equal_files_with_checksums() -> None:
    nothing = table.SCHEMA.empty_table()
    data = table.as_parquet(nothing)
    assert table.as_parquet(nothing) == data
    assert pq.read_table(pa.BufferReader(data), page_checksum_verification=True) == nothing
