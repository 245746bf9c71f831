import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.messages.errors import ConfigError
from pipeline.stage import PastRows
from stages import scan
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.listing.companions import DEFAULT
from stages.listing.files import find
from stages.listing.rules import ListingRules

EVERYTHING = {
    "partition.images": "auto",
    "partition.block": "auto",
    "pairs.threshold": 200.0,
    "pairs.metric": "mse",
    "inputs.b": (),
    "companions.patterns": DEFAULT,
    "inputs.columns": {},
    "inputs.folders": {},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "B.PNG", "notes.txt", "sub/c.jpeg", "sub/deep/d.tif", ".git/e.jpg", "sub/skip me.jpg"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


def names(tree: Path, *roots: Path, **rules: Any) -> list[str]:
    found = find([str(root) for root in roots or (tree,)], ListingRules(**rules))
    return [os.path.relpath(os.fsdecode(path), tree) for path in found.paths.to_pylist()]


def test_images_by_ending_in_the_order_of_their_bytes(tree: Path) -> None:
    assert names(tree) == [".git/e.jpg", "B.PNG", "a.jpg", "sub/c.jpeg", "sub/deep/d.tif", "sub/skip me.jpg"]
    assert names(tree, recursive=False) == ["B.PNG", "a.jpg"]
    assert names(tree, extensions=frozenset({b"txt"})) == ["notes.txt"]


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        ({"ignore_names": [".git"]}, [".git/e.jpg"]),
        ({"ignore_names": ["skip*", "?.jpg"]}, [".git/e.jpg", "a.jpg", "sub/skip me.jpg"]),
        ({"ignore_names": ["sub*c.jpeg"]}, []),
        ({"ignore_paths": ["{tree}/sub/deep"]}, ["sub/deep/d.tif"]),
        ({"ignore_paths": ["{tree}/sub/*"]}, ["sub/c.jpeg", "sub/deep/d.tif", "sub/skip me.jpg"]),
        ({"ignore_paths": ["*/deep/*"]}, ["sub/deep/d.tif"]),
        ({"ignore_paths": ["{tree}/su"]}, []),
    ],
)
def test_ignored_entries(tree: Path, rules: dict[str, list[str]], left_out: list[str]) -> None:
    rules = {key: [pattern.format(tree=tree) for pattern in patterns] for key, patterns in rules.items()}
    assert sorted(set(names(tree)) - set(names(tree, **rules))) == left_out


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        ({"ignore_names": ["?.jpg"]}, [b"a.jpg", b"\xff.jpg", "ä.jpg".encode(), "a\u0308.jpg".encode()]),
        ({"ignore_names": ["[äö]*"]}, ["ä.jpg".encode(), "a\u0308.jpg".encode()]),
        ({"ignore_names": ["Ã*"]}, ["Ã¤.jpg".encode()]),
        ({"ignore_names": ["[!a-z]??.jpg"]}, [b"\xff\xfe\xfd.jpg"]),
        ({"ignore_names": ["m\u00fcll"]}, ["mu\u0308ll/new.jpg".encode()]),
        ({"ignore_names": ["mu\u0308ll"]}, ["mu\u0308ll/new.jpg".encode()]),
        ({"ignore_paths": ["*/?.jpg"]}, [b"a.jpg", b"\xff.jpg", "ä.jpg".encode(), "a\u0308.jpg".encode()]),
        ({"ignore_paths": ["*/m?ll/*"]}, [b"mu\xcc\x88ll/new.jpg"]),
        ({"extensions": frozenset({"jpé".encode()})}, None),
    ],
)
def test_patterns_match_characters_and_no_bytes(
    tmp_path: Path, rules: dict[str, Any], left_out: list[bytes] | None
) -> None:
    """An umlaut may be composed in several ways; a byte that is not UTF-8 is one character."""
    root = os.fsencode(tmp_path)
    every = {b"a.jpg", b"\xff.jpg", b"\xff\xfe\xfd.jpg", "ä.jpg".encode(), "a\u0308.jpg".encode(), "Ã¤.jpg".encode()}
    every |= {b"mu\xcc\x88ll/new.jpg"}
    for name in (*every, "c.JPÉ".encode()):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = {path.removeprefix(root + b"/") for path in find([str(tmp_path)], ListingRules(**rules)).paths.to_pylist()}
    assert found == ({"c.JPÉ".encode()} if left_out is None else every - set(left_out))


def test_a_root_inside_a_root_is_scanned_once(tree: Path) -> None:
    assert names(tree, tree, tree / "sub", tree / "a.jpg") == names(tree)
    assert names(tree, tree / "sub", tree, recursive=False) == ["B.PNG", "a.jpg", "sub/c.jpeg", "sub/skip me.jpg"]


