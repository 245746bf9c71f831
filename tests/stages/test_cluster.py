import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.messages.errors import TaskError
from pipeline.stage import Upstream
from stages import cluster, pairs, scan
from stages.clustering import distances
from stages.clustering.dismissed import read
from stages.clustering.ledger import account
from stages.clustering.matches import Graph
from stages.commands.dismiss.pairs import append
from stages.thumbnail import Params as ThumbnailParams
from stages.thumbnail import schema as thumbnail_schema
from tests.in_memory import MemoryArtifact, compute

SHAPE = (4, 4, 1)
SETTINGS = {
    "inputs.reference": (),
    "pairs.metric": "mse",
    "pairs.threshold": 200.0,
    "pairs.normalize": "pixel",
    "pairs.rotations": True,
    "pairs.mirror": False,
    "pairs.exposure": "compare",
    "thumbnail.size": (4, 4),
    "thumbnail.channels": "grey",
    "thumbnail.orientation": "exif",
    "thumbnail.plugins": (),
    "thumbnail.max_memory": 3 << 30,
    "thumbnail.timeout": 120.0,
}
NONE_UNMEASURED = {"unmeasured": 0, "passing": 0}
NAMES = "abcdefghijklmnopqrstuvwxyz"
MSE, HAMMING = pairs.Params(), pairs.Params(metric="hamming", threshold=3.0)


def thumbnails(values: Sequence[int], widths: Sequence[int] | None = None) -> MemoryArtifact:
    kind = thumbnail_schema(ThumbnailParams(size=(4, 4), channels="grey"), SETTINGS.__getitem__)
    rows = [
        {"path": NAMES[n], "set": "a", "width": (widths or [10] * 26)[n], "height": 10, "bytes": 100 + n}
        | {"thumbnail": np.full(SHAPE, value, np.uint8).tobytes()}
        for n, value in enumerate(values)
    ]
    summary = {"images": len(rows), "readable": len(rows), "failed": 0}
    return MemoryArtifact("thumbnail", "a-end", pa.Table.from_pylist(rows, kind), summary)


def matches(
    edges: Sequence[tuple[str, str, float]], images: int, metric: pairs.Params = MSE, **ledger: int
) -> MemoryArtifact:
    rows = [
        {"path_a": a, "path_b": b, metric.comparison.column: found, "rotation": 0, "turns": 1, "measured": True}
        for a, b, found in edges
    ]
    total = images * (images - 1) // 2
    summary = {"pairs_total": total, "decided": total, "skipped_by_rule": 0, "identical": 0, "matches": len(edges)}
    return MemoryArtifact(
        "pairs", "a-end.a-end", pa.Table.from_pylist(rows, pairs.schema(metric, {}.get)), summary | ledger
    )


def dates(times: Sequence[int]) -> MemoryArtifact:
    rows = [{"path": NAMES[n], "set": "a", "root": "/", "mtime_ns": time * 10**9} for n, time in enumerate(times)]
    return MemoryArtifact("scan", "a-end", pa.Table.from_pylist(rows, scan.SCHEMA))


def clustered(
    *inputs: MemoryArtifact,
    keep: Sequence[Any] = ("resolution", "bytes"),
    settings: Mapping[str, Any] = SETTINGS,
    **params: Any,
) -> list[tuple]:
    artifact, _ = compute(cluster.STAGE, inputs, cluster.Params(keep=tuple(keep), **params), settings, Path())
    names = ("cluster", "path", "keeper", "mse_to_keeper")
    return list(zip(*(artifact.rows_[name].to_pylist() for name in names), strict=True))


def test_chains_are_one_cluster_and_every_distance_is_true() -> None:
    """a-b-c is a chain; c is the keeper, and a-c is not a match, so a-c is measured."""
    edges = [("a", "b", 100.0), ("b", "c", 100.0), ("e", "f", 4.0)]
    rows = clustered(thumbnails([0, 10, 20, 90, 200, 202]), matches(edges, 6))
    assert rows == [
        (0, "c", True, 0.0),
        (0, "a", False, 400.0),
        (0, "b", False, 100.0),
        (1, "f", True, 0.0),
        (1, "e", False, 4.0),
    ]


