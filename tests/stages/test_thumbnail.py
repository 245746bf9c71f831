"""The stage `thumbnail`: rows in the order of the scan, errors as rows, nothing decoded twice."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from pydantic import TypeAdapter, ValidationError

from pipeline.stage import Result, Task, Upstream
from stages.decoding import lanes, problems
from stages.decoding.child import Seen
from stages.kernels.bounds.coarse import coarse
from stages.thumbnail import STAGE, Params
from tests.in_memory import MemoryArtifact, compute

NAMES = [
    b"a b.png",
    b"back\\slash.png",
    b"line\nbreak.png",
    b"quote\"'<&>.png",
    b"not-utf8-\xff\xfe.png",
    "emoji-😀-é.png".encode(),
]
PARAMS = Params(size=(8, 6))


def file(path: bytes) -> Path:
    return Path(os.fsdecode(path))


@pytest.fixture
def paths(tmp_path: Path) -> list[bytes]:
    """Make different pictures under difficult names, in path order."""
    folder = os.fsencode(tmp_path)
    made = []
    for seed, name in enumerate(sorted(NAMES)):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        path = folder + b"/" + name
        Image.fromarray(pixels).save(os.fsdecode(path), "PNG")
        os.utime(path, (1_600_000_000, 1_600_000_000 + seed))
        made.append(path)
    return made


def scanned(paths: Sequence[bytes], name: str = "a", trust: str = "mtime") -> MemoryArtifact:
    """Return the scan's rows of these files as they are now."""
    stats = [file(path).stat() for path in paths]
    shown = [path.decode("utf-8", "backslashreplace") for path in paths]
    columns = {
        "path": shown,
        "path_bytes": pa.array(
            [None if s.encode() == p else p for s, p in zip(shown, paths, strict=True)], pa.binary()
        ),
        "set": [name] * len(paths),
        "bytes": [found.st_size for found in stats],
        "stamp": [str(getattr(found, f"st_{trust}_ns")) for found in stats],
        "location": pa.nulls(len(paths), pa.string()),
    }
    return MemoryArtifact("scan", f"{name}-end", pa.table(columns))


def run(scan: MemoryArtifact, folder: Path, params: Params = PARAMS, **job: Any) -> tuple[pa.Table, Result]:
    artifact, result = compute(STAGE, [scan], params, {"scan.trust": job.pop("trust", "mtime")}, folder, **job)
    return artifact.rows_, result


def test_difficult_names_give_rows_like_any_other(paths: list[bytes], tmp_path: Path) -> None:
    scan = scanned(paths)
    table, result = run(scan, tmp_path, Params(size=(8, 6), decode="exact"))
    assert table.schema == STAGE.schema_for(PARAMS, lambda _: None)
    assert table["error"].null_count == len(paths)
    columns = ["path", "path_bytes", "set", "bytes", "stamp", "location"]
    assert table.select(columns).equals(scan.rows_.select(columns))
    assert result.summary == {"images": 6, "readable": 6, "failed": 0, "errors": {}}
    assert dict(result.stats) == {"decoded": 6, "reused": 0}
    assert not STAGE.reuse.retry(result.summary, PARAMS)
    for path, row in zip(paths, table.to_pylist(), strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((8, 6), Image.Resampling.BICUBIC))
        assert row["thumbnail"] == pixels.tobytes()
        assert row["coarse"] == coarse(pixels[None])[0].tolist()
        assert row["contrast"] == np.float32(pixels.astype(float).std())
        assert row["digest"] == hashlib.sha256(file(path).read_bytes()).hexdigest()
        assert (row["width"], row["height"], row["format"], row["mode"]) == (30, 20, "PNG", "RGB")
        assert (row["alpha"], row["frames"], row["taken"], row["scale"], row["note"]) == (0, 1, None, 1, None)
        assert row["decoder"] == f"Pillow {PIL.__version__}"


