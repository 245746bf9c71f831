"""Clusters built on an earlier artifact equal clusters computed anew, and only changed clusters are measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.messages.errors import ArtifactDamaged
from pipeline.stage import Base, Inputs
from stages import cluster
from stages.clustering import distances, earlier
from tests.in_memory import MemoryArtifact, compute
from tests.stages.test_cluster import NAMES, SETTINGS, dates, matches, thumbnails

ROOM = {"pairs.threshold": 1e6}


class Measured:
    """Count the images whose distance to the keeper is measured, and the clusters whose diameter is measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.to_keepers = self.diameters = 0
        to_keepers, spreads = distances._to_keepers, distances._spreads

        def count_images(measure: Any, keeper: Any, to_keeper: Any, turn: Any) -> None:
            self.to_keepers += int(np.isnan(to_keeper).sum())
            to_keepers(measure, keeper, to_keeper, turn)

        def count_clusters(measure: Any, number: Any, to_keeper: Any, open_: Any, most: Any) -> None:
            self.diameters += len(open_)
            spreads(measure, number, to_keeper, open_, most)

        monkeypatch.setattr(distances, "_to_keepers", count_images)
        monkeypatch.setattr(distances, "_spreads", count_clusters)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    return Measured(monkeypatch)


def clusters(inputs: Sequence[MemoryArtifact], bases: Sequence[Base] = (), **params: Any) -> MemoryArtifact:
    given = cluster.Params(**{"keep": ("path",), **params})
    return compute(cluster.STAGE, inputs, given, SETTINGS | ROOM, Path(), bases_=bases)[0]


def based(inputs: Sequence[MemoryArtifact], **params: Any) -> Base:
    return Base(clusters(inputs, **params), Inputs(tuple(inputs)), {})


def near(values: Sequence[int], limit: float, zero: Sequence[tuple[int, int]] = ()) -> MemoryArtifact:
    """Return the matches of flat images up to `limit`; the pairs in `zero` are recorded as 0 without a measurement."""
    rows = [
        (NAMES[a], NAMES[b], float((values[a] - values[b]) ** 2))
        for a in range(len(values))
        for b in range(a + 1, len(values))
        if abs(values[a] - values[b]) <= limit
    ]
    made = matches([*rows, *((NAMES[a], NAMES[b], 0.0) for a, b in zero)], len(values))
    real = pa.array([True] * len(rows) + [False] * len(zero))
    table = made.rows_.set_column(made.rows_.column_names.index("measured"), "measured", real)
    return MemoryArtifact("pairs", made.key, table, made.summary)


def halves(values: Sequence[int]) -> list[MemoryArtifact]:
    """Return the thumbnails in two partitions."""
    whole = thumbnails(values)
    middle = len(values) // 2
    summaries = [{**whole.summary, "readable": count} for count in (middle, len(values) - middle)]
    parts = (whole.rows_.slice(0, middle), whole.rows_.slice(middle))
    return [
        MemoryArtifact("thumbnail", key, table.combine_chunks(), summary)
        for key, table, summary in zip(("a-00", "a-end"), parts, summaries, strict=True)
    ]


