"""Whole runs on object stores: memory:// in this process, and a server that speaks the S3 protocol."""

import hashlib
import io
import json
import os
import random
import re
import subprocess
import tarfile
import threading
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.execution.attempts import PATIENT_ATTEMPTS
from pipeline.store.backends import retries
from pipeline.store.footers import INDEX
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected
from stages.listing.files import find
from stages.listing.rules import ListingRules
from stages.listing.stamps import stamps
from tests.end_to_end.driver import Project, make_image, make_images
from tests.end_to_end.object_store import SECRET, ObjectStore, object_store
from tests.stages.packing import pack

IMAGES = 12
OWN = {"run.json", ".events.jsonl", INDEX}
"""Files that describe one run, and differ between two runs with equal results."""
FOOTERS = 2
"""Number of footers that each run reads: of cluster and plot, whose file names have no fingerprint."""


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def store(server: ObjectStore) -> ObjectStore:
    server.fault = lambda method, path: None
    server.asked.clear()
    return server


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    name = f"b{uuid.uuid4().hex}"
    store.client.create_bucket(Bucket=name)
    store.asked.clear()
    return name


@pytest.fixture
def project(tmp_path: Path, store: ObjectStore, bucket: str) -> Project:
    """Make a run on the store, over images of this machine: a few partitions, and two blocks."""
    make_images(tmp_path / "images", IMAGES)
    return Project(tmp_path, {"output": f"s3://{bucket}/out", "storage": store.options})


def locally(project: Project) -> dict[str, bytes]:
    """Return the artifacts of the same run in a folder."""
    local = Project(project.folder / "local", {"inputs": project.config["inputs"]})
    assert local.run() == 0
    return local.artifacts()


def visible(objects: dict[str, bytes]) -> dict[str, bytes]:
    """Return the objects that `Project.artifacts` would return as files."""
    return {
        name: data
        for name, data in objects.items()
        if name not in OWN and not name.startswith("report/work") and "/." not in f"/{name}"
    }


def record(objects: dict[str, bytes]) -> dict[str, Any]:
    return dict(json.loads(objects["run.json"]))


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["synchronous", "threads"])
def test_in_memory_artifacts_are_the_same_as_in_a_folder(kind: str, tmp_path: Path) -> None:
    make_images(tmp_path / "images", IMAGES)
    top = f"memory://{uuid.uuid4().hex}"
    project = Project(tmp_path, {"output": f"{top}/out", "scheduler": {"kind": kind}})
    assert project.run() == 0
    system = fsspec.filesystem("memory")
    inside = f"/{top.removeprefix('memory://')}/out/test/"
    objects = {name.removeprefix(inside): system.cat_file(name) for name in system.find(inside)}
    assert visible(objects) == locally(project)
    assert project.run() == 0
    again = json.loads(system.cat_file(f"{inside}run.json"))
    assert not any(stage["tasks_run"] for stage in again["stages"].values())
    assert main(["verify", f"{top}/out/test", "--quiet"]) == 0
    assert len(load_run(f"{top}/out/test").images()) == IMAGES
    system.rm(top, recursive=True)


@pytest.mark.slow
def test_workers_on_s3_give_the_artifacts_of_a_folder(project: Project, store: ObjectStore, bucket: str) -> None:
    project.config["scheduler"] = {"kind": "local", "workers": 1}
    done = project.spawn()
    assert done.returncode == 0, done.stderr
    puts = [path for method, path, _ in store.asked if method == "PUT" and path.endswith(".parquet")]
    objects = store.objects(bucket, "out/test/")
    local = locally(project)
    charts = {name: data for name, data in local.items() if name.endswith(".svg") or name.startswith("plot/")}
    assert {**visible(objects), **charts} == local  # charts of this process are blank
    assert sorted(puts) == sorted(f"/{bucket}/out/test/{name}" for name in objects if name.endswith(".parquet"))
    assert not [name for name in objects if "tmp" in name or "lock" in name or "probe" in name]