@pytest.mark.parametrize(("channels", "width"), [("grey", 1), ("rgb", 3), ("rgba", 4)])
def test_the_schema_follows_the_channels(paths: list[bytes], tmp_path: Path, channels: Any, width: int) -> None:
    table, _ = run(scanned(paths[:1]), tmp_path, Params(size=(8, 6), channels=channels))
    assert table.schema.field("thumbnail").type == pa.binary(8 * 6 * width)
    assert len(table["coarse"][0]) == 16 * (width + 1)


def test_errors_are_rows_in_their_place(paths: list[bytes], tmp_path: Path) -> None:
    scan = scanned(paths)
    file(paths[1]).write_bytes(file(paths[1]).read_bytes()[:500])
    os.utime(paths[1], ns=(1, int(scan.rows_["stamp"][1].as_py())))
    file(paths[3]).unlink()
    table, result = run(scan, tmp_path)
    assert table["error"].to_pylist() == [None, "changed", None, "changed", None, None]
    assert table["error_detail"][3].as_py() == "the file disappeared between scanning and reading"
    assert result.summary == {"images": 6, "readable": 4, "failed": 2, "errors": {"changed": 2}}
    assert STAGE.reuse.retry(result.summary, PARAMS)
    again, result = run(scanned([*paths[:3], *paths[4:]]), tmp_path, reusable_=[table])
    assert again["error"].to_pylist() == [None, "truncated", None, None, None]
    assert again["error_detail"][1].as_py() == "the image data is truncated or damaged"
    assert dict(result.stats) == {"decoded": 1, "reused": 4}
    assert not STAGE.reuse.retry(result.summary, PARAMS)
    for name in ("thumbnail", "width", "contrast"):
        assert again[name][1].as_py() is None
    assert again["coarse"].null_count == 0  # pyarrow before 26 can't read lists of fixed size that are null
    assert again["coarse"][1].as_py() == [None] * 64


def test_a_final_error_is_kept_and_a_passing_one_tried_again(paths: list[bytes], tmp_path: Path) -> None:
    file(paths[0]).write_bytes(b"no image")
    scan = scanned(paths[:2])
    gone = file(paths[1]).rename(tmp_path / "elsewhere")
    first, result = run(scan, tmp_path)
    assert first["error"].to_pylist() == ["not-an-image", "changed"]
    assert STAGE.reuse.retry(result.summary, PARAMS)
    gone.rename(file(paths[1]))
    second, result = run(scan, tmp_path, reusable_=[first])
    assert second["error"].to_pylist() == ["not-an-image", None]
    assert dict(result.stats) == {"decoded": 1, "reused": 1}
    third, result = run(scan, tmp_path, reusable_=[first, second])
    assert third.equals(second)
    assert dict(result.stats) == {"decoded": 0, "reused": 2}


@pytest.mark.parametrize(
    ("error", "limit", "params", "again"),
    [
        ("timeout", 5.0, {"timeout": 5.0}, False),
        ("timeout", 5.0, {"timeout": 5.5}, True),
        ("timeout", None, {"timeout": 5.0}, True),  # the storage was slow
        ("memory", 1e6, {"max_memory": 10**6}, False),
        ("memory", 1e6, {"max_memory": 10**6 + 1, "timeout": 0.1}, True),
        ("crashed", None, {}, True),
        ("truncated", None, {}, False),
    ],
)
def test_an_error_with_a_limit_is_tried_again_under_a_higher_one_alone(
    error: str, limit: float | None, params: dict[str, Any], again: bool
) -> None:
    summary: dict[str, Any] = {"errors": {error: 1}}
    if error in ("timeout", "memory"):
        summary["limits"] = {error: limit or 0.0}
    assert STAGE.reuse.retry(summary, Params(**params)) == again


