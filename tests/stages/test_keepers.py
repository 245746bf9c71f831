"""The rules by which the image that stays is chosen, one by one."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from pipeline.errors import TaskError
from stages.focus import SIDE, Sharpness, laplacian_variance
from stages.keepers import Rule, checked, facts, ranks
from stages.references import are_references
from tests.in_memory import MemoryJob


def images(**columns: Sequence[Any]) -> pa.Table:
    """Images in path order; what is not given is the same for all."""
    count = len(next(iter(columns.values())))
    same: dict[str, Any] = {
        "path": [f"/p/{n:02}.jpg" for n in range(count)],
        "width": [8] * count,
        "mode": ["RGB"] * count,
    }
    same |= {"height": [8] * count, "bytes": [9] * count, "format": ["JPEG"] * count, "contrast": [1.0] * count}
    same |= {"mtime_ns": [0] * count, "digest": ["d"] * count, "reference": [False] * count}
    same["taken"] = pa.array([None] * count, pa.timestamp("ms"))
    return pa.table(same | columns)


def first(table: pa.Table, *rules: Rule) -> list[int]:
    """Rows from the one to keep to the last."""
    found = ranks(table, [checked(rule) for rule in rules], lambda _: pytest.fail("nobody asked"))
    return np.argsort(found).tolist()


@pytest.mark.parametrize(
    ("rule", "column", "values", "order"),
    [
        ("bytes", "bytes", [1, 3, 2], [1, 2, 0]),
        ("oldest", "mtime_ns", [5, 3, 4], [1, 2, 0]),
        ("newest", "mtime_ns", [5, 3, 4], [0, 2, 1]),
        ("resolution", "width", [5, 3, 40], [2, 0, 1]),
        ("format", "format", ["JPEG", "TIFF", "RAW"], [2, 1, 0]),
        ("format", "format", ["GIF", "MPO", "PNG"], [2, 1, 0]),
        ({"format": ["gif", "JPEG"]}, "format", ["MPO", "PNG", "GIF"], [2, 0, 1]),
        ("path", "path", ["/a/z", "/b", "/c/d/e"], [0, 1, 2]),
        ({"path": "alphabetical"}, "path", ["/a/z", "/b", "/c/d/e"], [0, 1, 2]),
        ({"path": "shortest"}, "path", ["/a/z", "/b", "/c/d/e"], [1, 0, 2]),
        ({"path": "shortest"}, "path", ["/abcd", "/äöü"], [1, 0]),
        ({"path": "deepest"}, "path", ["/a/z", "/b", "/c/d/e"], [2, 0, 1]),
        ({"folder": ["best", "go*"]}, "path", ["/a/x.jpg", "/gold/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["/p/*/q", "/a"]}, "path", ["/a/x.jpg", "/g/x.jpg", "/p/best/q/x.jpg"], [2, 0, 1]),
        ({"folder": ["/p/best", "/g/"]}, "path", ["/a/x.jpg", "/g/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["*/q/*", "z/"]}, "path", ["/a/x.jpg", "/g/z/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["z[1]", "~"]}, "path", ["/a/x.jpg", f"{Path.home()}/x.jpg", "/z[1]/x.jpg"], [2, 1, 0]),
    ],
)
def test_each_rule(rule: Rule, column: str, values: list[Any], order: list[int]) -> None:
    assert first(images(**{column: values}), checked(rule)) == order


def test_a_photograph_without_a_date_comes_after_those_with_one() -> None:
    taken = pa.array([None, datetime(2024, 1, 2), datetime(1969, 5, 1)], pa.timestamp("ms"))
    assert first(images(taken=taken), "taken") == [2, 1, 0]


def test_rules_decide_where_those_before_them_tie_and_paths_in_the_end() -> None:
    table = images(width=[8, 9, 9, 9], bytes=[7, 1, 2, 2])
    assert first(table, "resolution", "bytes") == [2, 3, 1, 0]
    assert first(table) == [0, 1, 2, 3]


def test_references_come_first() -> None:
    assert first(images(bytes=[3, 1, 2], reference=[False, True, True]), "bytes") == [2, 1, 0]


def test_what_lies_below_a_reference_is_one() -> None:
    paths = pa.chunked_array([["/a/b", "/a/b/c", "/a/bc", "s3://x/y"]])
    assert are_references(paths, ["/a/b", "s3://x"]).to_pylist() == [True, True, False, True]
    assert are_references(paths, []).to_pylist() == [False] * 4
    assert are_references(paths, ["/"]).to_pylist() == [True, True, True, False]


def most_bytes_first(image: dict[str, Any]) -> float:
    return -1.0 if image["path"].endswith("00.jpg") else float(image["bytes"])


def fails(image: dict[str, Any]) -> float:
    return 1 / (image["bytes"] - 9)


def leaves(image: dict[str, Any]) -> float:
    raise SystemExit(0)


def says_nothing(image: dict[str, Any]) -> float:
    return float("nan")


def test_a_function_of_ones_own_keeps_what_it_gives_the_most() -> None:
    assert first(images(bytes=[9, 1, 2]), "tests.stages.test_keepers:most_bytes_first") == [2, 1, 0]
    with pytest.raises(TaskError, match=r"test_keepers:fails failed on /p/00\.jpg: ZeroDivisionError"):
        first(images(bytes=[9, 1]), "tests.stages.test_keepers:fails")
    with pytest.raises(TaskError, match=r"test_keepers:leaves failed on /p/00\.jpg: SystemExit: 0"):
        first(images(bytes=[9, 1]), "tests.stages.test_keepers:leaves")
    with pytest.raises(TaskError, match=r"expected a number, got nan for /p/00\.jpg"):
        first(images(bytes=[9, 1]), "tests.stages.test_keepers:says_nothing")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("resolutoin", "did you mean resolution"),
        ("folder", "expected bytes, format"),
        ({"path": "longest"}, "alphabetical, shortest or deepest"),
        ({"folder": []}, r"expected folder: \[patterns\]"),
        ({"format": ["nope"]}, r"expected format: names of .*jpeg.* got 'nope'"),
        ({"format": [3]}, r"expected format: \[names in order"),
        ({"bytes": [1]}, r"expected folder: \[patterns\]"),
        ({"path": "shortest", "folder": ["a"]}, r"expected folder"),
        (7, "expected bytes"),
        ("nowhere:nothing", "can't be imported"),
    ],
)
def test_a_rule_that_is_none_is_told(rule: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(rule)


def test_rules_say_what_they_look_at() -> None:
    assert facts(["resolution", {"folder": ["x"]}, "path"]) == {"width", "height"}
    assert {"mtime_ns", "taken", "digest"} <= facts(["tests.stages.test_keepers:fails"])


FILES = pa.schema([("path", pa.string()), ("path_bytes", pa.binary()), ("bytes", pa.int64()), ("digest", pa.string())])
LIMITS = {"thumbnail.max_memory": 3 << 30, "thumbnail.timeout": 120.0, "thumbnail.plugins": ()}


def copies(folder: Path) -> pa.Table:
    """A blurred copy, an enlarged one and their original, in this order."""
    random = np.random.default_rng(0)
    sharp = Image.fromarray(random.integers(0, 256, (SIDE, SIDE), np.uint8)).resize((700, 700))
    made = {"blurred": sharp.filter(ImageFilter.GaussianBlur(3)), "enlarged": sharp.resize((90, 90)), "sharp": sharp}
    made["enlarged"] = made["enlarged"].resize((2_000, 2_000))
    rows = []
    for name, image in sorted(made.items()):
        image.save(folder / f"{name}.png")
        data = (folder / f"{name}.png").read_bytes()
        facts = {"bytes": len(data), "digest": hashlib.sha256(data).hexdigest()}
        rows.append({"path": str(folder / f"{name}.png"), "path_bytes": None} | facts)
    return pa.Table.from_pylist(rows, FILES)


def measuring(folder: Path, joined: list[int], **limits: Any) -> Sharpness:
    settings = {"thumbnail.orientation": "exif"} | LIMITS | {f"thumbnail.{name}": each for name, each in limits.items()}
    return Sharpness(MemoryJob(None, settings, folder), lambda: np.array(joined))  # type: ignore[arg-type]


def test_the_sharper_copy_wins_and_an_enlarged_one_loses(tmp_path: Path) -> None:
    sharpness = measuring(tmp_path, [0, 0, 0])
    found = sharpness(copies(tmp_path))
    assert found.argsort().tolist()[2] == 2
    assert (sharpness.unmeasured, sharpness.passing) == (0, 0)


def test_where_one_image_can_not_be_measured_the_rule_decides_nothing(tmp_path: Path) -> None:
    images = copies(tmp_path)
    twice = pa.concat_tables([images, images])
    (tmp_path / "sharp.png").rename(tmp_path / "away.png")
    some = twice.slice(0, 5)  # the third is gone
    sharpness = measuring(tmp_path, [7, 7, 7, 9, 9])
    found = sharpness(some)
    assert found[:3].tolist() == [0, 0, 0]
    assert (found[3:] > 0).all()
    assert (sharpness.unmeasured, sharpness.passing) == (1, 1)


def test_measuring_keeps_to_the_limits_and_no_next_run_would_do_better(tmp_path: Path) -> None:
    sharpness = measuring(tmp_path, [0, 0, 0], max_memory=1 << 20)
    assert sharpness(copies(tmp_path)).tolist() == [0, 0, 0]
    assert sharpness.unmeasured > 0 == sharpness.passing


def test_a_flat_picture_has_no_edges() -> None:
    assert laplacian_variance(np.full((9, 9), 77, np.uint8)) == 0.0
    spot = np.zeros((3, 4), np.uint8)
    spot[1, 1] = 10
    assert laplacian_variance(spot) == float(np.var([40, -10]))
