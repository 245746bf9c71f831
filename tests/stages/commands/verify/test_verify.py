"""`fast-diff verify` on real small runs, sound ones and ones in which a single thing is not true.

What is spoilt is written with a footer that agrees with it, and with the content digests as they were: to `fast-diff
run` nothing has happened."""

import ast
import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from itertools import combinations, pairwise, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cli.main import main
from stages.commands.verify import nearest, verify
from stages.commands.verify.recount import agreeing
from tests.end_to_end.driver import Project, make_image
from tests.stages.commands.results.test_tables import fill, save

Report = dict[str, Any]
SMALL = {"size": [16, 16]}
ODD_HASH = {"function": "tests.stages.reference:corner", "shift": 0}
"""Hash for which two images may agree in one turn, but not the other way round."""
PHASH = {"function": "imagehash:phash", "takes": "image", "shift": 0}
HAMMING = {"metric": "hamming", "threshold": 10}
EMBEDDING = {"metric": "embedding", "embedding": f"{__name__}:cells", "threshold": 2000.0}
COSINE = EMBEDDING | {"threshold": 0.01, "embedding_distance": "cosine"}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "all rows": {"pairs": {"identical": "all"}},
    "no turns": {"pairs": {"rotations": False, "normalize": "value"}, "thumbnail": {"size": [18, 13]}},
    "dimensions": {"pairs": {"same": "dimensions"}},
    "aspect": {"pairs": {"same": "aspect", "rotations": False}},
    "zero": {"pairs": {"same_hash": "zero"}},
    "zero, no turns": {"pairs": {"same_hash": "zero", "rotations": False, "same": "dimensions"}},
    "skip": {"pairs": {"same_hash": "skip", "same": "aspect"}},
    "mirror": {"pairs": {"mirror": True}},
    "mirror, no turns": {"pairs": {"mirror": True, "rotations": False}, "thumbnail": {"size": [18, 13]}},
    "mirror, zero": {"pairs": {"mirror": True, "same_hash": "zero"}, "hash": ODD_HASH},
    "exposure": {"pairs": {"exposure": "ignore"}, "cluster": {"linkage": "complete"}},
    "exposure, no turns": {
        "pairs": {"exposure": "ignore", "mirror": True, "rotations": False, "normalize": "value", "same_hash": "zero"},
        "thumbnail": {"size": [18, 13]},
    },
    "skip, all rows": {"pairs": {"same_hash": "skip", "identical": "all"}},
    "zero, a hash that says little": {"pairs": {"same_hash": "zero"}, "hash": ODD_HASH},
    "skip, a hash that says little": {"pairs": {"same_hash": "skip"}, "hash": ODD_HASH},
    "every pair": {"pairs": {"threshold": None}, "cluster": {"threshold": 200.0}},
    "identical ones": {"pairs": {"threshold": 0.0}, "thumbnail": {"size": [16, 16], "channels": "grey"}},
    "tighter clusters": {"cluster": {"threshold": 5.0}},
    "across folders": {"pairs": {"folders": "across", "same": "aspect"}},
    "across folders, skip": {"pairs": {"folders": "across", "same_hash": "skip", "folder_depth": 2}, "hash": ODD_HASH},
    "within folders": {"pairs": {"folders": "within", "same": "aspect", "same_hash": "zero"}},
    "complete": {"cluster": {"linkage": "complete"}},
    "star": {"cluster": {"linkage": "star"}, "pairs": {"same_hash": "zero"}},
    "hashes": {"pairs": HAMMING, "hash": PHASH},
    "hashes, no turns": {"pairs": HAMMING | {"rotations": False}, "hash": PHASH},
    "hashes, mirror": {"pairs": HAMMING | {"mirror": True}, "hash": PHASH},
    "hashes, all rows": {"pairs": HAMMING | {"identical": "all", "same": "aspect"}, "hash": PHASH},
    "hashes, zero": {"pairs": HAMMING | {"same_hash": "zero", "mirror": True}, "hash": PHASH},
    "hashes, skip": {"pairs": HAMMING | {"same_hash": "skip"}, "hash": PHASH},
    "hashes, star": {"pairs": HAMMING, "hash": PHASH, "cluster": {"linkage": "star"}},
    "hashes, complete": {"pairs": HAMMING, "hash": PHASH, "cluster": {"linkage": "complete"}},
    "vectors": {"pairs": EMBEDDING},
    "vectors, mirror": {"pairs": COSINE | {"mirror": True}},
    "vectors, mirror, no turns": {"pairs": EMBEDDING | {"mirror": True, "rotations": False}},
    "vectors, all rows": {"pairs": COSINE | {"identical": "all"}},
    "vectors, folders": {"pairs": EMBEDDING | {"folders": "across", "same_hash": "skip"}},
}