def test_distances_are_divided_as_the_config_has_them_and_take_turns_only_where_it_does() -> None:
    """b-c is not a match, so it is measured: 6 of 4·4·3 values differ by 60, and 3 if b is turned or mirrored."""
    settings = {**SETTINGS, "thumbnail.channels": "rgb"}
    kind = thumbnail_schema(ThumbnailParams(size=(4, 4), channels="rgb"), settings.__getitem__)
    pictures = np.zeros((3, 4, 4, 3), np.uint8)
    pictures[1, 0, 0] = pictures[2, 0, 3] = 60
    images = [
        {"path": path, "set": "a", "width": 10, "height": 10, "bytes": 9, "thumbnail": picture.tobytes()}
        for path, picture in zip("abc", pictures, strict=True)
    ]
    summary = {"images": 3, "readable": 3, "failed": 0}
    thumbs = MemoryArtifact("thumbnail", "a-end", pa.Table.from_pylist(images, kind), summary)
    for divisor, normalize in ((16, "pixel"), (48, "value")):
        matched = matches([("a", "b", 3 * 60**2 / divisor), ("a", "c", 3 * 60**2 / divisor)], 3)
        for turns, mirror in itertools.product((True, False), (True, False)):
            far = (3 if turns or mirror else 6) * 60**2 / divisor
            given = settings | {"pairs.threshold": 1e4, "pairs.normalize": normalize, "pairs.rotations": turns}
            given["pairs.mirror"] = mirror
            found, _ = compute(cluster.STAGE, [thumbs, matched], cluster.Params(keep=("path",)), given, Path())
            assert found.rows_["diameter"].to_pylist() == [far] * 3


def test_a_lower_threshold_cuts_clusters() -> None:
    edges = [("a", "b", 100.0), ("b", "c", 50.0)]
    assert [row[1] for row in clustered(thumbnails([0, 10, 17]), matches(edges, 3), threshold=50.0)] == ["c", "b"]
    assert clustered(thumbnails([0, 10, 17]), matches(edges, 3), threshold=49.0) == []


def test_another_metric_joins_by_its_distance_and_mse_is_that_of_the_thumbnails() -> None:
    """Distances are 0 to 3; the MSE of the thumbnails is measured, and no recorded distance is used as MSE."""
    edges = [("a", "b", 0.0), ("b", "c", 3.0), ("c", "d", 2.0), ("e", "f", 3.0)]
    inputs = [thumbnails([0, 10, 17, 90, 50, 51]), matches(edges, 6, HAMMING)]
    settings = SETTINGS | {"pairs.metric": "hamming", "pairs.threshold": 3.0}
    rows = clustered(*inputs, settings=settings)
    assert rows == [
        (0, "d", True, 0.0),
        (0, "a", False, 8100.0),
        (0, "b", False, 6400.0),
        (0, "c", False, 5329.0),
        (1, "f", True, 0.0),
        (1, "e", False, 1.0),
    ]
    lower = clustered(*inputs, settings=settings, threshold=2.0)
    assert [(row[0], row[1], row[3]) for row in lower] == [
        (0, "b", 0.0),
        (0, "a", 100.0),
        (1, "d", 0.0),
        (1, "c", 5329.0),
    ]
    declared = cluster.STAGE.cache_key.reads(cluster.Params(), settings.__getitem__)["pairs"]
    assert declared == ("path_a", "path_b", "distance")


def test_the_threshold_is_in_units_of_the_metric() -> None:
    for metric, words in (("mse", "such as 200"), ("hamming", "a distance by pairs.metric")):
        settings = SETTINGS | {"pairs.metric": metric, "pairs.threshold": None}
        (problem,) = cluster.check(cluster.Params(), settings.__getitem__)
        assert words in problem