@pytest.mark.quick(10)
@pytest.mark.parametrize("seed", range(60))
def test_random_changes(seed: int) -> None:
    """Change one image and, at random, the threshold, the linkage and the rules."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 90, 24).tolist()
    changed = [*values]
    changed[int(random.integers(24))] = int(random.integers(0, 90))
    limits, order = random.choice([1, 2, 4, 8], 2), [*map(int, random.integers(0, 9, 24))]
    rules = [("path",), ({"path": "deepest"}, "newest"), ("bytes",)]
    linkages = random.choice(["components", "complete", "star"], 2)
    zero = [(0, 5)] if random.integers(4) == 0 else []
    first, second = (rules[n] for n in random.integers(0, 3, 2))
    old = [dates(order), *halves(values), near(values, limits[0], zero)]
    now = [dates(order), *(halves(changed) if random.integers(2) else old[1:3])]
    now.append(near(changed if now[1] is not old[1] else values, limits[1]))
    base = based(old, keep=first, linkage=str(linkages[0]))
    params = {"keep": second, "linkage": str(linkages[1])}
    assert clusters(now, [base], **params).rows_.equals(clusters(now, **params).rows_)


def test_a_lower_threshold_and_other_rules_measure_only_what_changes(measured: Measured) -> None:
    values = [0, 1, 2, 3, 40, 41, 42, 80, 81]  # chains, whose ends do not match
    images, pairs = thumbnails(values), near(values, 1)
    base = based([images, pairs])
    assert (measured.to_keepers, measured.diameters) == (3, 2)
    clusters([images, pairs], [base], threshold=1.0)
    assert (measured.to_keepers, measured.diameters) == (3, 2)
    other = clusters([images, pairs], [base], keep=("bytes",))  # the last image is the largest
    assert (measured.to_keepers, measured.diameters) == (6, 2)
    assert other.rows_.equals(clusters([images, pairs], keep=("bytes",)).rows_)


def test_a_new_match_measures_the_cluster_that_it_joins(measured: Measured) -> None:
    values = [0, 1, 2, 40, 41, 42]
    images = thumbnails(values)
    base = based([images, near(values, 1)])
    joined = matches([("a", "b", 1.0), ("b", "c", 1.0), ("d", "e", 1.0), ("e", "f", 1.0)], 6)
    alone = based([images, matches([("a", "b", 1.0), ("b", "c", 1.0), ("d", "e", 1.0)], 6)])
    before = measured.diameters
    assert clusters([images, joined], [alone]).rows_.equals(base.artifact.rows_)  # type: ignore[attr-defined]
    assert measured.diameters == before + 1


def test_a_changed_image_of_the_same_cluster_is_measured() -> None:
    old, new = [0, 4, 8], [0, 4, 7]
    base = based([thumbnails(old), near(old, 5)])
    found = clusters([thumbnails(new), near(new, 5)], [base])
    assert found.rows_["diameter"].to_pylist() == [49.0] * 3


@pytest.mark.parametrize("first", ["unmeasured", "measured"])
def test_rows_without_a_measurement_tell_nothing(first: str) -> None:
    """a-b is recorded as 0 without a measurement, so b counts as a copy of a; b-c, which is measured, is the farthest
    pair."""
    values = [10, 7, 11]
    images, one, other = thumbnails(values), near(values, 1, zero=[(0, 1)]), near(values, 3)
    old, new = (one, other) if first == "unmeasured" else (other, one)
    found = clusters([images, new], [based([images, old])])
    assert found.rows_["diameter"].to_pylist() == [16.0 if first == "unmeasured" else 1.0] * 3


def test_damaged_artifacts_tell_nothing() -> None:
    class Damaged(MemoryArtifact):
        def table(self, columns: Sequence[str] | None = None) -> None:  # type: ignore[override]
            raise ArtifactDamaged(self.stage, self.key, "cut short")

    values = [0, 1, 2, 40, 41, 42]
    inputs = [thumbnails(values), near(values, 1)]
    sound = based(inputs)
    damaged = Base(Damaged("cluster", "clusters", sound.artifact.rows_), sound.inputs, {})  # type: ignore[attr-defined]
    assert clusters(inputs, [damaged, sound]).rows_.equals(clusters(inputs).rows_)


def test_an_image_that_changes_beside_a_cluster_measures_no_cluster(measured: Measured) -> None:
    """Clusters of unchanged images are copied, though the partition that holds these images is a new artifact."""
    old, new = [0, 1, 2, 90, 40, 41, 42, 80], [0, 1, 2, 90, 40, 41, 42, 70]
    base = based([*halves(old), near(old, 1)])
    before = measured.to_keepers, measured.diameters
    now = [*halves(new), near(new, 1)]
    found = clusters(now, [base])
    assert (measured.to_keepers, measured.diameters) == before
    assert found.rows_.equals(clusters(now).rows_)


def test_many_images_of_changed_partitions(monkeypatch: pytest.MonkeyPatch, measured: Measured) -> None:
    monkeypatch.setattr(earlier, "TOGETHER", 2)
    old = [0, 1, 2, 20, 21, 22, 40, 41, 42, 60, 61, 62]
    new = [0, 1, 2, 20, 21, 22, 40, 41, 42, 60, 61, 61]
    base = based([*halves(old), near(old, 1)])
    before = measured.diameters
    now = [*halves(new), near(new, 1)]
    found = clusters(now, [base])
    assert measured.diameters == before, "the changed cluster has all its matches"
    assert found.rows_.equals(clusters(now).rows_)