def test_hard_links_are_images_and_symbolic_links_are_followed_if_asked(tree: Path, tmp_path: Path) -> None:
    (tree / "hard.jpg").hardlink_to(tree / "a.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "far.jpg").touch()
    (tree / "link.jpg").symlink_to(tree / "a.jpg")
    (tree / "nowhere.jpg").symlink_to(tree / "missing")
    (tree / "folder").symlink_to(outside)
    (tree / "again").symlink_to(outside)
    (tree / "circle").symlink_to(tree)
    plain = names(tree)
    assert "hard.jpg" in plain
    assert not {"link.jpg", "folder/far.jpg"} & set(plain)
    followed = names(tree, follow_links=True)
    assert sorted(followed) == sorted([*plain, "again/far.jpg"])  # one file is one image, under its first path
    assert names(tree, tree / "folder") == ["folder/far.jpg"]  # an input may be a link


def test_entries_named_like_images_that_are_not_files_are_reported(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = names(tree)
    os.mkfifo(tree / "pipe.jpg")
    assert names(tree) == plain
    assert "not a regular file" in caplog.text


def source(**settings: Any) -> list[Any]:
    return list(scan.source(scan.Params(), (EVERYTHING | settings).__getitem__, lambda count: None, PastRows))


def test_each_set_is_partitioned_alone(tmp_path: Path) -> None:
    for number in range(300):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number * 7919 % 1000}-{number}.jpg").touch()
    settings = {"partition.images": 10, "partition.block": 40}
    found = source(**{"inputs.a": (str(tmp_path / "a"),), "inputs.b": (str(tmp_path / "b"),)}, **settings)
    alone = source(**{"inputs.a": (str(tmp_path / "a"),)}, **settings)
    in_a = [(task, table) for task, table in found if task.notes["set"] == "a"]
    assert [task for task, _ in in_a] == [task for task, _ in alone]
    paths = [path for _, table in in_a for path in table["path"].to_pylist()]
    assert paths == sorted(paths)
    assert len(paths) == 300
    assert all(set(table["partition"].to_pylist()) == {task.key} for task, table in found)
    blocks = sum(bool(task.notes["closes_block"]) for task, _ in in_a)
    assert 3 <= blocks < len(in_a)
    assert in_a[-1][0].notes["closes_block"]


def test_a_name_that_is_no_utf8_keeps_its_true_name(tmp_path: Path) -> None:
    true = os.fsencode(tmp_path) + b"/\xff.jpg"
    Path(os.fsdecode(true)).touch()
    ((_, table),) = source(**{"inputs.a": (str(tmp_path),)})
    assert table["path"].to_pylist() == [f"{tmp_path}/\\xff.jpg"]
    assert table["path_bytes"].to_pylist() == [true]


def test_two_names_that_would_read_alike_are_refused(tmp_path: Path) -> None:
    (tmp_path / "\\xff.jpg").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).touch()
    with pytest.raises(ConfigError, match="is also the escaped form of a name that is not UTF-8"):
        source(**{"inputs.a": (str(tmp_path),)})


def test_nothing_to_compare_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"inputs\.b: no image found in .*empty"):
        source(**{"inputs.a": (str(tree),), "inputs.b": (str(tmp_path / "empty"),)})
    with pytest.raises(ConfigError, match=r"a\.jpg is also in inputs\.a"):
        source(**{"inputs.a": (str(tree),), "inputs.b": (str(tree / "a.jpg"),)})


def test_dates_that_64_bits_do_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "later.jpg"
    path.write_bytes(b"an image")
    os.utime(path, (9_300_000_000, 9_300_000_000))
    if path.stat().st_mtime != 9_300_000_000:
        pytest.skip("this file system knows no dates after 2262")
    (stamp,) = [row["stamp"] for _, table in source(**{"inputs.a": [str(tmp_path)]}) for row in table.to_pylist()]
    assert stamp == str(2**63 - 1)
    assert read(Expected(os.fsencode(path), 8, stamp), "mtime", 100)[0] == b"an image"


def test_inputs_that_lead_into_each_other_by_links_are_refused(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tree)
    (tmp_path / "one.jpg").symlink_to(next(path for path in tree.iterdir() if path.is_file()))
    inside = next(str(path) for path in tree.iterdir() if path.is_dir())

    def problems(a: list[str], b: list[str]) -> list[str]:
        return list(scan.check(scan.Params(), (EVERYTHING | {"inputs.a": a, "inputs.b": b}).__getitem__))

    for name in ("link", "one.jpg"):
        (said,) = problems([str(tree), str(tmp_path / name)], [])
        assert said.startswith(f"inputs.a: {tmp_path / name} leads to {tree}")
        (said,) = problems([str(tree)], [str(tmp_path / name)])
        assert said.startswith(f"inputs.b: {tmp_path / name} leads to {tree}")
        assert said.endswith(f"which is also in inputs.a as {tree}; remove one")
    assert problems([str(tree), inside, str(tree)], []) == []
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)  # as for a mount, which is not a link
    (said,) = problems([str(tree), str(tmp_path / "link")], [])
    assert said.endswith("; remove one")
    assert problems([str(tree), inside, str(tree)], []) == []
    assert problems(["/", str(tree)], []) == []
    assert problems([str(tmp_path / "link")], []) == []


def test_an_input_without_images_is_reported(tree: Path, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "unmounted").mkdir()
    roots = [tree, tmp_path / "unmounted", *(path for path in tree.iterdir() if path.is_dir())]
    source(**{"inputs.a": list(map(str, roots))})
    assert [record.getMessage() for record in caplog.records] == [
        f"inputs.a: no image found in {tmp_path / 'unmounted'}; check that the folder is mounted and complete, and "
        "see scan.archives for tar, zip and Parquet files in folders"
    ]


def test_sizes_of_blocks_move_in_steps() -> None:
    def block(images: int, **settings: Any) -> int:
        return scan.partition_sizes((EVERYTHING | settings).__getitem__, images)[1]

    assert [block(n) for n in (1, 2_000_000, 2_000_001, 10_000_001)] == [32_000, 32_000, 131_000, 524_000]
    assert block(1000, **{"pairs.threshold": None}) == 3_000
    assert block(1000, **{"pairs.metric": "package.module:function"}) == 3_000
    assert block(1000, **{"partition.block": 50, "partition.images": 100}) == 100
