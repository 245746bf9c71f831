"""Charts: correct counts, well-formed SVG, equal output each time, and readable on dark pages."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from stages.report import charts, labels
from tests.stages.report.test_dendrogram import matches, random_rows


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.sizes({2: 60, 9: 2, 120: 1}),
        lambda: charts.sizes({2: 1}),
        lambda: charts.recall(np.array([0.0, 20.0]), np.array([0.2, 0.9]), 200.0, "MSE"),
        lambda: charts.recall(np.array([]), np.array([]), 200.0, "MSE"),
    ],
)
def test_well_formed_and_the_same_each_time(draw: object) -> None:
    assert callable(draw)
    light, dark, pdf = charts.forms(True, draw)
    assert [light, dark, pdf] == charts.forms(True, draw)
    assert charts.forms(False, draw) == [light, dark]
    assert light != dark
    assert all(ElementTree.fromstring(each).tag.endswith("svg") for each in (light, dark))
    assert pdf.startswith(b"%PDF")


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    "name",
    ["cost_$5_$6", "$\\frac{$", "^_{", "\\", "a\nb", "\U0001f9ca", "\u202egnp", "$$", "\\$x$", "%", "&<\"'>", " ", "_"],
)
def test_any_name_in_a_chart_is_text(name: str) -> None:
    """Matplotlib took a name such as `cost_$5_$6` for a formula, which ended the report."""
    counts = [1, 2], [0.0, 1.0, 2.0], 2.0
    picture, _, pdf = charts.forms(True, charts.histogram, *counts, f"distance by {name}")
    assert picture != charts.forms(False, charts.histogram, *counts, "distance by b")[0]
    assert pdf.startswith(b"%PDF")
    assert ElementTree.fromstring(picture).tag.endswith("svg")


def test_text_in_a_chart_is_text() -> None:
    for name in ("$x_2$", "2x_$"):
        root = ElementTree.fromstring(charts.forms(False, charts.histogram, [1], [-0.5, 0.5], 1.0, name)[0])
        assert name in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_zero_is_a_bar_of_its_own_left_of_a_logarithmic_axis() -> None:
    """Each bar of a chart begins at its position on paper: the bar of 0 left of all others."""
    counts = [5, 0, 0, 2], [0.0, 0.1, 1.0, 10.0, 100.0]
    root = ElementTree.fromstring(charts.forms(False, charts.histogram, *counts, 100.0, "MSE")[0])
    below = [each for each in root.iter("{http://www.w3.org/2000/svg}text") if "middle" in each.get("style", "")]
    text = {each.text: each for each in below}
    right = [float(text[tick].get("x", "nan")) for tick in ("0", "0.1", "1", "10", "100")]
    assert right == sorted(right)


@pytest.mark.parametrize(("largest", "edges"), [(2, [2, 3]), (9, [2, 3, 4, 5, 10]), (10, [2, 3, 4, 5, 10, 20])])
def test_bars_of_sizes_end_with_the_largest(largest: int, edges: list[int]) -> None:
    assert charts._size_edges(largest) == edges


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("two", [False, True])
def test_recall_equals_counting_pairs(seed: int, two: bool) -> None:
    random = np.random.default_rng(seed)
    sets = {f"p{n:02}": "b" if two and n % 3 == 0 else "a" for n in range(14)}
    rows = [row for row in random_rows(seed) if not two or sets[f"p{row[0]:02}"] != sets[f"p{row[1]:02}"]]
    named = {path: str(random.integers(0, 4)) for path in sets if random.random() < 0.8} | {"gone": "1"}
    graph = matches(rows).graph()
    # all images at distance 0 count as one, so copies have the distances of the first
    group = graph.groups({})
    stands = dict(zip(graph.paths.to_pylist(), group.representative.tolist(), strict=True))
    far = {(a, b): d for a, b, d in zip(group.a.tolist(), group.b.tolist(), group.distance.tolist(), strict=True)}

    def distance(x: str, y: str) -> float:
        if x not in stands or y not in stands:
            return np.inf
        a, b = sorted((stands[x], stands[y]))
        return 0.0 if a == b else far.get((a, b), np.inf)

    known = sorted(path for path in named if path in sets)
    compared = [(x, y) for x, y in itertools.combinations(known, 2) if not two or sets[x] != sets[y]]
    true = [distance(x, y) for x, y in compared if named[x] == named[y]]
    false = [distance(x, y) for x, y in compared if named[x] != named[y]]
    found = labels.recall(graph, named, sets, set(sets.values()) == {"a", "b"})
    assert (found.pairs, found.unknown) == (len(true), 1)
    assert found.false == sum(np.isfinite(false))
    for at, share in zip(found.distances.tolist(), found.share.tolist(), strict=True):
        assert share == pytest.approx(sum(each <= at for each in true) / len(true))
    assert found.distances.tolist() == sorted({each for each in true if np.isfinite(each)})


def test_labels_are_read_from_either_kind_of_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (tmp_path / "labels.csv").write_text("label,path\n1,a.png\n2,/x/b.png\n,c.png\n")
    pq.write_table(pa.table({"path": ["a.png", "/x/b.png"], "label": [1, 2]}), tmp_path / "labels.parquet")
    expected = {str(tmp_path / "a.png"): "1", "/x/b.png": "2"}
    for name in ("labels.csv", "labels.parquet"):
        assert labels.read(str(tmp_path / name)) == expected
    (tmp_path / "other.csv").write_text("file,label\na,b\n")
    with pytest.raises(ValueError, match="expected CSV or Parquet with the columns path, label"):
        labels.read(str(tmp_path / "other.csv"))
