from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import TaskError
from stages import cluster, pairs, scan
from stages.thumbnail import Params as ThumbnailParams
from stages.thumbnail import schema as thumbnail_schema
from tests.in_memory import MemoryArtifact, compute

SHAPE = (4, 4, 1)
SETTINGS = {
    "pairs.metric": "mse",
    "pairs.threshold": 200.0,
    "pairs.normalize": "pixel",
    "pairs.rotations": True,
    "thumbnail.size": (4, 4),
    "thumbnail.channels": "grey",
}
NAMES = "abcdefg"
MSE, HAMMING = pairs.Params(), pairs.Params(metric="hamming", threshold=3.0)


def thumbnails(values: Sequence[int], widths: Sequence[int] | None = None) -> MemoryArtifact:
    kind = thumbnail_schema(ThumbnailParams(size=(4, 4), channels="grey"), SETTINGS.__getitem__)
    rows = [
        {"path": NAMES[n], "set": "a", "width": (widths or [10] * 9)[n], "height": 10, "bytes": 100 + n}
        | {"thumbnail": np.full(SHAPE, value, np.uint8).tobytes()}
        for n, value in enumerate(values)
    ]
    summary = {"images": len(rows), "readable": len(rows), "failed": 0}
    return MemoryArtifact("thumbnail", "a-end", pa.Table.from_pylist(rows, kind), summary)


def matches(
    edges: Sequence[tuple[str, str, float]], images: int, metric: pairs.Params = MSE, **ledger: int
) -> MemoryArtifact:
    rows = [
        {"path_a": a, "path_b": b, metric.figure: found, "rotation": 0, "turns": 1, "measured": True}
        for a, b, found in edges
    ]
    total = images * (images - 1) // 2
    summary = {"pairs_total": total, "decided": total, "skipped_by_rule": 0, "identical": 0, "matches": len(edges)}
    return MemoryArtifact(
        "pairs", "a-end.a-end", pa.Table.from_pylist(rows, pairs.schema(metric, {}.get)), summary | ledger
    )


def dates(times: Sequence[int]) -> MemoryArtifact:
    rows = [{"path": NAMES[n], "set": "a", "mtime_ns": time} for n, time in enumerate(times)]
    return MemoryArtifact("scan", "a-end", pa.Table.from_pylist(rows, scan.SCHEMA))


def clustered(
    *inputs: MemoryArtifact,
    keep: Sequence[str] = ("resolution", "bytes"),
    settings: Mapping[str, Any] = SETTINGS,
    **params: Any,
) -> list[tuple]:
    artifact, _ = compute(cluster.STAGE, inputs, cluster.Params(keep=tuple(keep), **params), settings, Path())
    names = ("cluster", "path", "keeper", "mse_to_keeper")
    return list(zip(*(artifact.rows_[name].to_pylist() for name in names), strict=True))


def test_chains_are_one_cluster_and_every_distance_is_true() -> None:
    """a-b-c is a chain; c is the keeper, and a-c is no match, so it is measured."""
    edges = [("a", "b", 100.0), ("b", "c", 100.0), ("e", "f", 4.0)]
    rows = clustered(thumbnails([0, 10, 20, 90, 200, 202]), matches(edges, 6))
    assert rows == [
        (0, "c", True, 0.0),
        (0, "a", False, 400.0),
        (0, "b", False, 100.0),
        (1, "f", True, 0.0),
        (1, "e", False, 4.0),
    ]


def test_a_lower_threshold_cuts_clusters() -> None:
    edges = [("a", "b", 100.0), ("b", "c", 50.0)]
    assert [row[1] for row in clustered(thumbnails([0, 10, 17]), matches(edges, 3), threshold=50.0)] == ["c", "b"]
    assert clustered(thumbnails([0, 10, 17]), matches(edges, 3), threshold=49.0) == []


def test_another_metric_joins_by_its_distance_and_mse_is_that_of_the_thumbnails() -> None:
    """Distances of 0 to 3; the thumbnails' MSE are measured, none is taken for what was recorded."""
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
    declared = cluster.STAGE.reads(cluster.Params(), settings.__getitem__)["pairs"]
    assert declared == ("path_a", "path_b", "distance")


def test_the_threshold_is_in_units_of_the_metric() -> None:
    for metric, words in (("mse", "such as 200"), ("hamming", "a distance by pairs.metric")):
        settings = SETTINGS | {"pairs.metric": metric, "pairs.threshold": None}
        (complaint,) = cluster.check(cluster.Params(), settings.__getitem__)
        assert words in complaint


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


def test_the_summary_counts_what_the_others_hold() -> None:
    edges = [("a", "b", 0.0), ("b", "c", 0.0)]
    inputs = [thumbnails([5, 5, 5]), matches(edges, 3)]
    artifact, _ = compute(cluster.STAGE, inputs, cluster.Params(keep=("bytes",)), SETTINGS, Path())
    assert artifact.summary == {"count": 1, "images": 3, "removable_bytes": 201, "flat": 0}


def test_no_matches() -> None:
    assert clustered(thumbnails([0, 90]), matches([], 2)) == []


@pytest.mark.parametrize("ledger", [{"decided": 2}, {"pairs_total": 1}, {"identical": 1}])
def test_a_ledger_that_does_not_add_up_is_refused(ledger: dict[str, int]) -> None:
    with pytest.raises(TaskError, match=r"the ledger is short: 1 of 1 block pairs.*a-end\.a-end"):
        clustered(thumbnails([0, 50, 90]), matches([], 3, **ledger))


def test_a_missing_block_pair_is_named() -> None:
    first, last = thumbnails([0, 50]), thumbnails([0, 50, 90])
    first = MemoryArtifact("thumbnail", "a-01", first.rows_, first.summary)
    diagonal = MemoryArtifact("pairs", "a-01.a-01", matches([], 2).rows_, matches([], 2).summary)
    with pytest.raises(TaskError, match=r"a-01\.a-end: 0 of 6"):
        clustered(first, last, diagonal, matches([], 3))


def test_keepers_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "KEEPERS_AT_ONCE", 1)
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