def test_the_limit_of_a_failed_attempt_is_recorded(
    paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        (0, Seen(problem=problems.TIMEOUT), None),
        (1, Seen(problem=problems.SLOW), None),
        (2, Seen(problem=problems.MEMORY, digest="d"), None),
        (3, Seen(problem=problems.CRASHED), None),
    ]
    monkeypatch.setattr("stages.decoding.lanes.Lanes", lambda *_: iter(answers))
    scan = scanned(paths[:4])
    table, result = run(scan, tmp_path, Params(size=(8, 6), timeout=7.0, max_memory=9_000))
    assert table["error"].to_pylist() == ["timeout", "timeout", "memory", "crashed"]
    assert table["error_limit"].to_pylist() == [7.0, None, 9_000.0, None]
    assert result.summary["limits"] == {"timeout": 0.0, "memory": 9_000.0}
    handed: list[Any] = []
    monkeypatch.setattr("stages.decoding.lanes.Lanes", lambda files, *_: handed.extend(files) or iter(answers[:0]))
    for params, expected in (({}, [1, 3]), ({"timeout": 8.0}, [0, 1, 3]), ({"max_memory": 9_001}, [1, 2, 3])):
        handed.clear()
        now = Params(**({"size": (8, 6), "timeout": 7.0, "max_memory": 9_000} | params))
        with pytest.raises(RuntimeError):
            run(scan, tmp_path, now, reusable_=[table])
        assert [paths.index(file.path) for file in handed] == expected