@pytest.mark.slow
def test_a_run_with_nothing_to_do_reads_few_footers(project: Project, store: ObjectStore, bucket: str) -> None:
    assert project.run() == 0
    objects = store.objects(bucket, "out/test/")
    events = [json.loads(line) for line in objects[".events.jsonl"].splitlines()]
    sizes = {f"{event['stage']}/{event['artifact']}": event["bytes"] for event in events if event["event"] == "task"}
    artifacts = (name for name in objects if name.endswith(".parquet") and not name.startswith("report/"))
    assert sizes == {name: len(objects[name]) for name in artifacts}
    store.asked.clear()
    assert project.run() == 0
    assert store.counts() == {"LIST": 1, "GET": 6, "PUT": 4, "DELETE": 1, "GET range": FOOTERS}
    assert not any(stage["tasks_run"] for stage in record(store.objects(bucket, "out/test/"))["stages"].values())


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["gone", "cut", "old"])
def test_an_index_that_may_be_old_is_made_again(project: Project, store: ObjectStore, bucket: str, lost: str) -> None:
    assert project.run() == 0
    objects = store.objects(bucket, "out/test/")
    artifacts = [name for name in objects if name.endswith(".parquet")]
    index = objects[INDEX]
    if lost == "gone":
        store.client.delete_object(Bucket=bucket, Key=f"out/test/{INDEX}")
    elif lost == "cut":
        store.client.put_object(Bucket=bucket, Key=f"out/test/{INDEX}", Body=index[: len(index) // 2])
    else:
        some = next(name for name in artifacts if name.startswith("thumbnail/"))
        store.client.put_object(Bucket=bucket, Key=f"out/test/{some}", Body=b"damaged")
    store.asked.clear()
    assert project.run() == 0
    assert store.counts()["GET range"] > FOOTERS
    assert sorted(store.objects(bucket, "out/test/")[INDEX].splitlines()) == sorted(index.splitlines())
    store.asked.clear()
    assert project.run() == 0
    assert store.counts()["GET range"] == FOOTERS


def test_the_driver_asks_for_nothing_that_is_absent(project: Project, store: ObjectStore, bucket: str) -> None:
    assert main(["explain", str(project.yaml)]) == 0
    assert store.counts().total() <= 3  # a listing; s3fs asks twice about an empty folder
    assert main(["status", str(project.yaml)]) == 0
    assert main(["prune", str(project.yaml)]) == 2


@pytest.mark.slow
def test_another_config_retires_and_prune_deletes(project: Project, store: ObjectStore, bucket: str) -> None:
    assert project.run() == 0
    first = visible(store.objects(bucket, "out/test/"))
    assert project.run("pairs.threshold=100") == 0
    assert any(".retired/" in name for name in store.objects(bucket, "out/test/"))
    assert project.run() == 0
    assert visible(store.objects(bucket, "out/test/")) == first
    assert record(store.objects(bucket, "out/test/"))["stages"]["pairs"]["tasks_run"] == 0  # the artifact is restored
    assert main(["prune", str(project.yaml)]) == 0
    assert not any(".retired/" in name for name in store.objects(bucket, "out/test/"))


@pytest.mark.slow
def test_results_failures_and_verify_of_a_url(project: Project, store: ObjectStore, bucket: str) -> None:
    (project.folder / "images" / "broken.jpg").write_bytes(b"no image")
    assert project.run() == 0
    results = load_run(project.yaml)
    assert results.failures()["error"].tolist() == ["not-an-image"]
    assert len(results.ledger()) == record(store.objects(bucket, "out/test/"))["stages"]["pairs"]["tasks_run"]
    pd.testing.assert_frame_equal(results.pairs(), load_run(f"s3://{bucket}/out/test").pairs())
    assert main(["verify", str(project.yaml), "--quiet"]) == 0
    assert json.loads(store.objects(bucket, "out/test/")["verify.json"])["ok"]
    assert main(["failures", f"s3://{bucket}/out/test"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["busy", "drop", "deaf"])
def test_half_of_the_puts_fail_and_all_is_well(
    fault: str, project: Project, store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    chance = random.Random(1)
    store.fault = lambda method, path: fault if method == "PUT" and chance.random() < 0.5 else None
    code = project.run()
    failed = {path for method, path, said in store.asked if said}
    assert len(failed) > 5
    store.fault = lambda method, path: None
    assert code == 0 or project.run() == 0  # five failures in a row happen, and the second run completes the work
    assert visible(store.objects(bucket, "out/test/")) == locally(project)


@pytest.mark.slow
def test_a_busy_store_fails_only_its_tasks(
    project: Project,
    store: ObjectStore,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    store.fault = lambda method, path: "busy" if method == "PUT" and "/out/test/cluster/" in path else None
    assert project.run() == 1
    said = capsys.readouterr().err
    assert "cluster/clusters failed: Please try again after 5 tries (s3://" in said
    assert len([path for method, path, told in store.asked if told]) == PATIENT_ATTEMPTS * retries.TRIES
    objects = store.objects(bucket, "out/test/")
    counts = record(objects)["stages"]
    assert counts["cluster"]["tasks_failed"] == 1
    assert counts["pairs"]["tasks_failed"] == 0
    assert not any(name.startswith("cluster/") for name in objects)
    store.fault = lambda method, path: None
    assert project.run() == 0
    assert record(store.objects(bucket, "out/test/"))["stages"]["pairs"]["tasks_run"] == 0


def test_a_store_that_is_away_is_one_line(
    project: Project, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    store.fault = lambda method, path: "drop"
    assert project.run() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fast-diff: output: can't write to s3://")
    store.fault = lambda method, path: "busy" if method == "GET" else None
    assert main(["explain", str(project.yaml)]) == 1
    *_, line = capsys.readouterr().err.splitlines()  # after a warning that the index of footers can't be used
    assert line.startswith("fast-diff: s3://")
    assert line.endswith("after 5 tries; fix the cause, then run the same command again: finished work is kept")


@pytest.mark.slow
def test_of_two_drivers_the_second_is_refused(project: Project, store: ObjectStore, bucket: str) -> None:
    second: list[subprocess.CompletedProcess[str]] = []

    def meanwhile(method: str, path: str) -> None:
        if method == "PUT" and "/out/test/hash/" in path and not second:
            second.append(subprocess.CompletedProcess([], 0))
            second[0] = project.spawn()

    store.fault = meanwhile
    first = project.spawn()
    assert first.returncode == 0, first.stderr
    assert second[0].returncode == 1
    assert "is in use by another run (process " in second[0].stderr
    assert len(second[0].stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_killed_driver_does_not_lock_the_output(project: Project, store: ObjectStore, bucket: str) -> None:
    reached = threading.Event()

    def notice(method: str, path: str) -> None:
        if method == "PUT" and "/out/test/hash/" in path:
            reached.set()

    store.fault = notice
    with subprocess.Popen(project.command(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as driver:
        assert reached.wait(60)
        driver.kill()
    assert "out/test/.lock" in {f"out/test/{name}" for name in store.objects(bucket, "out/test/")}
    assert project.run() == 0
    assert visible(store.objects(bucket, "out/test/")) == locally(project)


def upload(store: ObjectStore, bucket: str, folder: Path, prefix: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


@pytest.mark.slow
def test_images_of_urls_and_of_folders_in_one_set(project: Project, store: ObjectStore, bucket: str) -> None:
    make_images(project.folder / "remote" / "deep", 12, first=100)
    make_image(project.folder / "remote" / "skipped" / "x.jpg", 3)
    (project.folder / "remote" / "no-image.txt").write_text("text")
    upload(store, bucket, project.folder / "remote", "photos")
    project.config["inputs"]["a"].append(f"s3://{bucket}/photos")
    project.config["scan"] = {"ignore_names": ["skipped"]}
    store.asked.clear()
    assert project.run() == 0
    read = [path for method, path, _ in store.asked if method == "GET" and path.startswith(f"/{bucket}/photos/deep/")]
    images = load_run(project.yaml).images()
    assert len(images) == IMAGES + 12
    assert images["path"].tolist() == sorted(images["path"], key=str.encode)
    remote = images[images["path"].str.startswith(f"s3://{bucket}/photos/deep/")]
    assert len(remote) == 12
    assert remote["error"].isna().all()
    assert set(read) == {f"/{bucket}/{path.split('/', 3)[3]}" for path in remote["path"]}
    store.asked.clear()
    assert project.run() == 0
    assert not [path for method, path, _ in store.asked if method == "GET" and "/photos/" in path]
    changed = remote["path"].iloc[0].split("/", 3)[3]
    store.client.put_object(Bucket=bucket, Key=changed, Body=make_image(project.folder / "new.jpg", 77).read_bytes())
    assert project.run() == 0
    assert record(store.objects(bucket, "out/test/"))["stages"]["thumbnail"]["tasks_run"] == 1
    assert main(["verify", str(project.yaml), "--quiet"]) == 0


def test_shards_of_a_store_are_filtered_into_a_folder(tmp_path: Path, store: ObjectStore, bucket: str) -> None:
    one, other = (make_image(tmp_path / f"{seed}.jpg", seed).read_bytes() for seed in (1, 2))
    members = [("a.cls", b"1"), ("a.jpg", one), ("b.cls", b"1"), ("b.jpg", one), ("c.jpg", other)]
    for name in ("x.tar", "y.tar.gz", "z.zip"):
        body = pack(tmp_path / name, members).read_bytes()
        store.client.put_object(Bucket=bucket, Key=f"data/{name}", Body=body)
    for key in ("data//a.jpg", "data/../b.jpg", "data/c.jpg"):
        store.client.put_object(Bucket=bucket, Key=key, Body=make_image(tmp_path / "l.jpg", len(key)).read_bytes())
    inputs = [f"s3://{bucket}/data/{name}" for name in ("x.tar", "y.tar.gz", "z.zip")]
    config = {
        "storage": store.options,
        "inputs": {"a": [*inputs, f"s3://{bucket}/data"]},
        "pairs": {"folders": "within"},
    }
    project = Project(tmp_path / "project", config)
    assert project.run() == 0
    out = tmp_path / "out"
    assert main(["filter", str(project.yaml), "--out", str(out)]) == 0
    with tarfile.open(out / "x.tar") as tar:
        assert [info.name for info in tar] == ["a.cls", "a.jpg", "c.jpg"]
    with tarfile.open(out / "y.tar.gz") as tar:
        assert [info.name for info in tar] == ["a.cls", "a.jpg", "c.jpg"]
    with zipfile.ZipFile(out / "z.zip") as archive:
        assert archive.read("a.jpg") == one
        assert archive.namelist() == ["a.cls", "a.jpg", "c.jpg"]
    assert {str(path.relative_to(out)) for path in out.rglob("*.jpg")} == {"%2F/a.jpg", "%2E%2E/b.jpg", "c.jpg"}


def test_keys_with_empty_parts_are_images_of_their_own(project: Project, store: ObjectStore, bucket: str) -> None:
    keys = ("photos/x.jpg", "photos//x.jpg", "photos/deep//x.jpg", "photos/%2F.jpg")
    for number, key in enumerate(keys):
        body = make_image(project.folder / f"{number}.jpg", 300 + number).read_bytes()
        store.client.put_object(Bucket=bucket, Key=key, Body=body)
    project.config["inputs"] = {"a": [f"s3://{bucket}/photos"]}
    assert project.run() == 0
    images = load_run(project.yaml).images()
    assert set(images["path"]) == {f"s3://{bucket}/{key}" for key in keys}
    assert images["error"].isna().all()
    assert images["digest"].nunique() == len(keys)


def test_a_url_gives_the_thumbnails_of_a_folder(
    project: Project, store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    first = min((tmp_path / "images").iterdir())
    first.with_suffix(".xmp").write_text("metadata")
    upload(store, bucket, tmp_path / "images", "photos")
    project.config |= {"output": str(tmp_path / "outputs"), "inputs": {"a": [str(tmp_path / "images")]}}
    assert project.run() == 0
    by_folder = load_run(project.run_folder).images()
    project.config |= {"run": "by-url", "inputs": {"a": [f"s3://{bucket}/photos/"]}}
    assert project.run() == 0
    by_url = load_run(project.run_folder).images()
    same = ["width", "height", "digest", "contrast", "bytes", "companions"]
    assert by_url["companions"].dropna().tolist() == [f"{first.stem}.xmp"]
    assert by_url["path"].str.rpartition("/")[2].tolist() == by_folder["path"].str.rpartition("/")[2].tolist()
    pd.testing.assert_frame_equal(by_url[same], by_folder[same])


@pytest.mark.slow
def test_an_image_that_changed_or_went_after_the_scan_is_a_row(
    project: Project, store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    upload(store, bucket, tmp_path / "images", "photos")
    project.config["inputs"]["a"] = [f"s3://{bucket}/photos"]
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    spoiled: set[str] = set()

    def spoil(method: str, path: str) -> None:
        if method == "GET" and path.endswith((names[0], names[1])) and path not in spoiled:
            spoiled.add(path)
            key = path.removeprefix(f"/{bucket}/")
            if path.endswith(names[0]):
                store.client.delete_object(Bucket=bucket, Key=key)
            else:
                store.client.put_object(Bucket=bucket, Key=key, Body=(tmp_path / "images" / names[2]).read_bytes())

    store.fault = spoil
    assert project.run() == 0
    failures = load_run(project.yaml).failures()
    assert failures["path"].str.rpartition("/")[2].tolist() == names[:2]
    assert failures["error"].tolist() == ["changed", "changed"]
    assert project.run() == 0
    assert load_run(project.yaml).failures().empty


@pytest.mark.parametrize(
    ("inputs", "message"),
    [("photos/none", "does not exist"), ("empty", "no image found in"), ("none.jpg", "does not exist")],
)
def test_inputs_that_are_not_there(
    inputs: str, message: str, project: Project, store: ObjectStore, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.client.put_object(Bucket=bucket, Key="empty/x.txt", Body=b"text")
    project.config["inputs"]["a"] = [f"s3://{bucket}/{inputs}"]
    assert project.run() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.slow
def test_no_secret_is_shown_or_kept(
    project: Project, store: ObjectStore, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(store, bucket, project.folder / "images", "photos")
    project.config |= {
        "output": f"s3://tests:{SECRET}@{bucket}/out",
        "inputs": {"a": [f"s3://tests:{SECRET}@{bucket}/photos"]},
        "storage": {"s3": {"endpoint_url": store.url}},
        "scheduler": {"kind": "local", "workers": 1},
    }
    done = project.spawn("plot.pairs=1")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    objects = store.objects(bucket, "out/test/")
    assert len(objects) > 15
    assert not [name for name, data in objects.items() if SECRET.encode() in data]
    store.client.put_object(Bucket=bucket, Key="photos/new.jpg", Body=b"no image")
    capsys.readouterr()
    for command in (["config"], ["status"], ["explain"], ["graph"]):
        assert main([*command, str(project.yaml)]) == 0
    shown = capsys.readouterr()
    assert "s3://" in shown.out
    assert SECRET not in shown.out + shown.err


@pytest.mark.slow
def test_options_are_in_no_fingerprint(project: Project, store: ObjectStore, bucket: str) -> None:
    assert project.run() == 0
    project.config["storage"]["s3"]["key"] = "another"
    project.config["storage"]["s3"]["max_concurrency"] = 3
    assert project.run() == 0
    assert not any(stage["tasks_run"] for stage in record(store.objects(bucket, "out/test/"))["stages"].values())


@pytest.mark.parametrize("wrong", ["endpoint", "bucket", "credentials"])
def test_errors_of_the_store_are_reported(
    project: Project, bucket: str, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the store must not be reported as a missing run."""
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    options = dict(project.config["storage"]["s3"])
    if wrong == "endpoint":
        options["endpoint_url"] = "http://127.0.0.1:9"
    if wrong == "credentials":
        options = {"endpoint_url": options["endpoint_url"]}
    if wrong == "bucket":
        project.config["output"] = "s3://no-such-bucket/out"
    project.config["storage"] = {"s3": options}
    for command in ("show", "prune"):
        assert main([command, str(project.yaml)]) != 0
        (said,) = capsys.readouterr().err.splitlines()
        expected = {
            "endpoint": "endpoint URL",
            "credentials": "credentials",
            "bucket": "is not a run folder|does not exist",
        }
        assert re.search(expected[wrong], said), said
        assert wrong == "bucket" or "is not a run folder" not in said


def contained(project: Project, store: ObjectStore, bucket: str) -> list[bytes]:
    """Fill a bucket with shards, a zip, a table and a list; return the images."""
    images = [make_image(project.folder / f"remote/{n}.jpg", 500 + n).read_bytes() for n in range(24)]
    packed = project.folder / "packed"
    for number in range(2):
        some = {f"{n:02}.jpg": images[n] for n in range(8 * number, 8 * number + 8)}
        pack(packed / f"shards/{number:03}.tar", some)
    pack(packed / "deep/rest.zip", {f"{n}.jpg": images[n] for n in range(16, 20)})
    pq.write_table(pa.table({"image": images[20:22]}), packed / "deep/table.parquet")
    pack(packed / "deep/c.tar.gz", {"22.jpg": images[22]})
    (packed / "one.jpg").write_bytes(images[23])
    (packed / "list.csv").write_text("path\none.jpg\ngone.jpg\n")
    upload(store, bucket, packed, "packed")
    top = f"s3://{bucket}/packed"
    inputs = [f"{top}/shards/{{000..001}}.tar", f"{top}/*eep/*.*", f"{top}/list.csv"]
    project.config |= {"output": str(project.folder / "outputs"), "inputs": {"a": inputs}}
    return images


@pytest.mark.slow
def test_containers_on_s3(project: Project, store: ObjectStore, bucket: str) -> None:
    images = contained(project, store, bucket)
    store.asked.clear()
    assert project.run() == 0
    reads = Counter(path.rpartition("/")[2] for method, path, _ in store.asked if method == "GET")
    assert reads["000.tar"] <= 5  # few of these list the shard, and few read its eight images
    found = load_run(project.run_folder).images()
    assert set(found["digest"].dropna()) == {hashlib.sha256(data).hexdigest() for data in images}
    (failed,) = load_run(project.run_folder).failures()["path"]
    assert failed == f"s3://{bucket}/packed/gone.jpg"
    assert project.run() == 0
    assert project.decoded() == 0
    new = pack(project.folder / "new.tar", {"0.jpg": images[3]}).read_bytes()
    store.client.put_object(Bucket=bucket, Key="packed/shards/001.tar", Body=new)
    assert project.run() == 0
    assert project.decoded() == 1
    assert main(["verify", str(project.run_folder), "--quiet"]) == 0


@pytest.mark.slow
def test_a_folder_of_containers_on_s3(project: Project, store: ObjectStore, bucket: str) -> None:
    contained(project, store, bucket)
    project.config["inputs"] = {"a": [f"s3://{bucket}/packed"]}
    assert project.run() == 0
    assert len(load_run(project.run_folder).images()) == 1
    assert project.run("scan.archives=true") == 0
    assert len(load_run(project.run_folder).images()) == 24
    store.client.put_object(Bucket=bucket, Key="packed/shards/000_stats.json", Body=b"{}")
    project.config["inputs"] = {"a": [f"s3://{bucket}/packed/shards"]}
    assert project.run() == 0
    assert len(load_run(project.run_folder).images()) == 16


class Hub(MemoryFileSystem):
    """Stands in for the file system of the Hugging Face Hub: blobs have an id, and no time."""

    protocol = "hf"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return f"/{path.removeprefix('hf://').strip('/')}".rstrip("/")

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._known(super().info(path, **kwargs))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        found = super().ls(path, detail=detail, **kwargs)
        return [self._known(each) for each in found] if detail else found

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        found = super().find(path, *args, **kwargs)
        return {name: self._known(each) for name, each in found.items()} if isinstance(found, dict) else found

    def _known(self, about: dict[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in about.items() if name != "created"}
        if found["type"] == "file":
            found["blob_id"] = hashlib.sha1(self.store[found["name"]].getvalue()).hexdigest()
        return found

    def modified(self, path: str) -> Any:
        raise NotImplementedError


def test_a_data_set_on_a_hub(tmp_path: Path) -> None:
    fsspec.register_implementation("hf", Hub, clobber=True)
    system = fsspec.filesystem("hf")
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [b"one", b"two"]}), buffer)
    system.pipe_file("datasets/cats/data/train-0.parquet", buffer.getvalue())
    files = find(["hf://datasets/cats/data/*.parquet"], ListingRules())
    assert files.locations is not None
    name = b"hf://datasets/cats/data/train-0.parquet!/#"
    assert files.paths.to_pylist() == [name + b"0", name + b"1"]
    (first, second) = stamps(files, "mtime").to_pylist()
    assert hashlib.sha1(buffer.getvalue()).hexdigest() in first
    place = files.locations.to_pylist()[1]
    assert read(Expected(name + b"1", 0, second, place), "mtime", 100)[0] == b"two"
    system.pipe_file("datasets/cats/data/train-0.parquet", buffer.getvalue() + b" ")
    with pytest.raises(Unreadable, match="changed"):
        read(Expected(name + b"1", 0, second, place), "mtime", 100)
    saved = find(["hf://datasets/cats"], ListingRules(archives=True))
    assert len(saved) == 1  # the container is damaged now
