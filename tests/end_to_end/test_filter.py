"""`fast-diff filter` writes the data of a run without the removed images; other libraries can read the result."""

import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from stages.commands import filter as filter_command
from stages.commands.results.tables import load_run
from tests.end_to_end.driver import Project, make_image
from tests.stages.packing import LONG_AGO, pack

NAMES = ("a b.jpg", "c,d.jpg", "e\nf.jpg", "g🙂.jpg", "d/../../h.jpg", "/i.jpg", "j'k\".jpg", "d/l.jpg")
"""Names of members that need care; `..` and a leading slash are kept as they are, and never extracted."""


def picture(tmp_path: Path, seed: int) -> bytes:
    path = tmp_path / ".pictures" / f"{seed}.jpg"
    return (path if path.exists() else make_image(path, seed)).read_bytes()


def samples(tmp_path: Path, seeds: Iterator[int] | range, first: int = 0) -> list[tuple[str, bytes]]:
    """Return the members of a WebDataset shard."""
    members = []
    for number, seed in enumerate(seeds, start=first):
        members += [
            (f"{number:04}.cls", str(seed).encode()),
            (f"{number:04}.jpg", picture(tmp_path, seed)),
            (f"{number:04}.json", json.dumps({"seed": seed}).encode()),
        ]
    return members


def ran(tmp_path: Path, a: list[Any], b: list[Any] | None = None, **config: Any) -> Project:
    """A finished run; inputs are paths or mappings."""
    project = Project(tmp_path / "project", config)
    roots = {"a": a, "b": b or []}
    project.config["inputs"] = {
        name: [each if isinstance(each, dict) else str(each) for each in some] for name, some in roots.items()
    }
    assert project.run() == 0
    return project


def filtered(project: Project, out: Path, *words: str, code: int = 0) -> Path:
    assert main(["filter", str(project.run_folder), "--out", str(out), *words]) == code
    return out


def tar_members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        files = ((info, tar.extractfile(info)) for info in tar)
        return [(info.name, file.read() if file else b"") for info, file in files]