def test_rows_of_an_extra_are_made_again_when_its_version_has_changed(
    paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = scanned(paths)
    table, _ = run(scan, tmp_path)
    others = ["pillow-heif 1.0", "pillow-heif missing", "rawpy 0.1", "Pillow 1.0", None, "pillow-heif 9.9"]
    table = table.set_column(table.column_names.index("decoder"), "decoder", pa.array(others))
    monkeypatch.setattr("stages.decoding.rows.version_of", {"pillow-heif": "9.9"}.get)
    again, result = run(scan, tmp_path, reusable_=[table])
    assert dict(result.stats) == {"decoded": 3, "reused": 3}
    assert again["decoder"].to_pylist() == [f"Pillow {PIL.__version__}"] * 3 + others[3:]


def test_unchanged_rows_are_copied_whole(paths: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = run(scanned(paths), tmp_path)
    os.utime(paths[2], (2, 2))
    opened: list[bytes] = []
    handed = lanes.Chunk
    monkeypatch.setattr(lanes, "Chunk", lambda *given: opened.extend(path for path, *_ in given[2]) or handed(*given))
    scan = scanned(paths)
    donors = [first.slice(3), first.slice(0, 4)]  # partitions were cut at other places
    again, result = run(scan, tmp_path, reusable_=donors, distrust=frozenset([scan.rows_["path"][4].as_py()]))
    assert opened == [paths[2], paths[4]]
    assert dict(result.stats) == {"decoded": 2, "reused": 4}
    assert again.drop_columns(["stamp"]).equals(first.drop_columns(["stamp"]))
    assert again["stamp"].equals(scan.rows_["stamp"])


def test_the_box_inside_borders_is_recorded_and_copied(paths: list[bytes], tmp_path: Path) -> None:
    """The columns exist only if borders are cut; they are null for an unreadable image."""
    with Image.open(file(paths[0])) as image:
        whole = ImageOps.expand(image.resize((90, 60), Image.Resampling.NEAREST), (0, 30), "black")
    whole.save(file(paths[0]), "PNG")
    file(paths[1]).write_bytes(b"no image")
    trimming = replace(PARAMS, trim="borders")
    artifact, _ = run(scanned(paths), tmp_path, trimming)
    boxes = artifact.select(["box_left", "box_top", "box_right", "box_bottom"]).to_pylist()
    assert [tuple(box.values()) for box in boxes[:3]] == [(0, 30, 90, 90), (None,) * 4, (0, 0, 30, 20)]
    assert artifact["height"][0].as_py() == 120
    again, result = run(scanned(paths), tmp_path, trimming, reusable_=[artifact])
    assert result.stats["decoded"] == 0
    assert again.equals(artifact)
    plain, _ = run(scanned(paths), tmp_path)
    assert "box_left" not in plain.column_names
    assert plain["thumbnail"][0] != artifact["thumbnail"][0]
    assert plain["thumbnail"][2] == artifact["thumbnail"][2]


def test_a_copied_row_is_in_the_set_of_this_run(paths: list[bytes], tmp_path: Path) -> None:
    first, _ = run(scanned(paths, "a"), tmp_path)
    again, result = run(scanned(paths, "b"), tmp_path, reusable_=[first])
    assert set(again["set"].to_pylist()) == {"b"}
    assert result.stats["decoded"] == 0


def test_recheck_names_the_files_whose_bytes_are_others(paths: list[bytes], tmp_path: Path) -> None:
    table, _ = run(scanned(paths), tmp_path)
    artifact = MemoryArtifact("thumbnail", "a-end", table)
    shown = table["path"].to_pylist()
    assert STAGE.reuse.recheck is not None
    assert list(STAGE.reuse.recheck(artifact, shown)) == []
    changed = [1, next(number for number, path in enumerate(paths) if b"\xff" in path)]
    for number in changed:
        data = file(paths[number]).read_bytes()
        file(paths[number]).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    file(paths[2]).unlink()
    assert list(STAGE.reuse.recheck(artifact, shown)) == sorted(
        (shown[number] for number in {*changed, 2}), key=shown.index
    )
    assert list(STAGE.reuse.recheck(artifact, shown[:1])) == []


def test_one_task_a_partition() -> None:
    partitions = [Task(key, notes={"set": key[0], "images": 3, "closes_block": True}) for key in ("a-1f", "b-end")]
    tasks = list(STAGE.tasks(Upstream({"scan": partitions}, lambda _: None), PARAMS))
    assert [(task.key, task.inputs, task.notes) for task in tasks] == [
        (partition.key, (("scan", partition.key),), partition.notes) for partition in partitions
    ]


def test_figures_are_sums() -> None:
    one = {"images": 5, "readable": 3, "failed": 2, "errors": {"truncated": 2}}
    two = {"images": 5, "readable": 4, "failed": 1, "errors": {"changed": 1}}
    errors = {"changed": 1, "truncated": 2}
    assert STAGE.output.figures([one, two]) == {"images": {"total": 10, "readable": 7, "failed": 3}, "errors": errors}


@pytest.mark.parametrize(
    ("text", "count"),
    [("256MiB", 2**28), ("10MB", 10**7), ("500M", 5 * 10**8), ("1.5 kib", 1536), (7, 7), ("7", 7), ("2G", 2 * 10**9)],
)
def test_sizes_have_units(text: str | int, count: int) -> None:
    params = TypeAdapter(Params).validate_python({"max_bytes": text, "max_pixels": text})
    assert params.max_bytes == params.max_pixels == count


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ('{"max_bytes": "12XB"}', "such as 256MiB"),
        ('{"max_bytes": "0.2"}', "a number of 1 to"),
        ('{"max_pixels": -5}', "a number of 1 to"),
        ('{"max_bytes": ' + 400 * "9" + "}", "a number of 1 to"),
        ('{"max_pixels": true}', "max_pixels"),
        ('{"background": "hwite"}', "a colour such as white or #ff8800, got 'hwite'"),
        ('{"background": "#ff880080"}', "without transparency"),
        ('{"size": [3, 64]}', "greater than or equal to 4"),
        ('{"size": [64, 1025]}', "less than or equal to 1024"),
        ('{"size": [64, true]}', "valid integer"),
        ('{"size": [64, 64, 3]}', "at most 2"),
        ('{"decode": "quick"}', "'fast' or 'exact'"),
        ('{"colour": "blue"}', "'srgb' or 'raw'"),
        ('{"colours": 1}', "colours"),
        ('{"timeout": 0}', "greater than 0"),
        ('{"max_memory": "lots"}', "such as 256MiB"),
    ],
)
def test_impossible_values_are_refused(values: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Params).validate_json(values, strict=True)
