"""The report: which results are shown, in which order, and that a name is only ever text."""

import functools
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from pipeline.machine import side_process
from pipeline.stage import Result
from stages import cluster, pairs, plot, scan, thumbnail
from stages.comparing.metrics.embedding import VECTOR_IDENTITY
from stages.comparing.metrics.hamming import HASHES
from stages.plot import Params
from stages.report import charts
from stages.report.drawing import ON_SHEET
from stages.report.previews import Previews
from stages.report.reads import DATES
from tests.in_memory import MemoryArtifact, MemoryJob, compute

COMPARISON_KEYS: dict[str, Any] = {
    "scan.trust": "mtime",
    "pairs.metric": "mse",
    "pairs.embedding": None,
    "pairs.embedding_distance": "squared",
    "pairs.normalize": "pixel",
    "pairs.threshold": 200.0,
    "pairs.rotations": True,
    "pairs.mirror": False,
    "pairs.exposure": "compare",
    "pairs.same": "any",
    "pairs.same_hash": "compare",
    "pairs.references": "compare",
    "pairs.identical": "all",
    "pairs.folders": "any",
    "pairs.folder_depth": 1,
    "cluster.threshold": None,
    "cluster.min_contrast": 0.0,
    "cluster.linkage": "components",
    "cluster.dismissed": (),
    "inputs.reference": (),
    "thumbnail.size": (8, 8),
    "thumbnail.channels": "rgb",
    "thumbnail.orientation": "exif",
    "thumbnail.colour": "srgb",
    "thumbnail.truncated": "reject",
    "thumbnail.plugins": (),
    "thumbnail.max_bytes": 1 << 28,
    "thumbnail.max_pixels": 500_000_000,
    "thumbnail.max_memory": 3 << 30,
    "thumbnail.timeout": 120.0,
}
HOSTILE = (
    b"<script>alert(1)</script>.jpg",
    b"\"'&onerror=alert(2).png",
    b"two\nlines <!--.png",
    "\U0001f9ca \u202egnp.png".encode(),
    b"no utf-8 \xff.png",
    b"{{ 7 * 7 }}{% for %} " + b"long " * 30 + b".png",
)
MSE = pairs.Params()
PICTURES = Params(pairs=50, clusters=50)
COLOURS = np.random.default_rng(1).integers(0, 256, (40, 3)).tolist()


def made(folder: Path, names: Sequence[bytes]) -> list[Path]:
    """Make a picture of one colour under each name, in path order."""
    paths = sorted((folder / os.fsdecode(name) for name in names), key=os.fsencode)
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        save(Image.new("RGB", (60 + number, 40), tuple(COLOURS[number])), path)
    return paths


def save(image: Image.Image, path: Path, kind: str = "PNG") -> None:
    with path.open("wb") as file:
        image.save(file, kind)


