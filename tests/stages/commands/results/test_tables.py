"""Results as DataFrames, from runs of the whole pipeline on small folders; and the demo's images."""

import json
import os
import shutil
from collections.abc import Callable
from io import StringIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from pipeline import load_run
from pipeline.messages.errors import ConfigError
from pipeline.store.artifact import Record, artifact_name
from pipeline.store.store import Store
from stages.commands.demo import images as demo
from stages.commands.results.tables import Results
from stages.comparing.metrics.hamming import HASHES
from stages.decoding.decode import decode
from stages.decoding.options import DecodeOptions
from tests.end_to_end.driver import LONG_AGO, Project, make_image

ODD = "b'ad \U0001f9ca <i>.jpg"


def save(image: Image.Image, path: Path) -> None:
    image.save(path)
    os.utime(path, (LONG_AGO, LONG_AGO))


def loaded(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def fill(folder: Path, prefix: str = "") -> None:
    """Make scenes with exact and turned copies in several partitions, a near-duplicate, and two unreadable files."""
    folder.mkdir(parents=True)
    for seed in range(4):
        scene = Image.open(make_image(folder / f"{prefix}{seed}0-scene.png", seed, (64, 64)))
        for turn in range(4):
            for number in range(1 + (seed + turn) % 3):
                save(
                    scene.rotate(90 * turn),
                    folder / f"{prefix}{(seed * 7 + turn * 3 + number * 5) % 10}{seed}{turn}{number}.png",
                )
        if seed < 2:
            save(scene.point(lambda value: min(255, value + 6)), folder / f"{prefix}{9 - seed}-near.png")
    half_turn = Image.open(make_image(folder / f"{prefix}5-half.png", 77, (64, 32)))
    both = Image.new("RGB", (64, 64))
    both.paste(half_turn, (0, 0))
    both.paste(half_turn.rotate(180), (0, 32))
    for number in range(3):
        save(both.rotate(90 * number), folder / f"{prefix}5-half {number}.png")
    (folder / f"{prefix}{ODD}").write_bytes(b"no image")
    (folder / f"{prefix}cut.jpg").write_bytes(make_image(folder / f"{prefix}whole.jpg", 99).read_bytes()[:900])


def finished(folder: Path, **config: object) -> Project:
    small = {"partition": {"images": 4, "block": 12}, "plot": {"pairs": 0, "clusters": 0}}
    project = Project(folder, small | config)
    assert project.run() == 0
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("results")
    fill(folder / "images")
    return finished(folder)


def test_images(project: Project) -> None:
    images = load_run(project.run_folder).images()
    files = sorted((project.folder / "images").iterdir(), key=lambda path: str(path).encode())
    assert images["path"].tolist() == list(map(str, files))
    assert {"set", "digest", "format", "mode", "contrast", "root"} <= set(images)
    assert not {"thumbnail", "coarse"} & set(images)
    for row, file in zip(images.itertuples(), files, strict=True):
        assert (row.bytes, row.mtime_ns) == (file.stat().st_size, file.stat().st_mtime_ns)
        if pd.isna(row.error):
            with Image.open(file) as image:
                assert (row.width, row.height) == image.size
    assert images["partition"].nunique() > 2
    failures = load_run(project.run_folder).failures()
    assert [Path(path).name for path in failures["path"]] == [ODD, "cut.jpg"]
    assert failures["error"].tolist() == ["not-an-image", "truncated"]
    assert images.loc[images["error"].notna(), "path"].tolist() == failures["path"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sets", "same_hash", "rotations"),
    [
        ("a", "compare", True),
        ("ab", "compare", True),
        ("a", "compare", False),
        ("ab", "zero", True),
        ("a", "skip", True),
    ],
)
def test_groups_expand_to_every_pair(tmp_path: Path, sets: str, same_hash: str, rotations: bool) -> None:
    """Rows that `identical: group` represents equal the rows that `identical: all` records, to the last bit."""
    for name, prefix in (("a", "m"), ("b", "f")):
        fill(tmp_path / name, prefix)
    # With one set, its two folders are roots; with two sets, paths of b come before paths of a.
    inputs = {"a": [str(tmp_path / "b"), str(tmp_path / "a")]} if sets == "a" else {"a": [str(tmp_path / "b")]}
    inputs |= {"b": [str(tmp_path / "a")]} if sets == "ab" else {}
    project = finished(tmp_path, inputs=inputs, pairs={"rotations": rotations, "same_hash": same_hash})
    grouped = load_run(project.run_folder).pairs()
    expanded = load_run(project.run_folder).pairs(expand=True)
    matches = project.record()["ledger"]["matches"]
    assert project.run("pairs.identical=all") == 0
    whole = load_run(project.run_folder).pairs()
    assert len(whole) == matches == project.record()["ledger"]["matches"]
    pd.testing.assert_frame_equal(expanded, whole)
    pd.testing.assert_frame_equal(load_run(project.run_folder).pairs(expand=True), whole)
    assert len(grouped) < len(whole) or same_hash == "skip"
    assert whole["mse"].is_monotonic_increasing
    assert whole["measured"].all() == (same_hash != "zero")


@pytest.mark.slow
def test_hash_clusters(project: Project) -> None:
    """The reference joins every two images whose hashes are equal, one pair after another."""
    hashes = pd.concat(map(pd.read_parquet, (project.run_folder / "hash").glob("*.parquet")))
    turns = {
        row.path: (row.hash_0, {row.hash_0, row.hash_90, row.hash_180, row.hash_270}) for row in hashes.itertuples()
    }
    for rotations in (False, True):
        cluster = {path: {path} for path in turns}
        for a, b in combinations(turns, 2):
            agree = turns[a][0] == turns[b][0]
            if agree or (rotations and (turns[a][0] in turns[b][1] or turns[b][0] in turns[a][1])):
                joined = cluster[a] | cluster[b]
                cluster.update(dict.fromkeys(joined, joined))
        expected = sorted({tuple(sorted(group)) for group in cluster.values() if len(group) > 1})
        assert project.run(f"pairs.rotations={str(rotations).lower()}") == 0
        found = load_run(project.run_folder).hash_clusters()
        assert [tuple(group["path"]) for _, group in found.groupby("cluster")] == expected
        assert found["cluster"].tolist() == [n for n, group in enumerate(expected) for _ in group]
        assert all(turns[row.path][0] == row.hash_0 for row in found.itertuples())


def test_equal_turned_hashes_alone_join_no_images(tmp_path: Path) -> None:
    """Two images with an equal turned hash match only if one of the two has this hash unturned."""
    config = {"inputs": {}, "thumbnail": {}, "cluster": {}, "pairs": {"rotations": True}}
    (tmp_path / "run.json").write_text(json.dumps({"config": config, "stages": {"cluster": {}}}))
    hashes = {"x": "pqqq", "y": "rqqq", "z": "stuv", "w": "wwww", "v": "vstu"}
    for others, expected in (({}, ["v", "z"]), ({"q": "qqqq"}, ["q", "x", "y", "v", "z"])):
        rows = [{"path": path, **dict(zip(HASHES, turns, strict=True))} for path, turns in (hashes | others).items()]
        table = pa.Table.from_pylist(rows)
        Store(tmp_path).publish(
            artifact_name("part", "0" * 64), Record("hash", "part", "0" * 64, {}, {}), table.schema, [table]
        )
        found = Results(tmp_path).hash_clusters()
        assert found["path"].tolist() == expected


@pytest.mark.parametrize("section", ["inputs", "thumbnail", "pairs", "cluster"])
def test_a_run_without_a_section_of_its_config_is_damaged(section: str, project: Project, tmp_path: Path) -> None:
    record = json.loads((project.run_folder / "run.json").read_text())
    del record["config"][section]
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"run\.json is damaged"):
        _ = Results(tmp_path).summary