def zip_members(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def gone(project: Project) -> set[str]:
    clusters = load_run(project.run_folder).clusters()
    return set(clusters.loc[~clusters[["keeper", "reference", "dismissed"]].any(axis=1), "path"])


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.quick(3)
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_members_that_stay_keep_order_bytes_and_companions(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [name for name in NAMES if ending == "zip" or not name.startswith("/")]
    members = [*samples(tmp_path, iter([1, 2, 1, 3])), ("README.txt", b"read me")]
    members += [(name, picture(tmp_path, 10 + number // 2)) for number, name in enumerate(names)]
    shard = pack(tmp_path / "in" / f"one.{ending}", members)
    project = ran(tmp_path, [shard])
    before = tree(tmp_path / "in")
    capsys.readouterr()
    out = filtered(project, tmp_path / "out")
    said = capsys.readouterr().out
    assert tree(tmp_path / "in") == before
    (result,) = (path for path in out.iterdir() if path.name[0] != ".")
    assert result.name == shard.name
    kept = tar_members(result) if "tar" in ending else zip_members(result)
    paths = gone(project)
    assert len(paths) == 1 + len(names) // 2
    lost = {
        member[0] for member in members if any(path.endswith(f"one.{ending}!/{shown(member[0])}") for path in paths)
    }
    assert len(lost) == len(paths)
    sample = next(name for name in lost if name.startswith("000"))[:4]
    assert kept == [each for each in members if each[0] not in lost and not each[0].startswith(sample)]
    assert ("README.txt", b"read me") in kept
    count = len(members)
    left = f"{count} members = {len(kept)} kept + {count - len(kept)} removed ({len(lost)} images, 2 companions)"
    assert left in said
    assert not list(tmp_path.rglob("h.jpg"))


def shown(name: str) -> str:
    return (
        name.replace("..", "%2E%2E").replace("/i.jpg", "%2Fi.jpg") if name[0] == "/" else name.replace("..", "%2E%2E")
    )


def test_files_to_remove_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = pack(tmp_path / "in" / "one.tar", samples(tmp_path, range(1, 3)))
    table = pa.table({"key": ["x/y", "z"], "jpg": [picture(tmp_path, 1), picture(tmp_path, 5)]})
    pq.write_table(table, tmp_path / "in" / "rows.parquet")
    loose = make_image(tmp_path / "in" / "loose\n,.jpg", 2)
    keep = [{"folder": [str(tmp_path / "in" / "one.tar!")]}, {"path": "shortest"}]
    project = ran(tmp_path, [tar, tmp_path / "in" / "rows.parquet", loose], cluster={"keep": keep})
    run = str(project.run_folder)
    assert main(["export", run, "--format", "removals", "--out", str(tmp_path / "r.parquet")]) == 0
    assert "2 images would be removed" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert [set(row) for row in rows] == [
        {"container", "member", "row", "key", "path", "cluster", "keeper", "distance", "reason"}
    ] * 2
    clusters = load_run(project.run_folder).clusters()
    assert {row["path"] for row in rows} == gone(project)
    for row in rows:
        members = clusters[clusters["cluster"] == row["cluster"]]
        assert row["keeper"] == members["path"].iloc[0]
        assert row["distance"] == members.set_index("path").loc[row["path"], "mse_to_keeper"]
        assert row["reason"].startswith("duplicate")
    by_path = {row["path"]: row for row in rows}
    for path, row in by_path.items():
        if "one.tar" in path:
            assert (row["container"], row["row"]) == (str(tar), None)
            assert path == f"{tar}!/{row['member']}"
            assert row["member"].startswith(row["key"])
        elif "rows.parquet" in path:
            assert (row["member"], row["row"], row["key"]) == (None, 0, "x%2Fy")
        else:
            assert (row["container"], row["member"], row["row"], row["key"]) == (None,) * 4
    assert main(["export", run, "--format", "removals", "--out", str(tmp_path / "r.csv")]) == 0
    with (tmp_path / "r.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [{name: str(value if value is not None else "") for name, value in row.items()} for row in rows] == read
    for words in (["--out", "r.json"], [], ["--out", str(tmp_path / "r.csv")]):
        assert main(["export", run, "--format", "removals", *words]) == 2
    assert main(["export", run, "--format", "csv", "--leak-from", "a"]) == 2
    assert main(["export", run, "--format", "removals", "--out", "x.csv", "--leak-from", "a"]) == 2
    assert "one set of images" in capsys.readouterr().err


def test_a_plan_lists_the_files_to_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        make_image(tmp_path / "in" / f"{number}.png", 1)
    make_image(tmp_path / "in" / "other.png", 2)
    project = ran(tmp_path, [tmp_path / "in"])
    plan = tmp_path / "plan.json"
    assert main(["plan", str(project.run_folder), str(plan)]) == 0
    data = json.loads(plan.read_text())
    (cluster,) = data["clusters"]
    cluster["keep"].append(cluster["remove"].pop())
    plan.write_text(json.dumps(data))
    out = filtered(project, tmp_path / "out", "--plan", str(plan))
    left = {Path(file["path"]).name for file in cluster["keep"]}
    assert {path.name for path in out.glob("*.png")} == left | {"other.png"}
    cluster["remove"][0]["digest"] = "0" * 64
    plan.write_text(json.dumps(data))
    capsys.readouterr()
    filtered(project, tmp_path / "other", "--plan", str(plan), code=2)
    assert "expected a plan of this run" in capsys.readouterr().err


@pytest.mark.quick(1)
@pytest.mark.parametrize("reference", [True, False])
def test_a_planted_leak_is_removed_and_a_second_run_finds_none(
    reference: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = [pack(tmp_path / "train" / f"{n}.tar", samples(tmp_path, range(10 * n, 10 * n + 6))) for n in range(2)]
    seeds = [[20, 21, 3, 22, 22], [23, 11, 24, 3]]  # 3 and 11 are in train; 22 comes twice, and in test only
    test = [pack(tmp_path / "test" / f"{n}.tar", samples(tmp_path, iter(some))) for n, some in enumerate(seeds)]
    inputs = [{"path": str(path), "reference": reference} for path in train]
    project = ran(tmp_path, inputs, list(test))
    out = filtered(project, tmp_path / "out", "--leak-from", "b")
    said = capsys.readouterr().out
    assert "27 members = 18 kept + 9 removed (3 images, 6 companions)" in said
    assert "left        12 images" in said
    assert {path.name for path in out.glob("*.tar")} == {"0.tar", "1.tar"}
    kept = [[data for name, data in tar_members(out / f"{n}.tar") if name.endswith("cls")] for n in range(2)]
    assert kept == [[b"20", b"21", b"22", b"22"], [b"23", b"24"]]
    project.config["inputs"]["b"] = [str(out / f"{n}.tar") for n in range(2)]
    assert project.run() == 0
    assert len(load_run(project.run_folder).pairs()) == 0
    again = tmp_path / "none.csv"
    words = ["export", str(project.run_folder), "--format", "removals", "--leak-from", "b", "--out", str(again)]
    assert main(words) == 0
    assert len(again.read_text().splitlines()) == 1
    project.config["inputs"]["b"] = list(map(str, test))
    assert project.run() == 0
    words = [*words[:5], "a", "--out", str(tmp_path / "a.csv")]
    assert main(words) == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (0 if reference else 2)
    assert all(row["reason"] == "leak: matches an image of inputs.b" for row in rows)


def test_a_dismissed_pair_is_no_leak(tmp_path: Path) -> None:
    one, other = (make_image(tmp_path / name / "x.png", 1) for name in "ab")
    make_image(tmp_path / "b" / "y.png", 2)
    project = ran(tmp_path, [tmp_path / "a"], [tmp_path / "b"])
    dismissed = tmp_path / "dismissed.csv"
    assert main(["dismiss", str(project.run_folder), str(one), str(other), "--file", str(dismissed)]) == 0
    assert {path.name for path in filtered(project, tmp_path / "1", "--leak-from", "b").glob("*.png")} == {"y.png"}
    project.config["cluster"] = {"dismissed": [str(dismissed)]}
    assert project.run() == 0
    found = filtered(project, tmp_path / "2", "--leak-from", "b")
    assert {path.name for path in found.glob("*.png")} == {"x.png", "y.png"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_the_result(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    shards = [
        pack(tmp_path / "in" / f"{n}.tar", samples(tmp_path, iter(some))) for n, some in enumerate([[1, 2], [1, 1]])
    ]
    project = ran(tmp_path, list(shards), cluster={"keep": [{"path": "shortest"}]})
    out = filtered(project, tmp_path / "out")
    urls = [str(out / f"{n}.tar") for n in range(2)]
    found = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert [(each["__key__"], each["cls"], each["jpg"]) for each in found] == [
        ("0000", b"1", picture(tmp_path, 1)),
        ("0001", b"2", picture(tmp_path, 2)),
    ]
    assert [json.loads(each["json"]) for each in found] == [{"seed": 1}, {"seed": 2}]
    assert tar_members(out / "1.tar") == [], "all samples of this shard are copies"


@pytest.mark.slow
def test_datasets_reads_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    datasets.disable_progress_bars()
    cache = str(tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})

    def made(seeds: list[int]) -> Any:
        images = [{"bytes": picture(tmp_path, seed), "path": f"{seed}.jpg"} for seed in seeds]
        return datasets.Dataset.from_dict({"image": images, "label": [seed % 2 for seed in seeds]}, features=features)

    splits = datasets.DatasetDict({"train": made([1, 2, 3, 1]), "test": made([4, 2])})
    splits.save_to_disk(tmp_path / "disk", num_shards={"train": 2, "test": 1})
    splits["train"].to_parquet(tmp_path / "rows.parquet", batch_size=2)
    folder = tmp_path / "folder"
    for name, seed in (("a.jpg", 5), ("b.jpg", 6), ("c, d.jpg", 5)):
        (folder / "train").mkdir(parents=True, exist_ok=True)
        (folder / "train" / name).write_bytes(picture(tmp_path, seed))
    lines = [{"file_name": name, "text": name} for name in ("a.jpg", "b.jpg", "c, d.jpg")]
    (folder / "train" / "metadata.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    keep = {"keep": [{"path": "shortest"}]}

    project = ran(tmp_path, [tmp_path / "disk"], cluster=keep)
    loaded = datasets.load_from_disk(filtered(project, tmp_path / "disk out"))
    assert loaded["train"].features == features
    assert sum(map(len, loaded.values())) == 4
    seeds = [
        Path(each["path"]).stem
        for part in loaded.values()
        for each in part.cast_column("image", raw(datasets))["image"]
    ]
    assert sorted(seeds) == ["1", "2", "3", "4"]
    assert loaded["train"]._fingerprint != splits["train"]._fingerprint

    project = ran(tmp_path, [tmp_path / "rows.parquet"], cluster=keep)
    out = filtered(project, tmp_path / "parquet out")
    (loaded,) = datasets.load_dataset(
        "parquet", data_files=str(out / "rows.parquet"), cache_dir=cache, features=None
    ).values()
    assert loaded.features == features
    assert loaded["label"][:] == [1, 0, 1]
    before, after = pq.ParquetFile(tmp_path / "rows.parquet"), pq.ParquetFile(out / "rows.parquet")
    assert after.schema_arrow.metadata[b"huggingface"] == before.schema_arrow.metadata[b"huggingface"]

    project = ran(tmp_path, [folder], cluster=keep)
    out = filtered(project, tmp_path / "folder out")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=cache, split="train")
    assert sorted(loaded["text"]) == ["a.jpg", "b.jpg"]


def raw(datasets: Any) -> Any:
    return datasets.Image(decode=False)


@pytest.mark.slow
def test_after_a_kill_the_same_command_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = [pack(tmp_path / "in" / f"{n}.tar.xz", samples(tmp_path, iter([n, 50 + n, n]))) for n in range(12)]
    project = ran(tmp_path, list(shards))
    filtered(project, whole := tmp_path / "whole")
    out = tmp_path / "out"
    words = [sys.executable, "-m", "pipeline.cli.main", "filter", str(project.run_folder), "--out", str(out)]
    for wanted in (2, 6):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.xz"))) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (out / ".3.tar.xz.0.tmp").write_bytes(b"half")  # a kill during a write leaves such a file
    finished = {path.name: path.stat().st_ino for path in out.glob("*.xz")}
    capsys.readouterr()
    filtered(project, out)
    said = capsys.readouterr().out
    before = int(said.partition("containers  12 (")[2].partition(" finished before)")[0])
    assert len(finished) - 1 <= before <= len(finished)
    assert {p.name: p.read_bytes() for p in out.glob("*.xz")} == {p.name: p.read_bytes() for p in whole.glob("*.xz")}
    assert sum(inode == (out / name).stat().st_ino for name, inode in finished.items()) == before
    assert not list(out.glob(".*.tmp"))
    assert "108 members = 72 kept + 36 removed (12 images, 24 companions)" in said


def test_a_changed_shard_is_left_out_and_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = [pack(tmp_path / "in" / f"{n}.zip", samples(tmp_path, iter([n, n]))) for n in range(3)]
    project = ran(tmp_path, list(shards))
    pack(shards[1], samples(tmp_path, range(40, 43)))
    os.utime(shards[1], (LONG_AGO + 9, LONG_AGO + 9))
    shards[2].unlink()
    out = filtered(project, tmp_path / "out", code=1)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        f"fast-diff: {shards[1]}: not written: the source has changed since the run; run `fast-diff run` again first",
        f"fast-diff: {shards[2]}: not written: the source is gone; run `fast-diff run` again first",
    ]
    assert "refused     2 sources" in captured.out
    assert [path.name for path in out.glob("*.zip")] == ["0.zip"]
    pack(shards[2], samples(tmp_path, iter([2, 2])))
    assert project.run() == 0
    filtered(project, out)
    assert "containers  3 (1 finished before)" in capsys.readouterr().out
    assert [name for name, _ in zip_members(out / "1.zip")] == [name for name, _ in zip_members(shards[1])]


def test_other_removals_replace_the_files_of_an_earlier_call(tmp_path: Path) -> None:
    tar = pack(tmp_path / "in" / "x.tar", samples(tmp_path, iter([1, 1, 2])))
    for name, seed in (("a.jpg", 5), ("b.jpg", 5), ("c.jpg", 6)):
        make_image(tmp_path / "in" / "loose" / name, seed)
    project = ran(tmp_path, [tar, tmp_path / "in" / "loose"], cluster={"keep": [{"path": "shortest"}]})
    out = filtered(project, tmp_path / "out")
    assert set(tree(out)) == {"x.tar", "loose/a.jpg", "loose/c.jpg", ".fast-diff-filter.jsonl"}
    assert len(tar_members(out / "x.tar")) == 6
    project.config["cluster"] = {"keep": [{"path": "deepest"}, "newest"]}
    project.config["inputs"]["a"] = [str(tar), {"path": str(tmp_path / "in" / "loose"), "reference": True}]
    assert project.run() == 0
    filtered(project, out)
    assert set(tree(out)) == {"x.tar", ".fast-diff-filter.jsonl"}, "references are not written"


@pytest.mark.parametrize("copy", [False, True])
def test_loose_files_and_their_companions(copy: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "in"
    for name, seed in (("d/a.jpg", 1), ("d/b.jpg", 1), ("e/a b,🙂\n.jpg", 2), ("x.jpg", 3), ("x.png", 4), ("y.jpg", 3)):
        make_image(images / name, seed)
    odd = os.fsencode(images) + b"/\xff.jpg"
    shutil.copy(images / "x.png", odd)
    os.utime(odd, (LONG_AGO, LONG_AGO))
    for name in ("d/a.txt", "d/b.txt", "d/b.jpg.xmp", "x.txt", "y.txt", "y.json", "notes.txt"):
        (images / name).write_text(name)
    project = ran(tmp_path, [images], cluster={"keep": [{"path": "shortest"}, "newest"]})
    before = {name: found[1] for name, found in tree(images).items()}
    paths = gone(project)
    out = filtered(project, tmp_path / "out", *(["--copy"] if copy else []))
    assert {name: found[1] for name, found in tree(images).items()} == before
    result = tree(out)
    del result[".fast-diff-filter.jsonl"]
    going = {os.path.relpath(path, images) for path in paths}
    assert len(going) == 3
    for name, (data, time_ns) in tree(images).items():
        shown_name = os.fsencode(name).decode("utf-8", "backslashreplace")
        belongs = name.partition(".")[0]
        siblings = {
            other for other in tree(images) if other.partition(".")[0] == belongs and other[-3:] in ("jpg", "png")
        }
        stays = (shown_name not in going) if name[-3:] in ("jpg", "png") else bool(siblings - going)
        assert (name in result) == stays, name
        if stays:
            assert result[name] == (data, time_ns)
            assert (out / name).samefile(images / name) != copy
    assert "notes.txt" not in result
    capsys.readouterr()
    inodes = {name: (out / name).stat().st_ino for name in result}
    filtered(project, out, *(["--copy"] if copy else []))
    assert {name: (out / name).stat().st_ino for name in result} == inodes
    (images / "x.png").write_bytes(b"changed")
    filtered(project, out, code=1)
    assert "x.png: not written: the source has changed" in capsys.readouterr().err


def test_lists_lose_the_rows_that_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a, b.jpg", 1), ("c\nd.jpg", 1), ("e.jpg", 2)):
        make_image(tmp_path / "images" / name, seed)
    table = tmp_path / "lists" / "list.csv"
    table.parent.mkdir()
    rows = [["path", "text"]] + [[f"../images/{name}", 'say "hi",\r\n'] for name in ("a, b.jpg", "c\nd.jpg", "e.jpg")]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    table.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode() + b"\n")
    keep = {"keep": [{"path": "deepest"}, "newest"]}
    project = ran(tmp_path, [{"list": str(table)}], cluster=keep)
    (path,) = gone(project)
    capsys.readouterr()
    out = filtered(project, tmp_path / "out")
    said = capsys.readouterr().out
    assert f"relative paths in the list begin at {table.parent}" in said
    assert "3 rows = 2 kept + 1 removed" in said
    assert set(tree(out)) == {"list.csv", ".fast-diff-filter.jsonl"}
    left = (out / "list.csv").read_bytes()
    assert left.startswith(b"\xef\xbb\xbfpath,text\n")
    assert left.endswith(b"\n\n")
    expected = [row for row in rows if Path(row[0]).name != Path(path).name]
    assert list(csv.reader(io.StringIO(left.decode("utf-8-sig"), newline=""))) == [*expected, []]

    coco = tmp_path / "coco.json"
    names = ("a, b.jpg", "c\nd.jpg", "e.jpg")
    data = {
        "info": {"year": 2026},
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [{"id": 7 + number, "image_id": number % 3} for number in range(6)],
    }
    coco.write_text(json.dumps(data))
    project = ran(tmp_path, [{"list": str(coco), "folder": str(tmp_path / "images")}], cluster=keep)
    (path,) = gone(project)
    found = json.loads((filtered(project, tmp_path / "coco out") / "coco.json").read_text())
    number = names.index(Path(path).name)
    assert found["info"] == data["info"]
    assert [each["id"] for each in found["images"]] == [n for n in range(3) if n != number]
    assert [each["image_id"] for each in found["annotations"]] == [n % 3 for n in range(6) if n % 3 != number]


def test_where_the_result_may_not_lie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "top" / "in"
    make_image(images / "a.jpg", 1)
    project = ran(tmp_path, [images])
    (tmp_path / "link").symlink_to(images)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, words in (
        (images / "out", "lies in the input"),
        (tmp_path / "link" / "out", "lies in the input"),
        (tmp_path / "top", "the input"),
        (project.run_folder / "out", "run's own folder"),
        (tmp_path / "full", "is not empty"),
        (tmp_path / "file", "is not a folder"),
        ("s3://bucket/out", "expected a folder on this machine"),
    ):
        assert main(["filter", str(project.run_folder), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
    assert not (images / "out").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_full_disk_is_one_line_and_leaves_nothing_half(tmp_path: Path) -> None:
    small = pack(tmp_path / "in" / "1.tar", samples(tmp_path, iter([1, 1])))
    large = pack(tmp_path / "in" / "2.tar", [*samples(tmp_path, iter([2, 2])), ("x.bin", bytes(400_000))])
    project = ran(tmp_path, [small, large])
    out = tmp_path / "out"
    code = (
        "import resource, sys; from pipeline.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        f"sys.exit(main(['filter', {str(project.run_folder)!r}, '--out', {str(out)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("finished work is kept: make room, then run the same command again")
    assert sorted(path.name for path in out.iterdir()) == [".fast-diff-filter.jsonl", "1.tar"]
    filtered(project, out)
    assert len(tar_members(out / "2.tar")) == 4


def test_a_line_that_cannot_be_printed_is_no_error_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(line: str) -> None:
        raise OSError(errno.EIO, "broken")

    project = ran(tmp_path, [pack(tmp_path / "in" / "a.tar", samples(tmp_path, range(2)))])
    with monkeypatch.context() as patched:
        patched.setattr(filter_command, "say", broken)
        filtered(project, tmp_path / "out", "--verbose", code=1)
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("storage: broken; fix the cause, then run the same command again: finished work is kept")
    )
    filtered(project, tmp_path / "out", "--json")
    assert json.loads(capsys.readouterr().out)["finished"] == 1


def test_two_at_a_time_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from stages.filtering.manifest import opened_manifest

    make_image(tmp_path / "in" / "a.jpg", 1)
    project = ran(tmp_path, [tmp_path / "in"])
    with opened_manifest(tmp_path / "out", str(project.run_folder)):
        filtered(project, tmp_path / "out", code=2)
    assert "another process writes" in capsys.readouterr().err


def test_output_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = pack(tmp_path / "in" / "x.tar", samples(tmp_path, iter([1, 1, 2])))
    project = ran(tmp_path, [tar])
    filtered(project, tmp_path / "out", "--verbose")
    assert "x.tar: 9 members = 6 kept + 3 removed (1 image, 2 companions)\n" in capsys.readouterr().out
    filtered(project, tmp_path / "out", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["members"] == {"members": 9, "kept": 6, "images": 1, "companions": 2, "unreadable": 0}
    assert (said["finished"], said["containers"], said["refused"]) == (1, 0, [])


def test_an_empty_result_is_a_whole_container(tmp_path: Path) -> None:
    one = {"x.jpg": picture(tmp_path, 1)}
    paths = [pack(tmp_path / "b" / name, one) for name in ("1.tar", "2.tar.gz", "3.zip")]
    table = pa.table({"jpg": [picture(tmp_path, 1)]})
    pq.write_table(table, tmp_path / "b" / "4.parquet")
    with pa.ipc.new_file(str(tmp_path / "b" / "5.arrow"), table.schema) as writer:
        writer.write_table(table)
    paths += [tmp_path / "b" / "4.parquet", tmp_path / "b" / "5.arrow"]
    project = ran(tmp_path, [pack(tmp_path / "a.tar", one)], list(paths))
    out = filtered(project, tmp_path / "out", "--leak-from", "b")
    assert tar_members(out / "1.tar") == tar_members(out / "2.tar.gz") == zip_members(out / "3.zip") == []
    assert pq.read_table(out / "4.parquet").equals(table[:0])
    assert pa.ipc.open_file(out / "5.arrow").read_all().equals(table[:0])


def test_containers_in_a_folder_and_a_damaged_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = tmp_path / "in"
    pack(top / "d" / "x.tar", samples(tmp_path, iter([1, 1])))
    cut = pack(top / "e" / "cut.tar", samples(tmp_path, iter([3, 2, 2])))
    whole = cut.read_bytes()
    cut.write_bytes(whole[: whole.index(b"0002.jpg") + 700])
    os.utime(cut, (LONG_AGO, LONG_AGO))
    (top / "junk.zip").write_bytes(b"no zip")
    make_image(top / "e" / "loose.jpg", 3)
    make_image(top / "e" / "broken.jpg", 9).write_bytes(b"no image")
    project = ran(tmp_path, [top], scan={"archives": True}, cluster={"keep": [{"path": "shortest"}]})
    out = filtered(project, tmp_path / "out")
    said = capsys.readouterr().out
    assert set(tree(out)) == {
        *("d/x.tar", "e/cut.tar", "junk.zip", "e/loose.jpg", "e/broken.jpg", ".fast-diff-filter.jsonl")
    }
    assert (out / "junk.zip").read_bytes() == b"no zip"
    assert "note        junk.zip: damaged: copied as it is" in said
    assert "note        e/cut.tar: damaged: members after the first" in said
    kept = [*samples(tmp_path, iter([2]), 1), ("0002.cls", b"2")]
    assert tar_members(out / "e" / "cut.tar") == kept
    assert "14 members = 7 kept + 6 removed (2 images, 4 companions) + 1 unreadable" in said
    assert len(tar_members(out / "d" / "x.tar")) == 3


def test_a_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        make_image(tmp_path / "in" / ("a" if number else "b") / f"{number}.png", number)
    project = ran(tmp_path, [tmp_path / "in"])
    (tmp_path / "in" / "a").rename(tmp_path / "moved")
    capsys.readouterr()
    out = filtered(project, tmp_path / "out", code=1)
    assert [str(path.relative_to(out)) for path in out.rglob("*.png")] == ["b/0.png"]
    assert capsys.readouterr().err == (
        f"fast-diff: {tmp_path}/in/a: not written: the source is gone; run `fast-diff run` again first\n"
    )
    (tmp_path / "in" / "a").mkdir()
    filtered(project, out, "--json", code=1)
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 20
    assert len(json.loads(captured.out)["refused"]) == 29