def shown(path: Path) -> str:
    """Return a path as artifacts hold it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def inputs(
    paths: Sequence[Path],
    rows: Sequence[tuple[int, int, float]] = (),
    groups: Sequence[Sequence[int]] = (),
    metric: pairs.Params = MSE,
) -> list[MemoryArtifact]:
    """Return artifacts of existing files: thumbnails from the real stage; matches and clusters by image number."""
    names = [shown(path) for path in paths]
    files = [
        {
            "path": name,
            "path_bytes": None if name.encode() == os.fsencode(path) else os.fsencode(path),
            "set": "a",
            "root": "/",
            "bytes": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
            "stamp": str(path.stat().st_mtime_ns),
            "partition": "p",
        }
        for name, path in zip(names, paths, strict=True)
    ]
    scanned = MemoryArtifact("scan", "p", pa.Table.from_pylist(files, scan.SCHEMA))
    small, _ = compute(thumbnail.STAGE, [scanned], thumbnail.Params(size=(8, 8)), COMPARISON_KEYS, Path())
    readable = small.rows_["path"].filter(pc.is_null(small.rows_["error"]))
    matches = [
        {
            "path_a": names[a],
            "path_b": names[b],
            metric.comparison.column: far,
            "rotation": 90,
            "turns": 2,
            "measured": far > 0,
        }
        for a, b, far in sorted(rows)
    ]
    members = [
        {
            "cluster": number,
            "path": names[image],
            "keeper": image == group[0],
            "rank": rank,
            "reason": None if rank else "more pixels",
            "reference": False,
            "dismissed": False,
            "size": len(group),
            "diameter": 9.0,
            "mse_to_keeper": float(image),
            "width": 60 + image,
            "height": 40,
            "bytes": files[image]["bytes"],
        }
        for number, group in enumerate(groups)
        for rank, image in enumerate([group[0], *sorted(group[1:])])
    ]
    spare = sum(row["bytes"] for row in members if not row["keeper"])
    total = len(paths) * (len(paths) - 1) // 2
    ledger = {"pairs_total": total, "decided": total, "skipped_by_rule": 0, "identical": 0, "matches": len(rows)}
    return [
        scanned,
        small,
        Streamed("pairs", "p.p", pa.Table.from_pylist(matches, pairs.schema(metric, {}.get)), ledger),
        MemoryArtifact(
            "cluster",
            "clusters",
            pa.Table.from_pylist(members, cluster.SCHEMA),
            {"count": len(groups), "images": len(members), "removable_bytes": spare},
        ),
        MemoryArtifact("index", "p", pa.table(dict.fromkeys(("path", *HASHES, VECTOR_IDENTITY), readable))),
    ]


class Streamed(MemoryArtifact):
    """A stream of matches, which may exceed the memory."""

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        pytest.fail("matches are read piece by piece")

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self.rows_.select(list(columns or self.rows_.schema.names)).to_batches(max_chunksize=7)


def drawn(
    artifacts: Sequence[MemoryArtifact], folder: Path, params: Params, **settings: Any
) -> tuple[MemoryArtifact, Result]:
    return compute(plot.STAGE, artifacts, params, COMPARISON_KEYS | settings, folder)


class Page(HTMLParser):
    """The elements of a page, their attributes, and the page's text."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.text = ""
        self.source = (folder / "report" / "index.html").read_text()
        self.feed(self.source)

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the data that the page's script reads."""
        return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', self.source)[0])

    @property
    def said(self) -> str:
        """Return the page's text without data, script and style."""
        return " ".join(re.sub(r"<[^>]+>", "", re.sub(r"(?s)<(script|style).*?</\1>", "", self.source)).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def outline(self) -> list[tuple[str, list[str]]]:
        """Return the elements and the names of their attributes, without `wbr`, of which each slash has one."""
        return [(tag, sorted(attributes)) for tag, attributes in self.elements if tag != "wbr"]

    def every(self, name: str) -> list[str]:
        """Return the values of one attribute, in page order."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


def subjects(artifact: MemoryArtifact, kind: str) -> list[str]:
    return [row["subject"] for row in artifact.rows_.to_pylist() if row["kind"] == kind]


def page_about(folder: Path, names: Sequence[bytes], unreadable: str) -> tuple[Page, list[Path]]:
    """Return the page about a cluster and matches of files with these names, and about a file that is not an image."""
    good = made(folder, names)
    (folder / unreadable).write_bytes(b"no image")
    paths = sorted([*good, folder / unreadable], key=os.fsencode)
    first, *others = (paths.index(path) for path in good)
    drawn(
        inputs(paths, [(first, n, 5.0 * n) for n in others], [[first, *others]]),
        folder / "run",
        PICTURES,
    )
    return Page(folder / "run"), paths


def test_names_are_shown_and_never_executed(tmp_path: Path) -> None:
    page, paths = page_about(tmp_path / "hostile", HOSTILE, "<img src=x onerror=alert(3)>.png")
    dull, _ = page_about(tmp_path / "dull", [b"sub/0.png", *(b"%d.png" % n for n in range(1, len(HOSTILE)))], "x.png")
    assert page.outline() == dull.outline()
    listed = [
        f"{page.data['folders'][n]}/{name}" for n, name in zip(page.data["folder"], page.data["name"], strict=True)
    ]
    assert [
        shown(path) for path in paths if shown(path) not in (page.text, *listed) and shown(path) not in page.text
    ] == []


def test_the_page_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    paths = made(tmp_path / "images", HOSTILE)
    artifact, result = drawn(inputs(paths, [(0, 1, 1.0), (2, 3, 2.0)], [[0, 1], [3, 2]]), tmp_path, Params(1, 50))
    page = Page(tmp_path)
    shown = {f"report/{unquote(source)}" for source in page.every("src") + page.every("srcset")}
    published = {str(path.relative_to(tmp_path)) for path in (tmp_path / "report").rglob("*") if path.is_file()}
    assert shown <= published | {f"report/{DATES}"}
    assert set(result.files) == published == set(artifact.rows_["file"].to_pylist())
    assert not re.search(r"https?:|//", "".join(page.every("src") + page.every("srcset")))
    assert not re.search(r"https?:", page.source)
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert [attributes["src"] for tag, attributes in page.elements if tag == "script" and "src" in attributes] == [
        DATES
    ]
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    assert result.summary == {
        kind: artifact.rows_["kind"].to_pylist().count(kind) for kind in set(artifact.rows_["kind"].to_pylist())
    }


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    artifacts = inputs(made(tmp_path / "images", HOSTILE), [(0, 1, 1.0), (1, 2, 7.5), (2, 3, 190.0)], [[0, 1, 2, 3]])
    runs = [drawn(artifacts, tmp_path / name, PICTURES) for name in ("one", "two")]
    assert runs[0][0].rows_ == runs[1][0].rows_
    assert runs[0][1].summary == runs[1][1].summary
    for name in runs[0][1].files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.quick(4)
@pytest.mark.parametrize("values", [9, 2, 1])
@pytest.mark.parametrize(("amount", "near", "far"), [(0, 0, 0), (1, 1, 1), (5, 5, 5), (17, 17, 13), ("all", 30, 0)])
def test_closest_and_farthest(tmp_path: Path, amount: int | str, near: int, far: int, values: int) -> None:
    """The closest and farthest matches of all pieces, none in both lists, ties by path."""
    paths = made(tmp_path / "images", [b"%02d.png" % number for number in range(12)])
    rows = [(a, b, float((a * 7 + b * 5) % values + 1)) for a in range(12) for b in range(a + 1, 12)][:30]
    scanned, small, whole, clusters, index = inputs(paths, rows)
    parts = [Streamed("pairs", "p.p", whole.rows_.slice(start, 10), {**whole.summary}) for start in (20, 0, 10)]
    artifact, _ = drawn([scanned, small, *parts, clusters, index], tmp_path, Params(amount, 0))
    name = list(map(str, paths))
    closest = [f"{name[a]} | {name[b]}" for a, b, _ in sorted(rows, key=lambda r: (r[2], r[0], r[1]))][:near]
    farthest = [f"{name[a]} | {name[b]}" for a, b, _ in sorted(rows, key=lambda r: (-r[2], r[0], r[1]))]
    farthest = [subject for subject in farthest if subject not in closest][:far]
    assert subjects(artifact, "closest") == closest
    assert subjects(artifact, "farthest") == farthest


def test_identical_thumbnails_are_not_drawn_side_by_side(tmp_path: Path) -> None:
    """Pairs at distance 0 are drawn if `same_hash: zero` recorded them unmeasured, or by another metric: images may
    differ."""
    paths = made(tmp_path / "images", [b"%d.png" % number for number in range(4)])
    rows = [(0, 1, 0.0), (0, 2, 3.0), (1, 2, 3.0), (0, 3, 0.0)]
    scanned, small, found, clusters, index = inputs(paths, rows)
    measured = found.rows_.set_column(5, "measured", pa.array([True, True, False, True]))
    assert measured.column_names == found.rows_.column_names
    identical = Streamed("pairs", "p.p", measured, found.summary)
    artifact, _ = drawn([scanned, small, identical, clusters, index], tmp_path, PICTURES)
    name = list(map(str, paths))
    assert subjects(artifact, "closest") == [f"{name[a]} | {name[b]}" for a, b in [(0, 3), (0, 2), (1, 2)]]
    assert "leave out pairs of identical thumbnails (MSE 0)" in Page(tmp_path).said
    hamming = inputs(paths, [(0, 1, 0.0)], metric=pairs.Params(metric="hamming", threshold=3.0))
    artifact, _ = drawn(hamming, tmp_path, PICTURES, **{"pairs.metric": "hamming"})
    assert subjects(artifact, "closest") == [f"{name[0]} | {name[1]}"]


def test_without_a_threshold_only_pairs_that_form_clusters_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pair is recorded and counted; only the pairs that form clusters are shown."""
    told: list[Any] = []
    monkeypatch.setattr(
        charts, "histogram", lambda *arguments: told.append(arguments) or charts.plain(1, 1, left=0.1)[0]
    )
    monkeypatch.setattr(side_process, "submit", functools.partial)
    paths = made(tmp_path / "images", [b"%d.png" % number for number in range(4)])
    rows = [(0, 1, 0.0), (0, 2, 50.0), (0, 3, 50.5), (1, 2, 9000.0)]
    artifacts = inputs(paths, rows, [[0, 1, 2]])
    artifact, _ = drawn(artifacts, tmp_path, PICTURES, **{"pairs.threshold": None, "cluster.threshold": 50.0})
    assert len(subjects(artifact, "closest") + subjects(artifact, "farthest")) == 2
    counts, edges = told[0][:2]
    assert (sum(counts), counts[-1], edges[0], edges[-1]) == (4, 1, 0.0, 9000.0)
    drawn(inputs(paths, [(0, 1, 0.0), (0, 2, 200.0)]), tmp_path, PICTURES)
    counts, edges = told[-1][:2]
    assert (sum(counts), counts[0], counts[-1], edges[-1]) == (2, 1, 1, 200.0)
    drawn(inputs(paths, [(0, 1, 30.0)]), tmp_path, PICTURES)
    assert told[-1][1][-1] == 200.0


def test_the_figures_at_the_head_name_their_units(tmp_path: Path) -> None:
    paths = made(tmp_path / "images", [b"%d.png" % number for number in range(4)])
    artifacts = inputs(paths, [(0, 1, 0.0), (0, 2, 150.0)], [[0, 1, 2]])

    def head(ledger: Mapping[str, int], **settings: Any) -> str:
        artifacts[2] = Streamed("pairs", "p.p", artifacts[2].rows_, ledger)
        drawn(artifacts, tmp_path, Params(0, 0), **settings)
        return " ".join(Page(tmp_path).text.split())

    plain = {"pairs_total": 6, "decided": 6, "skipped_by_rule": 0, "identical": 0, "matches": 2}
    text = head(plain)
    assert "pairs compared6all pairs" in text
    assert "matches2MSE up to 200" in text
    assert "rows of the pairs table" not in text
    text = head(plain | {"decided": 3, "skipped_by_rule": 2, "identical": 1, "matches": 3})
    assert "pairs compared42 skipped by rule" in text
    assert "The pairs table has 2 rows for 3 pairs" in text
    text = head(plain | {"matches": 6}, **{"pairs.threshold": None, "cluster.threshold": 150.0})
    assert "pairs recorded6clusters up to MSE 150" in text
    assert "up to 200" not in text
    text = head(plain, **{"cluster.threshold": 150.0})
    assert "matches2MSE up to 200" in text
    assert "with 3 images, up to 150" in text


@pytest.mark.parametrize(
    ("settings", "about", "shown"),
    [
        ({"pairs.metric": "hamming", "pairs.threshold": 10.0}, "bits in which hashes differ", ["0", "7"]),
        (
            {"pairs.metric": "embedding", "pairs.embedding": "my:net", "pairs.embedding_distance": "cosine"},
            "cosine distance of vectors by my:net",
            ["0.0123", "1,235"],
        ),
        ({"pairs.metric": "my:own"}, "distance by my:own", ["0", "0.000123", "12.3"]),
    ],
)
def test_another_metric_is_called_distance(
    tmp_path: Path, settings: dict[str, Any], about: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "MSE" is used for thumbnails in clusters only; other distances have as many digits as needed."""
    told: list[Any] = []
    monkeypatch.setattr(
        charts, "histogram", lambda *arguments: told.append(arguments) or charts.plain(1, 1, left=0.1)[0]
    )
    monkeypatch.setattr(side_process, "submit", functools.partial)
    values = {"0": 0.0, "7": 7.0, "0.0123": 0.012345, "1,235": 1234.6, "0.000123": 0.00012345, "12.3": 12.345}
    paths = made(tmp_path / "images", [b"%d.png" % number for number in range(4)])
    rows = [(0, n, values[text]) for n, text in enumerate(shown, start=1)]
    limit = {"pairs.threshold": 2000.0} | settings
    artifacts = inputs(paths, rows, [[0, 1]], pairs.Params(metric="hamming", threshold=1.0))
    artifact, _ = drawn(artifacts, tmp_path, PICTURES, **limit)
    page = Page(tmp_path)
    assert [text for text in shown if f"distance {text}" not in " ".join(page.text.split())] == []
    assert f"distance up to {limit['pairs.threshold']:g}" in page.text
    assert "MSE" not in page.said
    assert "mean squared error" not in page.source
    assert about in page.source
    assert {arguments[3] for arguments in told} == {about}
    assert set(subjects(artifact, "histogram")) == {"distance of the recorded pairs"}
    assert plot.reads(Params(pairs=50, clusters=50), (COMPARISON_KEYS | limit).__getitem__)["pairs"][2] == "distance"


@pytest.mark.parametrize(("threshold", "bars"), [(10.0, 11), (2.5, 3), (0.0, 1), (59.0, 60), (120.0, 60), (None, 8)])
def test_bits_have_a_bar_each(
    tmp_path: Path, threshold: float | None, bars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(
        charts, "histogram", lambda *arguments: told.append(arguments) or charts.plain(1, 1, left=0.1)[0]
    )
    monkeypatch.setattr(side_process, "submit", functools.partial)
    paths = made(tmp_path / "images", [b"%d.png" % number for number in range(4)])
    top = 7.0 if threshold is None else float(int(threshold))
    rows = [(0, 1, 0.0), (0, 2, top), (0, 3, top)]
    settings = {"pairs.metric": "hamming", "pairs.threshold": threshold, "cluster.threshold": 3.0}
    artifacts = inputs(paths, rows, [], pairs.Params(metric="hamming", threshold=1.0))
    drawn(artifacts, tmp_path, Params(0, 0), **settings)
    counts, edges = told[0][:2]
    assert (len(counts), len(edges)) == (bars, bars + 1)
    assert (counts[0], counts[-1]) == ((1, 2) if bars > 1 else (3, 3))


@pytest.mark.parametrize("threshold", [200.0, None, 0.0])
def test_nothing_found(tmp_path: Path, threshold: float | None) -> None:
    artifacts = inputs(made(tmp_path / "images", [b"one.png"]))
    settings = {"pairs.threshold": threshold, "cluster.threshold": 100.0 if threshold is None else None}
    for params in (Params(pairs=50, clusters=50), Params(0, 0), Params("all", "all")):
        artifact, _ = drawn(artifacts, tmp_path, params, **settings)
        assert set(artifact.rows_["kind"].to_pylist()) == {"histogram", "page", "table"}


def test_clusters_that_hold_most_come_first(tmp_path: Path) -> None:
    """Previews in page order: clusters by the bytes of their duplicates, each with its keeper first."""
    paths = made(tmp_path / "images", [b"%02d.png" % number for number in range(8)])
    save(Image.new("RGB", (66, 40)), paths[6], "BMP")  # by far the largest file
    artifacts = inputs(paths, (), [[0, 1], [4, 2, 6], [7, 3, 5]])
    artifact, _ = drawn(artifacts, tmp_path, Params(0, 2))
    page = Page(tmp_path)
    assert page.data["name"] == [paths[n].name for n in (4, 2, 6, 7, 3, 5, 0, 1)]
    assert page.data["clusters"] == [3, 3, 2]
    assert sorted(subjects(artifact, "cluster")) == ["cluster 1", "cluster 2"]
    (tmp_path / "none").mkdir()
    artifact, _ = drawn(artifacts, tmp_path / "none", Params(0, 0, 6, 4))
    assert (subjects(artifact, "cluster"), len(subjects(artifact, "preview"))) == ([], 4)
    assert Page(tmp_path / "none").data["clusters"] == [3, 3], "whole clusters"
    drawn(artifacts, tmp_path / "none", Params(0, 0, 2))
    assert Page(tmp_path / "none").data["clusters"] == [2], "but for the first one"


@pytest.mark.slow
def test_a_large_cluster_says_how_many_more(tmp_path: Path) -> None:
    count = ON_SHEET + 5
    paths = made(tmp_path / "images", [b"%02d.png" % number for number in range(count)])
    artifact, _ = drawn(inputs(paths, (), [range(count)]), tmp_path, PICTURES)
    assert len(subjects(artifact, "preview")) == count
    assert artifact.rows_["kind"].to_pylist().count("cluster") == 1


def test_several_previews_are_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write to an object store takes time."""
    paths, publish, together = (
        made(tmp_path / "images", HOSTILE[:4]),
        MemoryJob.publish,
        threading.Barrier(4, timeout=20),
    )

    def slow(job: MemoryJob, name: str, data: bytes) -> str:
        if "/images/" in name:
            together.wait()
        return publish(job, name, data)

    monkeypatch.setattr(MemoryJob, "publish", slow)
    artifact, _ = drawn(inputs(paths, [(0, 1, 1.0), (2, 3, 2.0)], [[0, 1], [3, 2]]), tmp_path, Params(0, 0))
    assert len(subjects(artifact, "preview")) == 4


@pytest.mark.parametrize("how", ["gone", "changed", "broken"])
def test_a_changed_file_is_shown_by_its_thumbnail(tmp_path: Path, how: str) -> None:
    paths = made(tmp_path / "images", [b"a.png", b"b.png"])
    artifacts = inputs(paths, [(0, 1, 1.0)], [[0, 1]])
    original = paths[1]
    if how == "gone":
        original.unlink()
    elif how == "changed":
        size = original.stat().st_size
        other = BytesIO()
        Image.new("RGB", (61, 40), "red").save(other, "PNG")
        original.write_bytes(other.getvalue()[:size].ljust(size, b"\0"))
    else:
        original.write_bytes(bytes(original.stat().st_size))
    artifact, _ = drawn(artifacts, tmp_path, PICTURES)
    file = next(
        r["file"] for r in artifact.rows_.to_pylist() if (r["kind"], r["subject"]) == ("preview", str(original))
    )
    with Image.open(tmp_path / file) as preview:
        assert preview.size == (320, 210)
        assert np.abs(np.asarray(preview, np.int64) - COLOURS[1]).max() < 12


def test_an_image_beyond_the_limits_is_shown_by_its_thumbnail(tmp_path: Path) -> None:
    artifacts = inputs(made(tmp_path / "images", [b"a.png", b"b.png"]), [(0, 1, 1.0)], [[0, 1]])
    drawn(artifacts, tmp_path, Params(0, 0), **{"thumbnail.max_pixels": 60 * 40 - 1})
    assert Page(tmp_path).data["preview"] == [2, 2]


def test_identical_bytes_that_were_decoded_differently_have_previews_of_their_own() -> None:
    def shown(order: Sequence[str]) -> dict[str, Any]:
        published: dict[str, bytes] = {}

        class Shown:
            facts: ClassVar = {
                path: {"digest": "d" * 64, "format": "RAW" if path.endswith("nef") else "TIFF"} for path in order
            }
            how = "as it is"

            def seen(self, path: str) -> tuple[Image.Image, bool]:
                return Image.new("RGB", (9, 9), "red" if path.endswith("nef") else "blue"), True

        class Job:
            adopt = staticmethod(lambda _: False)
            spare_core = staticmethod(lambda: None)
            publish = staticmethod(published.__setitem__)

        previews = Previews(Shown(), Job())  # type: ignore[arg-type]
        names = dict(previews.make(order))
        assert {f"report/{name}" for name in names} == published.keys()
        return {path: (previews.kind(path), published) for path in order}

    order = ["a.nef", "b.tif", "c.nef", "d.tif"]
    found, reverse = shown(order), shown(order[::-1])
    assert found == reverse
    assert {path: kind for path, (kind, _) in found.items()} == {"a.nef": 3, "b.tif": 1, "c.nef": 3, "d.tif": 1}


def test_files_whose_names_are_no_utf8_are_opened(tmp_path: Path) -> None:
    """The left half is black: only the original is sharp at the edge, not the blurred thumbnail."""
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    image = Image.new("RGB", (320, 320), "white")
    image.paste("black", (0, 0, 150, 320))
    save(image, path)
    artifact, _ = drawn(inputs([path], (), [[0]]), tmp_path, PICTURES)
    (row,) = [row for row in artifact.rows_.to_pylist() if row["kind"] == "preview"]
    assert Page(tmp_path).data["odd"] == {"0": os.fsencode(path).hex()}
    with Image.open(tmp_path / row["file"]) as preview:
        line = np.asarray(preview.convert("L"), np.int64)[160]
    assert line[:146].max() < 40
    assert line[154:].min() > 215


def test_settings_that_do_not_change_the_page_are_not_read(tmp_path: Path) -> None:
    """The stage declares every setting that `compute` reads: otherwise a changed setting would leave an old page."""
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    artifacts = inputs(made(tmp_path / "images", HOSTILE), [(0, 1, 3.0)], [[0, 1]])
    compute(plot.STAGE, artifacts, PICTURES, Watched(COMPARISON_KEYS), tmp_path)
    assert read <= {*plot.USES, *plot.STAGE.cache_key.limits}