def cells(images: np.ndarray) -> np.ndarray:
    """Return the mean colours of an image's top and left quarters; a turn gives other vectors."""
    quarter = images.shape[1] // 4
    found = np.concatenate([images[:, :quarter].mean(axis=(1, 2)), images[:, :, :quarter].mean(axis=(1, 2))], axis=1)
    return np.concatenate([found, images[:, 0, 0]], axis=1).astype(np.float32)


def finished(folder: Path, sets: str, config: dict[str, Any]) -> Project:
    for name in sets:
        prefix = {"a": "m", "b": "f"}[name]
        fill(folder / name, prefix)
        with Image.open(folder / name / f"{prefix}20-scene.png") as scene:
            for number, size in enumerate([(128, 64), (64, 128), (96, 48), (128, 128)]):
                save(scene.resize(size), folder / name / f"{prefix}{2 * number}-size.png")
        for number, path in (
            enumerate(sorted((folder / name).iterdir())) if "folders" in config.get("pairs", {}) else ()
        ):
            place = path.parent / ("", "one", "one/inner", "two")[number % 4] / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    small = {
        "inputs": {name: [str(folder / name)] for name in sets},
        "partition": {"images": 5, "block": 14},
        "plot": {"pairs": 0, "clusters": 0},
        "thumbnail": SMALL,
        "hash": {"shift": 7},  # few different hashes, so that different images agree, too
    }
    project = Project(folder, small | config)
    assert project.run() == 0
    return project


def verified(folder: Path, *options: str) -> tuple[int, Report]:
    code = main(["verify", str(folder), "--quiet", *options])
    return code, json.loads((folder / "verify.json").read_text())


TWO_SETS = (
    "default",
    "all rows",
    "zero, no turns",
    "skip, a hash that says little",
    "every pair",
    "across folders",
    "hashes, mirror",
    "vectors",
)
"""Variants that are also checked with two sets; the other variants do not depend on the number of sets."""


@pytest.mark.quick(1)
@pytest.mark.parametrize(("variant", "sets"), [*product(VARIANTS, ["a"]), *product(TWO_SETS, ["ab"])])
def test_a_sound_run_is_all_right(tmp_path: Path, variant: str, sets: str) -> None:
    project = finished(tmp_path, sets, VARIANTS[variant])
    code, report = verified(project.run_folder)
    checks = report["checks"]
    assert {name: check["offenders"] for name, check in checks.items() if check["wrong"]} == {}
    assert (code, report["ok"]) == (0, True)
    record = project.record()
    assert checks["ledger"]["ledger"] == record["ledger"]
    pairs = record["ledger"]["pairs_total"]
    assert checks["random"]["counted"] == pairs > 300
    counted = {name: check["counted"] for name, check in checks.items()}
    assert min(counted[name] for name in ("matches", "ledger", "clusters")) > 0
    if variant == "every pair":
        assert record["ledger"]["matches"] == pairs
        assert counted["nearest"] == 0
    else:
        below, above = (checks["nearest"]["nearest_to_threshold"][side] for side in ("below", "above"))
        assert below is not None or variant == "identical ones"
        assert above is not None
        assert checks["nearest"]["looked_up"] > record["ledger"]["matches"] // 2


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run. Blocks are cut by hashes of paths: sometimes no three copies of an image share a block."""
    for _ in range(20):
        folder = finished(tmp_path_factory.mktemp("verify"), "a", {}).run_folder
        with contextlib.suppress(LookupError):
            copies_of_one(folder)
            return folder
    raise AssertionError("no three copies in a block, wherever the run lies")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """Return a copy of a run, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "run"))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table], **ledger: int) -> None:
    """Change the rows of an artifact and its ledger accordingly; keep the rest of the footer."""
    with pq.ParquetFile(path) as file:
        table, record = file.read().replace_schema_metadata(None), json.loads(file.metadata.metadata[b"fast-diff"])
    table = change(table)
    record["rows"] = len(table)
    record["summary"] |= {name: record["summary"][name] + by for name, by in ledger.items()}
    text = json.dumps(record, sort_keys=True).encode()
    with pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"fast-diff": text, "fast-diff-digest": hashlib.sha256(text).hexdigest()})