def test_ledger_and_clusters(project: Project) -> None:
    run = load_run(project.run_folder)
    ledger = run.ledger()
    blocks = sorted(set(ledger["block_a"]))
    assert len(ledger) == len(blocks) * (len(blocks) + 1) // 2 > 1
    assert ledger.sum(numeric_only=True).to_dict() == json.loads((run.folder / "run.json").read_text())["ledger"]
    clusters = run.clusters()
    assert clusters.groupby("cluster")["keeper"].sum().eq(1).all()
    assert clusters.groupby("cluster")["keeper"].first().all()
    images = run.images().set_index("path")
    for name in ("width", "height", "bytes"):
        assert clusters[name].tolist() == images.loc[clusters["path"], name].tolist()


def test_a_config_stands_for_its_run(project: Project) -> None:
    assert load_run(project.yaml).folder == load_run(str(project.run_folder)).folder


def test_files_that_begin_with_a_dot_are_no_results(project: Project) -> None:
    run = load_run(project.run_folder)
    before = run.pairs()
    artifact = next((run.folder / "pairs").glob("*.parquet"))
    hidden = artifact.with_name(f".{artifact.name}")
    hidden.write_bytes(b"half written")
    try:
        pd.testing.assert_frame_equal(run.pairs(), before)
        assert len(run.ledger()) > 0
    finally:
        hidden.unlink()