@pytest.mark.parametrize(
    ("keep", "keeper"),
    [
        (["resolution", "bytes"], "b"),
        (["bytes"], "c"),
        (["oldest"], "b"),
        (["newest", "path"], "a"),
        (["path"], "a"),
        (["resolution", "newest"], "a"),
    ],
)
def test_rules_decide_in_order(keep: list[str], keeper: str) -> None:
    edges = [("a", "b", 0.0), ("b", "c", 0.0)]
    inputs = [dates([9, 1, 9]), thumbnails([5, 5, 5], [20, 20, 10]), matches(edges, 3)]
    rows = clustered(*inputs, keep=keep)
    assert rows[0][1:3] == (keeper, True)
    assert [row[2] for row in rows] == [True, False, False]


def test_the_summary_counts_the_bytes_of_duplicates() -> None:
    edges = [("a", "b", 0.0), ("b", "c", 0.0)]
    inputs = [thumbnails([5, 5, 5]), matches(edges, 3)]
    artifact, _ = compute(cluster.STAGE, inputs, cluster.Params(keep=("bytes",)), SETTINGS, Path())
    assert artifact.summary == {"count": 1, "images": 3, "removable_bytes": 201, "flat": 0} | NONE_UNMEASURED


def test_no_matches() -> None:
    assert clustered(thumbnails([0, 90]), matches([], 2)) == []


@pytest.mark.parametrize("ledger", [{"decided": 2}, {"pairs_total": 1}, {"identical": 1}])
def test_a_ledger_that_does_not_add_up_is_refused(ledger: dict[str, int]) -> None:
    with pytest.raises(TaskError, match=r"the ledger is short: 1 of 1 block pairs.*a-end\.a-end"):
        clustered(thumbnails([0, 50, 90]), matches([], 3, **ledger))


def test_images_without_a_block_are_counted() -> None:
    with pytest.raises(
        TaskError, match=r"^the ledger is short: 3 images belong to no block; run the same command again$"
    ):
        account({}, [], 3)


def test_a_missing_block_pair_is_named() -> None:
    first, last = thumbnails([0, 50]), thumbnails([0, 50, 90])
    first = MemoryArtifact("thumbnail", "a-01", first.rows_, first.summary)
    diagonal = MemoryArtifact("pairs", "a-01.a-01", matches([], 2).rows_, matches([], 2).summary)
    with pytest.raises(TaskError, match=r"a-01\.a-end: 0 of 6"):
        clustered(first, last, diagonal, matches([], 3))


def test_keepers_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "IMAGES", 1)
    edges = [("a", "b", 100.0), ("b", "c", 100.0), ("d", "e", 100.0), ("e", "f", 100.0)]
    rows = clustered(thumbnails([0, 10, 20, 100, 110, 120]), matches(edges, 6))
    assert [row[3] for row in rows if not row[2]] == [400.0, 100.0, 400.0, 100.0]


def test_flat_images_join_nothing_and_are_counted() -> None:
    thumbs = thumbnails([0, 1, 2, 3, 4])
    contrast = pa.array([30.0, 4.0, 5.0, 30.0, 1.0], pa.float32())
    rows = thumbs.rows_.set_column(thumbs.rows_.column_names.index("contrast"), "contrast", contrast)
    flat = MemoryArtifact("thumbnail", "a-end", rows, thumbs.summary)
    edges = matches([("a", "b", 1), ("b", "c", 1), ("c", "d", 1), ("a", "e", 1)], 5)
    assert sorted(row[1] for row in clustered(flat, edges)) == list("abcde")
    assert sorted(row[1] for row in clustered(flat, edges, min_contrast=5.0)) == ["c", "d"]  # 5 is not less than 5
    artifact, _ = compute(
        cluster.STAGE, [flat, edges], cluster.Params(min_contrast=5.0, keep=("path",)), SETTINGS, Path()
    )
    assert artifact.summary["flat"] == 2


