"""Each rule that chooses the kept image, tested alone."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from pipeline.messages.errors import TaskError
from stages.clustering.copy_names import matcher
from stages.clustering.focus import SIDE, Sharpness, laplacian_variance
from stages.clustering.keeper_keys import SECOND, Rule
from stages.clustering.keepers import DEFAULT, Ranking, RankingContext, checked, facts, ranked
from stages.clustering.live import per_folder
from stages.comparing.references import are_references
from tests.in_memory import MemoryJob

KINDS: dict[str, pa.DataType] = {
    "taken": pa.timestamp("ms"),
    **dict.fromkeys(
        ("camera", "software", "tables", "subsampling", "companions", "annotations", "location"), pa.string()
    ),
    **dict.fromkeys(("gps", "progressive", "was_jpeg"), pa.bool_()),
    **dict.fromkeys(("orientation", "quality"), pa.int8()),
}
"""Columns in which most images have no value."""


def images(**columns: Sequence[Any]) -> pa.Table:
    """Return images in path order; all images share the values that are not given, except the bytes."""
    count = len(next(iter(columns.values())))
    same: dict[str, Any] = {
        "path": [f"/p/{n:02}.jpg" for n in range(count)],
        "width": [8] * count,
        "mode": ["RGB"] * count,
        "root": ["/p"] * count,
    }
    same |= {"height": [8] * count, "bytes": [9] * count, "format": ["JPEG"] * count, "contrast": [1.0] * count}
    same |= {"mtime_ns": [0] * count, "digest": [f"d{n}" for n in range(count)], "reference": [False] * count}
    same |= {name: pa.array([None] * count, kind) for name, kind in KINDS.items()}
    given = {name: pa.array(values, KINDS[name]) if name in KINDS else values for name, values in columns.items()}
    return pa.table(same | given)


def ranking(table: pa.Table, *rules: Rule, others: Sequence[str] = (), family: Sequence[int] | None = None) -> Ranking:
    """Return the ranking of one family of images, in a run that also has the images `others`."""
    numbers = np.array(family or [0] * table.num_rows, np.int64)
    paths = [pa.chunked_array([sorted({*table["path"].to_pylist(), *others})])]
    around = RankingContext(numbers, lambda: per_folder(paths))
    return ranked(table, [checked(rule) for rule in rules], lambda _: pytest.fail("nobody asked"), around)


def first(table: pa.Table, *rules: Rule, others: Sequence[str] = ()) -> list[int]:
    """Return the rows, the kept image first."""
    return np.argsort(ranking(table, *rules, others=others).places).tolist()


@pytest.mark.parametrize(
    ("rule", "column", "values", "order"),
    [
        ("bytes", "bytes", [1, 3, 2], [1, 2, 0]),
        ("oldest", "mtime_ns", [5 * SECOND, 3 * SECOND, 4 * SECOND], [1, 2, 0]),
        ("newest", "mtime_ns", [5, 3, 4], [0, 2, 1]),
        ("resolution", "width", [5, 3, 40], [2, 0, 1]),
        ("companions", "companions", [None, "0.xmp", "1.mov/1.xmp"], [2, 1, 0]),
        ("metadata", "annotations", [None, "caption rating", "people"], [1, 2, 0]),
        ("format", "format", ["JPEG", "TIFF", "RAW"], [2, 1, 0]),
        ("format", "format", ["GIF", "MPO", "PNG"], [2, 1, 0]),
        ({"format": ["gif", "JPEG"]}, "format", ["MPO", "PNG", "GIF"], [2, 0, 1]),
        ("path", "path", ["/a/z", "/b", "/c/d/e"], [0, 1, 2]),
        ({"path": "alphabetical"}, "path", ["/a/z", "/b", "/c/d/e"], [0, 1, 2]),
        ({"path": "shortest"}, "path", ["/a/z", "/b", "/c/d/e"], [1, 0, 2]),
        ({"path": "shortest"}, "path", ["/abcd", "/äöü"], [1, 0]),
        ({"path": "shallowest"}, "path", ["/a/z/d", "/b", "/c/d"], [1, 2, 0]),
        ({"path": "deepest"}, "path", ["/a/z", "/b", "/c/d/e"], [2, 0, 1]),
        ({"folder": ["best", "go*"]}, "path", ["/a/x.jpg", "/gold/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["/p/*/q", "/a"]}, "path", ["/a/x.jpg", "/g/x.jpg", "/p/best/q/x.jpg"], [2, 0, 1]),
        ({"folder": ["/p/best", "/g/"]}, "path", ["/a/x.jpg", "/g/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["*/q/*", "z/"]}, "path", ["/a/x.jpg", "/g/z/x.jpg", "/p/best/q/x.jpg"], [2, 1, 0]),
        ({"folder": ["a", "b"]}, "path", ["/b/a/x.jpg", "/c/a/x.jpg", "/d/b/a/x.jpg"], [1, 0, 2]),
        ({"folder": ["/b/a", "b"]}, "path", ["/a/b/x.jpg", "/b/a/x.jpg", "/b/c/x.jpg"], [0, 1, 2]),
        ({"folder": ["/"]}, "path", ["/x.jpg", "s3://b/x.jpg"], [0, 1]),
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


def test_images_below_a_reference_are_references() -> None:
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


def test_a_users_function_keeps_the_image_with_the_highest_value() -> None:
    assert first(images(bytes=[9, 1, 2]), "tests.stages.clustering.test_keepers:most_bytes_first") == [2, 1, 0]
    with pytest.raises(TaskError, match=r"test_keepers:fails failed on /p/00\.jpg: ZeroDivisionError"):
        first(images(bytes=[9, 1]), "tests.stages.clustering.test_keepers:fails")
    with pytest.raises(TaskError, match=r"test_keepers:leaves failed on /p/00\.jpg: SystemExit: 0"):
        first(images(bytes=[9, 1]), "tests.stages.clustering.test_keepers:leaves")
    with pytest.raises(TaskError, match=r"expected a number, got nan for /p/00\.jpg"):
        first(images(bytes=[9, 1]), "tests.stages.clustering.test_keepers:says_nothing")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("resolutoin", "did you mean resolution"),
        ("folder", "expected avoid, bytes, companions"),
        ({"avoid": ["a/b"]}, "without a slash, got 'a/b'"),
        ({"avoid": "tmp"}, "expected folder"),
        ({"path": "longest"}, "alphabetical, shortest, shallowest or deepest"),
        ({"folder": []}, r"expected folder: \[patterns\]"),
        ({"format": ["nope"]}, r"expected format: names of .*jpeg.* got 'nope'"),
        ({"format": [3]}, r"expected format: \[names in order"),
        ({"bytes": [1]}, r"expected folder: \[patterns\]"),
        ({"path": "shortest", "folder": ["a"]}, r"expected folder"),
        (7, "expected avoid, bytes"),
        ("nowhere:nothing", "can't be imported"),
    ],
)
def test_an_unknown_rule_is_reported(rule: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(rule)


def test_rules_declare_the_columns_that_they_read() -> None:
    assert facts(["resolution", {"folder": ["x"]}, "path"]) == {"width", "height"}
    assert facts(["live", "oldest"]) == {"digest", "taken", "mtime_ns"}
    assert {"root", "camera", "taken", "mtime_ns"} <= facts(DEFAULT)
    assert {"mtime_ns", "taken", "digest"} <= facts(["tests.stages.clustering.test_keepers:fails"])


FILES = pa.schema(
    {
        "path": pa.string(),
        "path_bytes": pa.binary(),
        "bytes": pa.int64(),
        "digest": pa.string(),
        "location": pa.string(),
    }
)
LIMITS = {"thumbnail.max_memory": 3 << 30, "thumbnail.timeout": 120.0, "thumbnail.plugins": ()}


def copies(folder: Path) -> pa.Table:
    """A blurred copy, an enlarged copy and their original, in this order."""
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


def measuring(folder: Path, family: list[int], **limits: Any) -> Sharpness:
    settings = {"thumbnail.orientation": "exif"} | LIMITS | {f"thumbnail.{name}": each for name, each in limits.items()}
    return Sharpness(MemoryJob(None, settings, folder), np.array(family))  # type: ignore[arg-type]


def test_the_sharper_copy_wins_and_an_enlarged_one_loses(tmp_path: Path) -> None:
    sharpness = measuring(tmp_path, [0, 0, 0])
    found = sharpness(copies(tmp_path))
    assert found.argsort().tolist()[2] == 2
    assert (sharpness.unmeasured, sharpness.passing) == (0, 0)


def test_where_one_image_can_not_be_measured_the_rule_decides_nothing(tmp_path: Path) -> None:
    images = copies(tmp_path)
    twice = pa.concat_tables([images, images])
    (tmp_path / "sharp.png").rename(tmp_path / "away.png")
    some = twice.slice(0, 5)  # the third image is gone
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


DAY = datetime(2015, 6, 7)


def test_metadata_counts_camera_date_and_place() -> None:
    table = images(camera=[None, "A", "A", None], taken=[DAY, DAY, DAY, None], gps=[None, False, True, True])
    assert first(table, "metadata") == [2, 1, 0, 3]


def test_oldest_is_the_cameras_date_then_that_of_the_file() -> None:
    table = images(taken=[None, DAY, datetime(2014, 1, 1), DAY], mtime_ns=[n * SECOND for n in (1, 9, 10, 8)])
    assert first(table, "oldest") == [2, 3, 1, 0]


def test_of_equal_files_the_oldest_date_counts_for_all_against_others() -> None:
    table = images(
        digest=["x", "y", "x"], mtime_ns=[9 * SECOND, 5 * SECOND, SECOND], path=["/p/a/x", "/p/b/y", "/p/c/x"]
    )
    assert first(table, "oldest") == [2, 1, 0]
    assert first(table, "oldest", "live", others=["/p/a/z"]) == [0, 2, 1], "which of them stays is left to live"
    assert first(table, "oldest", "live") == [2, 0, 1], "and at last to their own dates"


def test_dates_of_files_within_a_second_decide_nothing() -> None:
    table = images(mtime_ns=[SECOND + 2, SECOND + 1], bytes=[9, 8])
    assert first(table, "oldest", "bytes") == [0, 1]


Encoded = dict[str, Any]
OF_CAMERA: Encoded = {"tables": "own", "quality": 95, "subsampling": "4:2:2", "progressive": False, "camera": "A"}
STANDARD: Encoded = OF_CAMERA | {"tables": "standard", "subsampling": "4:2:0"}
PNG: Encoded = {"format": "PNG", "was_jpeg": False}


@pytest.mark.parametrize(
    ("original", "copy"),
    [
        (OF_CAMERA, STANDARD | {"quality": 99}),
        (OF_CAMERA, OF_CAMERA | {"software": "Adobe Photoshop 7.0"}),
        (OF_CAMERA, OF_CAMERA | {"progressive": True}),
        (OF_CAMERA, {"format": "WEBP"}),
        (OF_CAMERA, {"format": "PNG", "was_jpeg": True}),
        (OF_CAMERA, {"format": "PNG", "was_jpeg": None}),
        (STANDARD, {"format": "TIFF", "was_jpeg": True}),
        (STANDARD | {"quality": 98}, PNG),
        (STANDARD, STANDARD | {"subsampling": "4:4:4"}),
        (STANDARD | {"quality": 80}, STANDARD | {"quality": 79}),
        (STANDARD | {"quality": 70}, STANDARD | {"quality": 69}),
        (STANDARD, {"format": "WEBP"}),
        (STANDARD | {"orientation": 6}, STANDARD | {"orientation": 1}),
        ({"format": "MPO"} | OF_CAMERA, STANDARD),
        ({"format": "RAW"}, OF_CAMERA),
        ({"format": "HEIF", "camera": "Apple iPhone 12"}, OF_CAMERA),
        (OF_CAMERA, {"format": "HEIF"}),
        (STANDARD, {"format": "HEIF", "camera": "Canon PowerShot ELPH 300 HS"}),
        (STANDARD, {"format": "HEIF", "camera": "Apple iPhone 5", "taken": datetime(2014, 1, 1)}),
        ({"format": "HEIF"}, PNG),
        (PNG, STANDARD),
        (PNG, {"format": "WEBP"}),
        (PNG, {"format": "GIF"}),
        (PNG | {"width": 16}, STANDARD | {"quality": 99}),
        (PNG | {"mode": "I;16", "was_jpeg": None}, STANDARD),
    ],
)
def test_the_encoding_tells_the_original(original: Encoded, copy: Encoded) -> None:
    plain = {"format": "JPEG", "mode": "RGB", "width": 8} | dict.fromkeys(KINDS)
    for one, two in ((original, copy), (copy, original)):
        table = images(**{name: [(plain | one)[name], (plain | two)[name]] for name in plain})
        assert first(table, "original")[0] == (0 if one is original else 1)


@pytest.mark.parametrize("quality", [80, 85, 97])
def test_a_good_quality_tells_no_re_encoding(quality: int) -> None:
    same = {name: [STANDARD[name]] * 2 for name in STANDARD}
    found = ranking(images(**same | {"quality": [quality, 98]}), "original")
    assert found.reasons(np.array([0]), np.array([1])) == ["the first path"]


def test_a_lossless_file_is_a_conversion_of_its_own_family_alone() -> None:
    table = images(format=["PNG", "JPEG"], was_jpeg=[False, None], quality=[None, 99])
    assert np.argsort(ranking(table, "original", family=[0, 1]).places).tolist() == [0, 1]
    assert first(table, "original") == [1, 0]


@pytest.mark.parametrize(
    "name",
    [
        *("Backup 2015/a.jpg", "my backups/a.jpg", "a - Copy.jpg", "a copy 2.jpg", "Kopie von a.jpg", "a (1).jpg"),
        *("Archive/a.jpg", "Downloads/x/a.jpg", ".Trash-1000/files/a.jpg", "tmp/a.jpg", "WhatsApp Images/a.jpg"),
        *("IMG-20190102-WA0007.jpg", "Telegram Desktop/a.jpg", "$RECYCLE.BIN/a.jpg", "a.jpg~", "photocopy.jpg"),
    ],
)
def test_names_of_copies_are_avoided(name: str) -> None:
    assert first(images(path=[f"/p/{name}", "/p/z/z.jpg"]), "avoid") == [1, 0]
    assert first(images(path=[f"/P/{name.upper()}", "/p/z/z.jpg"], root=["/P", "/p"]), "avoid") == [1, 0]


@pytest.mark.parametrize("name", ["Phone/IMG_0001.jpg", "2015/Signal Hill.jpg", "DSC (Nikon)/a.jpg", "Temple/a.jpg"])
def test_other_names_are_not_avoided(name: str) -> None:
    assert first(images(path=["/p/Backup/a.jpg", f"/p/{name}"]), "avoid") == [1, 0]


@pytest.mark.parametrize(
    "pattern", ["a", "*a", "a*", "*a*", "*", "**", "?a", "[ab]*", "*[!a]", "a*b", "*.x", "ä*", "(a|b)*"]
)
def test_patterns_match_like_fnmatch(pattern: str) -> None:
    names = ["".join(letters) for size in range(4) for letters in product("ab.x\nä(|", repeat=size)]
    matches = matcher([pattern])
    assert [name for name in names if matches(name)] == [name for name in names if fnmatchcase(name, pattern)]
    assert matcher([pattern, "b"])("b")
    assert not matcher(["b", "c*"])("a")


def test_names_are_avoided_below_the_input_alone_and_more_of_them_more() -> None:
    paths = ["/Downloads/a.jpg", "/Downloads/backup/a (1).jpg", "/Downloads/backup/a.jpg", "/Downloads/z.jpg"]
    assert first(images(path=paths, root=["/Downloads"] * 4), "avoid") == [0, 3, 2, 1]
    assert first(images(path=paths, root=["/Downloads/"] * 4), "avoid") == [0, 3, 2, 1]
    assert first(images(path=["/b/tmp/a.jpg", "s3://b/tmp/a.jpg"], root=["/b/tmp", "s3://b"]), "avoid") == [0, 1]


def test_a_name_made_of_anothers_is_avoided() -> None:
    paths = ["/p/a IMG_7.png", "/p/z/IMG_7.jpg"]
    assert first(images(path=paths), "avoid") == [1, 0]
    assert first(images(path=paths), {"avoid": ["none"]}) == [0, 1]
    assert np.argsort(ranking(images(path=paths), "avoid", family=[0, 1]).places).tolist() == [0, 1]
    for longer, short in (("IMG_71", "IMG_7"), ("x12", "x"), ("2015 b", "15 b"), ("IMG_7", "img_7")):
        assert first(images(path=[f"/p/{longer}.jpg", f"/p/z/{short}.png"]), "avoid") == [0, 1], longer


def test_names_to_avoid_may_be_given() -> None:
    table = images(path=["/p/Backup/a.jpg", "/p/OLD stuff/a.jpg"])
    assert first(table, {"avoid": ["old *"]}) == [0, 1]
    assert first(table, "avoid") == [1, 0]


def test_of_equal_files_the_one_in_the_live_folder_is_kept() -> None:
    paths = ["/p/A backup/x.jpg", "/p/Phone/x.jpg"]
    equal = images(path=paths, digest=["x", "x"], mtime_ns=[SECOND, 2 * SECOND])
    others = [*paths, "/p/Phone/y.jpg"]
    assert first(equal, "oldest", "live", others=others) == [1, 0]
    assert first(equal, *DEFAULT[-4:], others=others) == [1, 0]
    assert first(equal, "resolution", others=others) == [1, 0], "it decides before the alphabet, named or not"
    assert first(equal, "path", others=others) == [0, 1], "a rule says otherwise"
    assert first(equal, "oldest", others=others) == [0, 1]
    unlike = images(path=paths, mtime_ns=[SECOND, 2 * SECOND])
    assert first(unlike, "oldest", "live", others=others) == [0, 1], "dates come before, of files that are not equal"
    assert first(equal, "live", others=[*others, "/p/A backup/y.jpg", "/p/A backup/z.jpg"]) == [0, 1]


def test_a_picture_counts_where_its_best_file_is() -> None:
    """Small copies in another folder do not make that folder live; equal copies count for neither folder."""
    paths = ["/p/a/x.jpg", "/p/b/x.jpg", "/p/a/1.jpg", "/p/b/1.jpg", "/p/a/2.jpg", "/p/b/2.jpg"]
    table = images(path=paths, digest=["x", "x", "1", "1s", "2", "2"], width=[8, 8, 4, 8, 8, 8])
    found = ranking(table, "resolution", "live", others=paths, family=[0, 0, 1, 1, 2, 2])
    assert found.places[1] < found.places[0]
    assert found.places[5] < found.places[4]
    assert found.reasons(np.array([1]), np.array([0])) == [
        "in the folder with the most images that have no copy elsewhere"
    ]


def test_a_backup_with_the_folders_of_its_source_counts_as_a_whole() -> None:
    """All of Phone/2015 is backed up; Phone/2016 is not."""
    paths = ["/p/Disk/2015/x.jpg", "/p/Phone/2015/x.jpg"]
    others = [*paths, "/p/Phone/2016/y.jpg", "/p/Phone/2016/z.jpg", "/p/Disk/lists/l.jpg"]
    table = images(path=paths, digest=["x", "x"])
    assert first(table, "live", others=others) == [1, 0]
    nested = images(path=["/p/2015/x.jpg", "/p/x.jpg"], digest=["x", "x"])
    inside = ["/p/2015/x.jpg", "/p/x.jpg", "/p/2015/a.jpg"]
    assert first(nested, "live", others=inside) == [0, 1]
    assert first(nested, "live", others=[*inside, "/p/b.jpg", "/p/c.jpg"]) == [1, 0], "of a folder above, its own alone"


def test_folders_with_equally_many_pictures_tie_at_any_depth() -> None:
    """The next rule decides, not the length of a path."""
    paths = ["/p/Pictures/2019/May/a.jpg", "/p/stick/a.jpg"]
    table = images(path=paths, digest=["a", "a"])
    assert first(table, "live", {"path": "deepest"}, others=paths) == [0, 1]
    assert first(table, "live", {"path": "shallowest"}, others=paths) == [1, 0]
    assert first(table, "live", {"path": "deepest"}, others=[*paths, "/p/stick/b.jpg"]) == [1, 0]
    assert first(table, "live", {"path": "deepest"}, others=[*paths, "/p/stick/b.jpg", "/p/Pictures/c.jpg"]) == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_live_equals_counting_folder_by_folder(seed: int) -> None:
    """Folders are flat and files are equal: a picture counts for its folder, unless another folder has a copy, too."""
    random = np.random.default_rng(seed)
    paths = sorted({f"/p/{random.choice(list('abcd'))}/{n}.jpg" for n in random.integers(0, 40, 60)})
    names = [path.rpartition("/")[2] for path in paths]
    shared = [n for n, name in enumerate(names) if names.count(name) > 1]
    family = [names.index(names[n]) for n in shared]
    table = images(path=[paths[n] for n in shared], digest=[names[n] for n in shared], root=["/p"] * len(shared))
    found = ranking(table, "live", others=paths, family=family)
    alone = [path.split("/")[2] for path, name in zip(paths, names, strict=True) if names.count(name) == 1]
    for number in set(family):
        rows = [n for n, each in enumerate(family) if each == number]
        best = min(rows, key=lambda n: (-alone.count(paths[shared[n]].split("/")[2]), n))
        assert min(rows, key=lambda n: found.places[n]) == best


def test_the_reason_is_the_first_rule_in_which_two_differ() -> None:
    table = images(width=[9, 8, 8, 8], camera=["A", "A", None, None], path=["/p/a", "/p/b", "/p/c", "/p/copy/d"])
    found = ranking(table, *DEFAULT)
    assert np.argsort(found.places).tolist() == [0, 1, 2, 3]
    assert found.reasons(np.array([0, 1, 2]), np.array([1, 2, 3])) == [
        *("more pixels", "metadata that the others lack", "neither name nor folder suggests a copy")
    ]
    table = images(reference=[False, True])
    assert ranking(table, "path").reasons(np.array([1]), np.array([0])) == ["in a reference folder"]