READ: list[Callable[[object], object]] = [
    lambda run: run.images(),
    lambda run: run.pairs(),
    lambda run: run.pairs(expand=True),
    lambda run: run.clusters(),
    lambda run: run.hash_clusters(),
    lambda run: run.ledger(),
    lambda run: run.failures(),
]


def test_missing_results_are_one_clear_line(tmp_path: Path, project: Project) -> None:
    with pytest.raises(ConfigError, match=r"no run"):
        load_run(tmp_path)
    with pytest.raises(ConfigError, match=r"is not a run folder"):
        load_run(tmp_path / "missing")
    (tmp_path / "run.json").write_bytes((project.run_folder / "run.json").read_bytes())
    for read in READ:
        with pytest.raises(ConfigError, match=r"^\S+ has no \w+ yet; run `fast-diff run` .*$"):
            read(load_run(tmp_path))


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("pairs", b'"matches": ', b'"matches":1'),  # the ledger, in the footer
        ("cluster", b"keeper", b"kee\xffer"),
        ("cluster", b"mse_to_keeper", b"mse_to_keepes"),
        ("cluster", b"rank", b"ranl"),
    ],
)
def test_values_that_do_not_match_their_digest_are_damage(
    project: Project, tmp_path: Path, stage: str, old: bytes, new: bytes
) -> None:
    run = Path(shutil.copytree(project.run_folder, tmp_path / "run"))
    path = sorted((run / stage).glob("*.parquet"))[0]
    before = path.read_bytes()
    path.write_bytes(before.replace(old, new))
    assert path.read_bytes() != before
    read = READ[5] if stage == "pairs" else READ[3]
    with pytest.raises(ConfigError, match=r"^\S+ is damaged; delete it, and the next run makes it again$"):
        read(load_run(run))


def thumbnail(path: Path) -> np.ndarray:
    data, _ = decode(path.read_bytes(), DecodeOptions((64, 64), "RGB", True, (255,) * 3, True, 1 << 28, 10**8, "mtime"))
    return np.frombuffer(data, np.uint8).reshape(64, 64, 3)


def test_the_demo_knows_its_duplicates(tmp_path: Path) -> None:
    """Files of one scene match and files of two scenes do not, both far from the threshold; a second call gives the
    same."""
    made = demo.make_images(tmp_path / "demo")
    stamps = [path.stat().st_mtime_ns for paths in made.values() for path in paths]
    assert demo.make_images(tmp_path / "demo") == made
    assert [path.stat().st_mtime_ns for paths in made.values() for path in paths] == stamps
    pictures = [(scene, thumbnail(path)) for scene, paths in made.items() for path in paths]
    for (scene, a), (other, b) in combinations(pictures, 2):
        mse = min(np.square(a.astype(int) - np.rot90(b, turn)).sum() for turn in range(4)) / 64**2
        assert mse < 100 if scene == other else mse > 400, (scene, other, mse)
    assert len([paths for paths in made.values() if len(paths) > 1]) >= 5


def test_the_demo_writes_into_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"was not made by the demo"):
        demo.make_images(tmp_path)
    with pytest.raises(ConfigError, match=r"was not made by the demo"):
        demo.make_images(tmp_path / "holiday.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_files_of_other_people_are_no_results(project: Project, tmp_path: Path) -> None:
    run = Path(shutil.copytree(project.run_folder, tmp_path / "run"))
    before = [getattr(load_run(run), name)() for name in ("images", "pairs", "clusters", "hashes", "ledger")]
    for stage in ("scan", "thumbnail", "hash", "pairs", "cluster", "index"):
        pq.write_table(pa.table({"mine": [1]}), run / stage / "mine.parquet")
    after = [getattr(load_run(run), name)() for name in ("images", "pairs", "clusters", "hashes", "ledger")]
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


@pytest.mark.slow
def test_the_demo_shows_names_as_they_are(project: Project) -> None:
    said = StringIO()
    demo.show(load_run(project.run_folder), Console(file=said, width=140))
    assert f"{ODD}: " in said.getvalue()
    assert "index.html" in said.getvalue()
    names = [Path(path).name for path in load_run(project.run_folder).clusters()["path"]]
    assert [name for name in names if name not in said.getvalue()] == []