def table(*inputs: MemoryArtifact, settings: Mapping[str, Any] = SETTINGS, **params: Any) -> pa.Table:
    given = cluster.Params(**{"keep": ("bytes",), **params})
    tasks = Upstream({stage: [] for stage in ("scan", "thumbnail", "pairs")}, settings.__getitem__)
    (task,) = cluster.STAGE.tasks(tasks, given)
    artifact, _ = compute(cluster.STAGE, inputs, given, settings, Path(), task)
    return artifact.rows_


def flat_images(count: int, seed: int) -> tuple[list[int], list[tuple[int, int, float]], list[tuple[int, int, float]]]:
    """Return grey values, their matches up to 100, and the matches that are recorded if the first of identical
    images represents all."""
    values = np.random.default_rng(seed).integers(0, 60, count).tolist()
    every = [
        (a, b, float((values[a] - values[b]) ** 2))
        for a in range(count)
        for b in range(a + 1, count)
        if abs(values[a] - values[b]) <= 10
    ]
    first = [values.index(value) for value in values]
    grouped = [(a, b, far) for a, b, far in every if first[b] == a or (first[a] == a and first[b] == b)]
    return values, every, grouped


def named(edges: Sequence[tuple[int, int, float]]) -> list[tuple[str, str, float]]:
    return [(NAMES[a], NAMES[b], far) for a, b, far in edges]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("linkage", ["components", "complete", "star"])
def test_clusters_are_the_same_whether_copies_have_rows_or_not_and_diameters_are_true(linkage: str, seed: int) -> None:
    count = 26
    values, every, grouped = flat_images(count, seed)
    images = thumbnails(values)
    settings = SETTINGS | {"pairs.threshold": 100.0}
    params = {"linkage": linkage, "keep": ({"path": "alphabetical"},)}
    found = table(images, matches(named(every), count), settings=settings, **params)
    assert found.equals(table(images, matches(named(grouped), count), settings=settings, **params))
    value = dict(zip(NAMES, values, strict=False))
    for number in range(max(found["cluster"].to_pylist(), default=-1) + 1):
        rows = [row for row in found.to_pylist() if row["cluster"] == number]
        mine = [value[row["path"]] for row in rows]
        (keeper,) = (value[row["path"]] for row in rows if row["keeper"])
        assert {row["size"] for row in rows} == {len(rows)}
        assert {row["diameter"] for row in rows} == {(max(mine) - min(mine)) ** 2}
        assert [row["mse_to_keeper"] for row in rows] == [(each - keeper) ** 2 for each in mine]
        assert linkage != "complete" or max(mine) - min(mine) <= 10
        assert linkage != "star" or all(abs(each - keeper) <= 10 for each in mine)
    assert found.num_rows or not every