def rewrite_run(folder: Path, section: str, **by: int) -> None:
    record = json.loads((folder / "run.json").read_text())
    record[section] |= {name: record[section][name] + more for name, more in by.items()}
    (folder / "run.json").write_text(json.dumps(record))


def altered(row: int, **values: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[row] |= values
        return pa.Table.from_pylist(rows, table.schema)

    return change


def without(row: int) -> Callable[[pa.Table], pa.Table]:
    return lambda table: pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def find_row(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> tuple[Path, dict[str, Any]]:
    """Return the first wanted row among several block pairs, and its artifact."""
    for path in sorted((folder / "pairs").glob("*.parquet"), reverse=True):
        for row in pq.read_table(path).to_pylist():
            if wanted(row):
                return path, row
    raise AssertionError("no such row")


def artifact(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> tuple[Path, int, dict[str, Any]]:
    """Return the first wanted row, its artifact, and its index in the artifact."""
    path, row = find_row(folder, wanted)
    return path, pq.read_table(path).to_pylist().index(row), row


def copies_of_one(folder: Path) -> tuple[Path, dict[str, Any], int]:
    """Return an artifact, the last of its rows that join one image to several identical images, and their number."""
    for path in sorted((folder / "pairs").glob("*.parquet")):
        rows = [row for row in pq.read_table(path).to_pylist() if is_identical(row)]
        for row in rows:
            others = [other for other in rows if other["path_a"] == row["path_a"]]
            first, second = path.stem.rpartition("-")[0].split(".")
            if len(others) > 1 and first == second:
                return path, others[-1], len(others)
    raise LookupError("no three copies in a block")


def wrong(report: Report) -> dict[str, int]:
    assert report["ok"] == (not any(check["wrong"] for check in report["checks"].values()))
    return {name: check["wrong"] for name, check in report["checks"].items() if check["wrong"]}


def is_near(row: dict[str, Any]) -> bool:
    return row["mse"] > 0


def is_identical(row: dict[str, Any]) -> bool:
    return row["mse"] == 0


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "values",
    [
        {"mse": 30.25},
        {"mse": np.nextafter(36.0, 0)},
        {"rotation": 90, "turns": 2},
        {"turns": 15},
        {"rotation": 180},
        {"measured": False},
        {"mse": 1e9},
    ],
    ids=str,
)
def test_an_altered_row_is_found(folder: Path, values: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path, number, row = artifact(folder, lambda row: is_near(row) and (row["rotation"], row["turns"]) == (0, 1))
    assert {name: row[name] for name in values} != values
    rewrite(path, altered(number, **values))
    code, report = verified(folder)
    assert code == 1
    assert report["checks"]["matches"]["wrong"] == 1
    (offender,) = report["checks"]["matches"]["offenders"]
    assert offender["artifact"] == f"pairs/{path.name}"
    assert {name: offender[name] for name in ("path_a", "path_b")} == {n: row[n] for n in ("path_a", "path_b")}
    names = ("mse", "rotation", "turns", "measured")
    assert offender["true"] == {name: row[name] for name in names}
    assert offender["stands"] == {name: row[name] for name in names} | values
    said = capsys.readouterr().err
    assert f"matches: pairs/{path.name}: {row['path_a']}, {row['path_b']}: expected mse" in said
    assert f"delete {path}" in said
    assert ("random" in wrong(report)) == ("mse" in values or "measured" in values)


def test_the_rounding_of_an_mse_counts(folder: Path) -> None:
    path, number, row = artifact(folder, is_near)
    rewrite(path, altered(number, mse=float(np.nextafter(row["mse"], 1e9))))
    assert {"matches", "random", "nearest"} <= set(wrong(verified(folder)[1]))


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["near", "identical"])
def test_a_removed_row_is_found(folder: Path, kind: str) -> None:
    """The ledger shows the removed row; if the ledger was changed along, the comparison of images shows it."""
    path, row, copies = copies_of_one(folder) if kind == "identical" else (*find_row(folder, is_near), 0)
    rewrite(path, without(pq.read_table(path).to_pylist().index(row)))
    code, report = verified(folder, "--pairs", "0", "--images", "0")
    assert code == 1
    assert "ledger" in wrong(report)
    (short,) = [o for o in report["checks"]["ledger"]["offenders"] if o["artifact"] != "run.json"]
    by = short["true"] - short["stands"]
    rewrite(path, lambda table: table, matches=by)
    rewrite_run(folder, "ledger", matches=by)
    assert set(wrong(verified(folder, "--pairs", "0", "--images", "0")[1])) <= {"clusters"}
    code, report = verified(folder)
    assert code == 1
    for name in ("random", "nearest"):
        offenders = report["checks"][name]["offenders"]
        assert report["checks"][name]["wrong"] == (copies or -by)  # each pair of images that the row represented
        assert all(offender["artifact"] == f"pairs/{path.name}" for offender in offenders)
        assert all(offender["stands"] is None and offender["true"]["mse"] == row["mse"] for offender in offenders)
    assert wrong(verified(folder, "--pairs", "0")[1]).keys() >= {"nearest"}
    assert wrong(verified(folder, "--images", "0")[1]).keys() >= {"random"}


def added(row: dict[str, Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        rows = sorted([*table.to_pylist(), row], key=lambda row: (row["path_a"], row["path_b"]))
        return pa.Table.from_pylist(rows, table.schema)

    return change


def strangers(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return an artifact and a false row for it: two of its representatives that do not match."""
    for path in sorted((folder / "pairs").glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        there = {(row["path_a"], row["path_b"]) for row in rows}
        for x, y in product(filter(is_near, rows), repeat=2):
            if x["path_a"] < y["path_b"] and (x["path_a"], y["path_b"]) not in there:
                return path, x | {"path_b": y["path_b"]}
    raise AssertionError("no strangers")


def test_an_added_row_is_found(folder: Path) -> None:
    path, false = strangers(folder)
    rewrite(path, added(false), matches=1)
    code, report = verified(folder, "--pairs", "0", "--images", "0")
    assert code == 1
    (offender,) = report["checks"]["matches"]["offenders"]
    assert offender["true"].startswith("no match (MSE ")
    assert (offender["path_a"], offender["path_b"]) == (false["path_a"], false["path_b"])
    _, all_looked_at = verified(folder)
    assert all_looked_at["checks"]["random"]["wrong"] > 0


def test_a_true_row_above_the_threshold_is_found(folder: Path) -> None:
    path, false = strangers(folder)
    rewrite(path, added(false), matches=1)
    _, report = verified(folder, "--pairs", "0", "--images", "0")
    true = float(report["checks"]["matches"]["offenders"][0]["true"].removeprefix("no match (MSE ").rstrip(")"))
    assert true > 200
    ends = [(row["path_a"], row["path_b"]) for row in pq.read_table(path).to_pylist()]
    rewrite(path, altered(ends.index((false["path_a"], false["path_b"])), mse=true))
    assert verified(folder)[1]["checks"]["matches"]["wrong"] == 1


@pytest.mark.parametrize("kind", ["twice", "turned round", "unknown", "not the one that stands for it"])
def test_rows_that_have_no_place_are_found(folder: Path, kind: str) -> None:
    path, number, row = artifact(folder, is_near)
    if kind == "twice":
        change = added(row)
    elif kind == "turned round":
        change = altered(number, path_a=row["path_b"], path_b=row["path_a"])
    elif kind == "unknown":
        change = altered(number, path_b=row["path_b"] + "x")
    else:
        path, second, _ = copies_of_one(folder)
        rows = pq.read_table(path).to_pylist()
        first = next(row for row in rows if is_identical(row) and row["path_a"] == second["path_a"])
        change = added(first | {"path_a": first["path_b"], "path_b": second["path_b"]})
    rewrite(path, change)
    code, report = verified(folder, "--pairs", "0", "--images", "0")
    assert (code, report["checks"]["matches"]["wrong"]) == (1, 1)
    assert isinstance(report["checks"]["matches"]["offenders"][0]["true"], str)


@pytest.mark.parametrize(
    "ledger", [{"decided": 1, "identical": -1}, {"skipped_by_rule": 1, "decided": -1}, {"matches": 1}], ids=str
)
def test_an_altered_ledger_is_found(folder: Path, ledger: dict[str, int]) -> None:
    path = min((folder / "pairs").glob("*.parquet"))
    rewrite(path, lambda table: table, **ledger)
    rewrite_run(folder, "ledger", **ledger)
    code, report = verified(folder)
    assert code == 1
    assert wrong(report) == {"ledger": 2 * len(ledger)}
    offenders = report["checks"]["ledger"]["offenders"]
    for offender in offenders:
        assert offender["stands"] - offender["true"] == ledger[offender["what"].removeprefix("ledger.")]
    assert {offender["artifact"] for offender in offenders} == {f"pairs/{path.name}", "run.json"}


def test_an_altered_record_of_the_run_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite_run(folder, "images", readable=1)
    rewrite_run(folder, "clusters", removable_bytes=1)
    code, report = verified(folder)
    assert (code, wrong(report)) == (1, {"ledger": 1, "clusters": 1})
    assert "2 wrong values: run `fast-diff run` again" in capsys.readouterr().err


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (altered(1, cluster=1), "cluster"),
        (altered(1, mse_to_keeper=1e-9), "mse_to_keeper"),
        (altered(1, keeper=True), "keepers"),
        (altered(0, keeper=False), "keepers"),
        (altered(2, bytes=1), "bytes"),
        (altered(0, reason=None), "reason"),
        (altered(1, reason="more pixels"), "reason"),
        (altered(2, path="/nowhere.png"), "cluster"),
        (without(1), "cluster"),
        (lambda table: pa.concat_tables([table.slice(0, 1), table]), "cluster"),
    ],
)
def test_an_altered_cluster_is_found(folder: Path, change: Callable[[pa.Table], pa.Table], what: str) -> None:
    rewrite(folder / "cluster" / "clusters.parquet", change)
    code, report = verified(folder, "--pairs", "0", "--images", "0")
    assert code == 1
    assert wrong(report).keys() == {"clusters"}
    offenders = report["checks"]["clusters"]["offenders"]
    assert {offender["artifact"] for offender in offenders} == {"cluster/clusters.parquet"}
    assert what in {offender["what"] for offender in offenders}


def test_a_keeper_that_the_rules_do_not_choose_is_found(folder: Path) -> None:
    def swap(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        place = next(
            i for i, (x, y) in enumerate(pairwise(rows)) if x["keeper"] and not y["keeper"] and y["mse_to_keeper"] == 0
        )
        first, second = rows[place : place + 2]
        kept = {"keeper": True, "reason": first["reason"]}
        rows[place : place + 2] = [second | kept, first | {"keeper": False, "reason": None}]
        return pa.Table.from_pylist(rows, table.schema)

    rewrite(folder / "cluster" / "clusters.parquet", swap)
    report = verified(folder)[1]
    assert wrong(report) == {"clusters": 1}
    assert report["checks"]["clusters"]["offenders"][0]["what"] == "keeper"


@pytest.mark.quick(1)
@pytest.mark.parametrize("linkage", ["complete", "star"])
def test_an_image_that_is_in_the_wrong_cluster_is_found_under_any_linkage(tmp_path: Path, linkage: str) -> None:
    project = finished(tmp_path, "a", {"cluster": {"linkage": linkage}})

    def swap(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        first, second = (max(n for n, row in enumerate(rows) if row["cluster"] == number) for number in (0, 1))
        rows[first]["path"], rows[second]["path"] = rows[second]["path"], rows[first]["path"]
        return pa.Table.from_pylist(rows, table.schema)

    rewrite(project.run_folder / "cluster" / "clusters.parquet", swap)
    code, report = verified(project.run_folder)
    assert (code, wrong(report).keys()) == (1, {"clusters"})
    assert {offender["what"] for offender in report["checks"]["clusters"]["offenders"]} == {"cluster"}


def test_rules_that_verify_does_not_know_are_named(tmp_path: Path) -> None:
    project = finished(tmp_path, "a", {"cluster": {"keep": ["sharpness", "bytes"]}})
    code, report = verified(project.run_folder)
    assert code == 0
    assert report["checks"]["clusters"]["note"].endswith("does not know cluster.keep sharpness")


def test_many_that_are_wrong_are_counted_and_some_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    false = 0
    for path in (folder / "pairs").glob("*.parquet"):
        false += pq.read_metadata(path).num_rows
        rewrite(path, lambda table: table.set_column(2, "mse", pa.array([0.3] * len(table), pa.float64())))
    assert false > 20
    matches = verified(folder)[1]["checks"]["matches"]
    assert (matches["counted"], matches["wrong"], len(matches["offenders"])) == (false, false, 20)
    assert "wrong values: delete" in capsys.readouterr().err.splitlines()[-1]


def test_a_wrong_identity_is_found(folder: Path) -> None:
    """Thumbnails are taken as correct, and nothing that is derived from thumbnails is."""
    _, match = find_row(folder, is_near)
    for path in (folder / "thumbnail").glob("*.parquet"):
        paths = pq.read_table(path, columns=["path"])["path"].to_pylist()
        if match["path_a"] in paths:
            rewrite(path, altered(paths.index(match["path_a"]), thumbnail=bytes(16 * 16 * 3)))
    found = wrong(verified(folder)[1])
    assert found.keys() >= {"matches", "random", "clusters"}  # and the ledger, if a copy lies in the block


@pytest.mark.slow
def test_without_a_threshold_a_missing_row_is_counted(tmp_path: Path) -> None:
    """No other check would find the missing row if no pair is sampled."""
    run = finished(tmp_path, "a", VARIANTS["every pair"]).run_folder
    path, number, _ = artifact(run, lambda row: row["mse"] > 200)
    rewrite(path, without(number))
    (short,) = [o for o in verified(run)[1]["checks"]["ledger"]["offenders"] if o.get("what") == "ledger.matches"][:1]
    by = short["true"] - short["stands"]
    assert by < 0
    rewrite(path, lambda table: table, matches=by)
    rewrite_run(run, "ledger", matches=by)
    code, report = verified(run, "--pairs", "0")
    assert (code, wrong(report)) == (1, {"ledger": 1})
    (offender,) = report["checks"]["ledger"]["offenders"]
    assert (offender["artifact"], offender["true"] - offender["stands"]) == (f"pairs/{path.name}", -by)


def test_a_bound_above_the_truth_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = nearest._features

    def larger(*words: Any) -> nearest.Features:
        values, vectors, sums = features(*words)
        return values, 1.2 * vectors, sums

    monkeypatch.setattr(nearest, "_features", larger)
    code, report = verified(folder)
    assert (code, wrong(report).keys()) == (1, {"nearest"})
    offender = report["checks"]["nearest"]["offenders"][0]
    assert offender["stands"]["bound"] > offender["true"]["sum"] > 0


def test_images_near_the_threshold_are_listed(folder: Path) -> None:
    """The nearest distances on both sides of the threshold, against the distances of all pairs of images."""
    nearest = verified(folder)[1]["checks"]["nearest"]
    tables = [pq.read_table(p) for p in (folder / "thumbnail").glob("*.parquet")]
    values = [v for table in tables for v in table["thumbnail"].to_pylist() if v]
    images = [np.frombuffer(v, np.uint8).reshape(16, 16, 3).astype(int) for v in values]
    mses = [
        min(int(((a - np.rot90(b, turn)) ** 2).sum()) for turn in range(4)) / 256 for a, b in combinations(images, 2)
    ]
    assert nearest["counted"] == 2 * len(mses)
    assert nearest["nearest_to_threshold"]["below"] == pytest.approx(200 - max(mse for mse in mses if mse <= 200))
    assert nearest["nearest_to_threshold"]["above"] == pytest.approx(min(mse for mse in mses if mse > 200) - 200)


@pytest.mark.slow
def test_a_sample_is_the_same_for_the_same_seed(folder: Path) -> None:
    options = ("--pairs", "200", "--images", "7")
    first = verified(folder, *options)[1] | {"when": ""}
    assert first == verified(folder, *options)[1] | {"when": ""}
    assert first["checks"]["random"]["counted"] == 200
    assert first["checks"]["nearest"]["images"] == 7
    figures = [
        verified(folder, *options, "--seed", str(seed))[1]["checks"]["random"]["matches"] for seed in range(1, 6)
    ]
    assert len({first["checks"]["random"]["matches"], *figures}) > 1


@pytest.mark.parametrize("in_b", [0, 6])
def test_random_pairs_are_different_pairs_that_are_compared(in_b: int) -> None:
    n = 20
    images = type("Images", (), {"in_b": np.arange(n) >= n - in_b, "__len__": lambda self: n})
    run = SimpleNamespace(two_sets=in_b > 0, images=images())
    possible = {(a, b) for a, b in combinations(range(n), 2) if not in_b or a < n - in_b <= b}
    for count in (30, len(possible) - 1, len(possible), 1000):
        a, b = verify.sample_pairs(run, count, np.random.default_rng(1))
        pairs = set(zip(a.tolist(), b.tolist(), strict=True))
        assert len(pairs) == len(a) == min(count, len(possible))
        assert pairs <= possible


def test_pairs_that_agree_in_hash_are_counted_without_looking_at_any() -> None:
    """Counts from groups of hashes equal counts from all pairs."""
    random = np.random.default_rng(5)
    for turns in ((0,), (0, 1, 2, 3), (0, 4), tuple(range(8))):
        hashes = random.integers(0, 3 * len(turns), (60, 8)).astype(np.uint64)
        kind = random.integers(0, 2, 60)

        run = SimpleNamespace(images=SimpleNamespace(hashes=hashes, kind=kind), rules=SimpleNamespace(turns=turns))

        def agree(x: int, y: int, hashes: Any = hashes, kind: Any = kind, turns: Any = turns) -> bool:
            either = hashes[x, 0] in hashes[y, turns] or hashes[y, 0] in hashes[x, turns]
            return bool(kind[x] == kind[y] and either)

        a, b = np.arange(35), np.arange(35, 60)
        assert agreeing(run, a, b, False) == sum(agree(x, y) for x in a for y in b) > 20
        assert agreeing(run, a, a, True) == sum(agree(x, y) for x in a for y in a if x < y) > 20


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "is not a run folder"),
    "no run": (lambda folder: (folder / "run.json").unlink(), "is not a run folder"),
    "no JSON": (lambda folder: (folder / "run.json").write_text("{"), "run.json is damaged"),
    "nothing in it": (lambda folder: (folder / "run.json").write_text("{}"), "run.json is damaged"),
    "another metric": (
        lambda folder: set_in(folder, "config", "pairs", "metric", "mine:palette"),
        "with pairs.metric mse, hamming, embedding, got mine:palette",
    ),
    "a failed task": (lambda folder: set_in(folder, "failures", [{"task": "x"}]), "is not finished"),
    "no clusters yet": (lambda folder: set_in(folder, "clusters", "count", None), "is not finished"),
    "no pairs": (lambda folder: shutil.rmtree(folder / "pairs"), "has no pairs yet"),
    "one pairs artifact less": (lambda folder: min((folder / "pairs").iterdir()).unlink(), "is missing, or left over"),
    "one partition less": (lambda folder: min((folder / "hash").glob("*.parquet")).unlink(), "is missing, or left"),
    "cut short": (lambda folder: cut_short(folder), "is damaged; delete"),
    "a null": (
        lambda folder: rewrite(find_row(folder, is_near)[0], altered(0, mse=None)),
        "is damaged; delete",
    ),
    "a flipped bit": (lambda folder: flip(folder), "is damaged; delete"),
    "a stray artifact": (
        lambda folder: shutil.copy(
            min((folder / "pairs").glob("*.parquet")), folder / "pairs" / f"zz-{16 * 'f'}.parquet"
        ),
        "have the same key",
    ),
}


def set_in(folder: Path, *words: Any) -> None:
    record = json.loads((folder / "run.json").read_text())
    *keys, last, value = words
    section = record
    for key in keys:
        section = section[key]
    section[last] = value
    (folder / "run.json").write_text(json.dumps(record))


def cut_short(folder: Path) -> None:
    path = min((folder / "thumbnail").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-40])


def flip(folder: Path) -> None:
    """Flip a bit in the last bytes of some thumbnails; the page header before the values may be anything."""
    path = min((folder / "thumbnail").glob("*.parquet"))
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    (column,) = [column for column in columns if column.path_in_schema == "thumbnail"]
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data[start + column.total_compressed_size - 8] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("case", UNFIT)
def test_a_run_that_can_not_be_verified_is_one_line(
    folder: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_it, said = UNFIT[case]
    spoil_it(folder)
    assert main(["verify", str(folder), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fast-diff: ")
    assert said in line
    assert not (folder / "verify.json").exists()


def test_verify_reports_that_clusters_were_not_formed_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_in(folder, "config", "cluster", "linkage", "complete")
    assert main(["verify", str(folder), "--pairs", "0"]) == 0
    assert "checked against the condition of complete, not formed again" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["default", "hashes", "vectors"])
def test_one_image_and_none_that_can_be_read(name: str, tmp_path: Path) -> None:
    project = Project(tmp_path, {"thumbnail": SMALL, **VARIANTS[name]})
    broken = make_image(tmp_path / "images" / "1.jpg", 1)
    broken.write_bytes(b"no image")
    assert project.run() == 0
    assert verified(project.run_folder)[0] == 0
    make_image(tmp_path / "images" / "2.jpg", 2)
    assert project.run() == 0
    assert verified(project.run_folder)[0] == 0


def test_bad_usage_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--pairs", "-1"], ["--images", "many"], ["--seed", "1.5"]):
        assert main(["verify", str(folder), *words]) == 2
        assert "expected a whole number from 0" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "check_random", interrupt)
    before = {path.name for path in folder.iterdir()}
    assert main(["verify", str(folder), "--quiet"]) == 130
    assert {path.name for path in folder.iterdir()} == before


def test_a_disk_that_is_full_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.store.store.Store.publish_file", refuse)
    assert main(["verify", str(folder), "--quiet", "--pairs", "0"]) == 2
    assert "verify.json can't be written (No space left on device)" in capsys.readouterr().err


def test_verify_imports_no_code_that_it_checks() -> None:
    """Modules of the checks import constants, messages, storage and each other only; `__init__.py` is the command."""
    modules = sorted(set(Path(verify.__file__).parent.glob("*.py")) - {Path(verify.__file__).with_name("__init__.py")})
    assert len(modules) > 1
    fetched = {"pipeline.messages.errors", "pipeline.messages.words", "pipeline.store.backends"}
    fetched |= {f"pipeline.store.backends.{name}" for name in ("locations", "ranges", "storage")}
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            constants = isinstance(node, ast.ImportFrom) and all(alias.name.isupper() for alias in node.names)
            for name in names:
                own = name.split(".")[0] in ("stages", "pipeline")
                assert not own or constants or name in fetched or name.startswith("stages.commands.verify")