def test_copies_in_a_cluster_are_found_by_bytes_and_rows_of_pixels_are_never_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`np.unique` over rows of 12,288 bytes takes 30 ms a cluster, some 500 times as long."""
    unique = np.unique

    def of_columns(values: Any, *arguments: Any, axis: int | None = None, **more: Any) -> Any:
        assert axis is None
        return unique(values, *arguments, **more)

    monkeypatch.setattr(np, "unique", of_columns)
    rows = table(thumbnails([0, 5, 5, 9]), matches([("a", "b", 25.0), ("b", "c", 0.0), ("c", "d", 16.0)], 4))
    assert set(rows["diameter"].to_pylist()) == {81.0}


def test_the_order_of_files_and_rows_does_not_matter() -> None:
    values, every, _ = flat_images(20, 3)
    first, second = named(every[::2]), named(every[1::2])
    whole = matches(named(every), 20)
    halves = [
        MemoryArtifact("pairs", "a-end.a-end", matches(rows, 20).rows_, whole.summary if number else empty)
        for number, (rows, empty) in enumerate([(second[::-1], {"pairs_total": 0}), (first[::-1], {})])
    ]
    joined = pa.concat_tables([half.rows_ for half in halves])
    for linkage in ("components", "complete", "star"):
        mixed = MemoryArtifact("pairs", "a-end.a-end", joined, whole.summary)
        assert table(thumbnails(values), whole, linkage=linkage).equals(
            table(thumbnails(values), mixed, linkage=linkage)
        )


def dull_components(values: Sequence[int], apart: set[tuple[int, int]]) -> set[frozenset[str]]:
    """Return the components of matches up to 100 without dismissed pairs, by the simplest method."""
    left, found = set(range(len(values))), set()
    while left:
        cluster, behind = set(), [left.pop()]
        while behind:
            one = behind.pop()
            cluster.add(one)
            near = [n for n in left if abs(values[n] - values[one]) <= 10 and (min(n, one), max(n, one)) not in apart]
            left.difference_update(near)
            behind += near
        found |= {frozenset(NAMES[n] for n in cluster)} if len(cluster) > 1 else set()
    return found


def digest_of(image: int) -> str:
    return hashlib.sha256(NAMES[image].encode()).hexdigest()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("linkage", ["components", "complete", "star"])
def test_dismissed_pairs_never_match_whichever_image_represents_them(linkage: str, seed: int, tmp_path: Path) -> None:
    count = 20
    values, every, grouped = flat_images(count, seed)
    random = np.random.default_rng(seed)
    wanted = {every[n][:2] for n in random.choice(len(every), min(8, len(every)), replace=False)}
    file = tmp_path / "dismissed.csv"
    file.write_text("digest_a,digest_b\n" + "".join(f"{digest_of(b)},{digest_of(a)}\n" for a, b in wanted))
    images = thumbnails(values)
    digests = pa.array([digest_of(n) for n in range(count)])
    rows = images.rows_.set_column(images.rows_.column_names.index("digest"), "digest", digests)
    images = MemoryArtifact("thumbnail", "a-end", rows, images.summary)
    settings = SETTINGS | {"pairs.threshold": 100.0}
    params = {"linkage": linkage, "keep": ("path",), "dismissed": (str(file),)}
    found = table(images, matches(named(every), count), settings=settings, **params)
    clusters = {
        frozenset(row["path"] for row in found.to_pylist() if row["cluster"] == n) for n in found["cluster"].to_pylist()
    }
    if linkage == "components":
        assert clusters == dull_components(values, wanted)
    keepers = {row["cluster"]: NAMES.index(row["path"]) for row in found.to_pylist() if row["keeper"]}
    for row in found.to_pylist():
        of_keeper = tuple(sorted((keepers[row["cluster"]], NAMES.index(row["path"]))))
        assert row["dismissed"] is (of_keeper in wanted), "joined by others, and yet no duplicate of the keeper"
    for part in clusters:
        members = sorted(NAMES.index(name) for name in part)
        pairs = [(a, b) for a in members for b in members if a < b]
        if linkage == "complete":
            assert not wanted & set(pairs)
            assert all(abs(values[a] - values[b]) <= 10 for a, b in pairs)
        if linkage == "star":
            keeper = members[0]
            assert not wanted & {(keeper, other) for other in members[1:]}
    assert found.equals(table(images, matches(named(grouped), count), settings=settings, **params))


def test_unreadable_dismissals_are_reported_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "names.csv").write_text("digest_a,digest_b\nx.png,y.png\n")
    expected = "expected CSV or Parquet of SHA-256 digests with the columns digest_a, digest_b"
    for name, kind in (("bytes.parquet", pa.binary()), ("numbers.parquet", pa.int64())):
        column = pa.array([b"x" if kind == pa.binary() else 1], kind)
        pq.write_table(pa.table({"digest_a": column, "digest_b": column}), tmp_path / name)
    (tmp_path / "capitals.csv").write_text(f"digest_b,note,digest_a\n {'AB' * 32},x,{'cd' * 32} \n")
    assert read([str(tmp_path / "capitals.csv")]) == {("ab" * 32, "cd" * 32)}
    odd = [(name, expected) for name in ("odd.csv", "empty.csv")]
    rows = ("names.csv", "bytes.parquet", "numbers.parquet")
    odd += [(name, f"{name}, row 1: expected two SHA-256 digests in hex") for name in rows]
    for name, said in (("none.csv", "can't be read"), ("none.parquet", "none.parquet can't be read"), *odd):
        problems = list(cluster.check(cluster.Params(dismissed=(str(tmp_path / name),)), SETTINGS.__getitem__))
        assert said in "".join(problems)


@pytest.mark.parametrize(
    "text", ["digest_a,digest_b,path_a,path_b\r\n", "note,digest_b,digest_a\n", "\ufeffdigest_b,digest_a\n"]
)
@pytest.mark.parametrize("end", ["\n", ""])
def test_dismissals_are_added_as_the_file_has_them(text: str, end: str, tmp_path: Path) -> None:
    path, digests = tmp_path / "apart.csv", ["a" * 64, "b" * 64, "c" * 64]
    row = {"digest_a": digests[0], "digest_b": digests[1]}
    names = text.strip("\ufeff\r\n").split(",")
    path.write_text(text + ",".join(row.get(name, "") for name in names) + end, encoding="utf-8")
    for new in (1, 0):
        assert append(path, [(digests[1], digests[0], "/b", "/a"), (digests[2], digests[0], "/c", "/a,")]) == new
    assert read([str(path)]) == {(digests[0], digests[1]), (digests[0], digests[2])}
    assert append(tmp_path / "new.csv", [(digests[0], digests[1], "/a", "/b")]) == 1
    assert (tmp_path / "new.csv").read_text().splitlines()[0] == "digest_a,digest_b,path_a,path_b"


def test_dismissals_keep_their_mode_and_the_link_that_leads_to_them(tmp_path: Path) -> None:
    shared, link = tmp_path / "shared.csv", tmp_path / "apart.csv"
    assert append(shared, [("a" * 64, "b" * 64, "/a", "/b")]) == 1
    shared.chmod(0o640)
    link.symlink_to(shared)
    assert append(link, [("a" * 64, "c" * 64, "/a", "/c")]) == 1
    assert link.is_symlink()
    assert (len(read([str(shared)])), shared.stat().st_mode & 0o777) == (2, 0o640)


def test_unseen_matches_make_no_copies() -> None:
    """`same_hash: zero` records unmeasured pairs at 0: facts about one image need not hold for the other."""
    edges = matches([("a", "b", 0.0), ("a", "c", 50.0)], 3)
    unseen = edges.rows_.set_column(edges.rows_.column_names.index("measured"), "measured", pa.array([False, True]))
    inputs = [thumbnails([10, 200, 17]), MemoryArtifact("pairs", "a-end.a-end", unseen, edges.summary)]
    rows = table(*inputs, linkage="complete").to_pylist()
    assert {row["path"] for row in rows} == {"a", "b"}


def test_references_are_kept_under_all_rules() -> None:
    edges = matches([("a", "b", 0.0), ("a", "c", 0.0), ("b", "c", 0.0)], 3)
    settings = SETTINGS | {"inputs.reference": ("b", "c")}
    inputs = [thumbnails([5, 5, 5], [90, 20, 30]), edges]
    rows = table(*inputs, settings=settings).to_pylist()
    assert [(row["path"], row["keeper"], row["reference"]) for row in rows] == [
        ("c", True, True),
        ("a", False, False),
        ("b", False, True),
    ]
    artifact, _ = compute(cluster.STAGE, inputs, cluster.Params(keep=("bytes",)), settings, Path())
    assert artifact.summary["removable_bytes"] == 100, "of a alone"


def test_the_reason_of_a_keeper_is_the_first_rule_that_decides() -> None:
    """The reason does not mention the other images of a cluster, nor the image with the worst rank."""
    inputs = [
        thumbnails([5, 5, 5, 90, 90], [20, 20, 10, 9, 9]),
        matches([("a", "b", 0), ("b", "c", 0), ("d", "e", 0)], 5),
    ]
    rows = table(*inputs, keep=("resolution", "bytes")).to_pylist()
    assert [(row["path"], row["reason"]) for row in rows] == [
        *(("b", "more bytes"), ("a", None), ("c", None), ("e", "more bytes"), ("d", None))
    ]
    wide = [thumbnails([5, 5], [20, 10]), matches([("a", "b", 0)], 2)]
    for linkage in ("components", "complete", "star"):
        assert table(*wide, keep=("resolution",), linkage=linkage)["reason"].to_pylist() == ["more pixels", None]


@pytest.mark.parametrize("linkage", ["components", "complete", "star"])
def test_the_live_folder_is_that_of_all_images_of_the_run(linkage: str) -> None:
    """B holds a picture without a copy, A an unreadable picture, and both hold one more file."""
    images = thumbnails([10, 90, 10, 200])
    paths = pa.array(["/B/a", "/B/z", "/A/a", "/A/y"])
    rows = images.rows_.set_column(0, "path", paths).set_column(
        images.rows_.column_names.index("digest"), "digest", pa.array(["x", "z", "x", "y"])
    )
    errors = pa.array([None, None, None, "truncated"])
    rows = rows.set_column(rows.column_names.index("error"), "error", errors)
    images = MemoryArtifact("thumbnail", "a-end", rows, images.summary | {"readable": 3, "failed": 1})
    edges = pa.Table.from_pylist(
        [{"path_a": "/A/a", "path_b": "/B/a", "mse": 0.0, "rotation": 0, "turns": 1, "measured": True}],
        pairs.schema(MSE, {}.get),
    )
    found = MemoryArtifact("pairs", "a-end.a-end", edges, matches([("a", "b", 0)], 3).summary)
    rows = table(images, found, keep=("resolution",), linkage=linkage).to_pylist()
    assert rows[0]["path"] == "/B/a"


def test_only_columns_that_a_rule_needs_are_read() -> None:
    def columns(stage: str, **params: Any) -> set[str]:
        return set(cluster.STAGE.cache_key.reads(cluster.Params(**params), SETTINGS.__getitem__)[stage])

    assert {"mtime_ns", "root"} <= columns("scan"), "by default"
    assert {"taken", "camera"}.isdisjoint(columns("thumbnail", keep=("bytes",)))
    assert columns("scan", keep=("bytes",)) == {"path"}
    assert columns("scan", keep=("avoid",)) == {"path", "root"}
    assert columns("scan", keep=("newest",)) == {"path", "mtime_ns"}
    assert "taken" in columns("thumbnail", keep=("taken",))
    assert "measured" in columns("pairs", linkage="star")


def test_of_several_distances_between_two_kinds_of_copies_the_largest_counts() -> None:
    """0 and 1 are copies, and so are 2 and 3; some metrics give the pairs of copies different distances."""
    a, b = np.array([0, 2, 0, 1, 0, 1]), np.array([1, 3, 2, 2, 3, 3])
    distance = np.array([0.0, 0.0, 3.0, 5.0, 4.0, 2.0])
    for order in (np.arange(6), np.arange(6)[::-1]):
        graph = Graph(pa.array([*"abcd"]), a[order], b[order], distance[order], np.ones(6, bool))
        groups = graph.groups({})
        assert groups.representative.tolist() == [0, 0, 2, 2]
        assert (groups.a.tolist(), groups.b.tolist(), groups.distance.tolist()) == ([0], [2], [5.0])
