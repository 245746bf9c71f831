"""Images inside containers: the same results as from files, and every command copes."""

import json
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from stages.commands.results.tables import load_run
from tests.end_to_end.driver import Project, make_image, make_images
from tests.stages.packing import LONG_AGO, pack

COUNT = 40


def packed(project: Project, endings: tuple[str, ...] = ("tar", "tar.gz", "zip")) -> list[Path]:
    """The images of a project in containers, some in each."""
    images = sorted((project.folder / "images").iterdir())
    return [
        pack(
            project.folder / f"{n}.{ending}",
            [(f"d/{path.name}", path.read_bytes()) for path in images[n :: len(endings)]],
        )
        for n, ending in enumerate(endings)
    ]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_images(tmp_path / "images", COUNT)
    return project


def within(project: Project, *inputs: Path | str) -> None:
    project.config["inputs"] = {"a": [str(each) for each in inputs]}


def matches(project: Project) -> set[tuple[frozenset[str], float]]:
    """Return pairs of file names with their distance."""
    rows = load_run(project.run_folder).pairs(expand=True)
    return {
        (frozenset(path.rpartition("/")[2] for path in (row.path_a, row.path_b)), row.mse)
        for row in rows[["path_a", "path_b", "mse"]].itertuples()
    }


def test_the_same_matches_as_from_files(project: Project) -> None:
    assert project.run() == 0
    files = matches(project)
    assert len(files) >= COUNT // 10
    within(project, *packed(project))
    assert project.run() == 0
    assert matches(project) == files
    assert project.record()["images"] == {"total": COUNT, "readable": COUNT, "failed": 0}
    assert project.run() == 0
    assert project.ran() == {}


def test_a_changed_container_decodes_its_own_images_only(project: Project) -> None:
    first, second, third = packed(project, ("tar", "tar", "zip"))
    within(project, first, second, third)
    assert project.run() == 0
    images = sorted((project.folder / "images").iterdir())[1::3]
    pack(second, [(f"d/{path.name}", path.read_bytes()) for path in images[1:]])
    os.utime(second, (LONG_AGO + 5, LONG_AGO + 5))
    assert project.run() == 0
    assert project.decoded() == len(images) - 1
    assert project.record()["images"]["total"] == COUNT - 1


@pytest.mark.slow
def test_containers_in_a_folder_are_opened_on_demand(project: Project) -> None:
    for path in packed(project):
        shutil.move(path, project.folder / "images" / path.name)
    assert project.run() == 0
    assert project.record()["images"]["total"] == COUNT
    assert project.run("scan.archives=true") == 0
    assert project.record()["images"]["total"] == 2 * COUNT


@pytest.mark.slow
def test_broken_images_are_rows_with_a_code(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut, wrong = packed(project, ("tar", "tar", "zip"))
    cut.write_bytes(cut.read_bytes()[:20_000])
    data = bytearray(wrong.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 42 : at + 46] = (data.index(b"PK\x03\x04") + 7).to_bytes(4, "little")  # where the first member begins
    wrong.write_bytes(data)
    junk = project.folder / "junk.zip"
    junk.write_bytes(os.urandom(4_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        double = pack(project.folder / "double.zip", [("../a.jpg", b"no image"), ("../a.jpg", b"nor this")])
    within(project, whole, cut, wrong, junk, double)
    assert project.run() == 0
    found = load_run(project.run_folder).failures().set_index("path")["error"].to_dict()
    assert found.pop(str(junk)) == "container"
    assert found.pop(str(cut)) == "container"
    assert found.pop(f"{double}!/%2E%2E/a.jpg") == found.pop(f"{double}!/%2E%2E/a.jpg#2") == "not-an-image"
    assert sorted(found.values()) == ["truncated", "truncated"]
    assert {path.rpartition("!/")[0] for path in found} == {str(cut), str(wrong)}
    assert main(["failures", str(project.run_folder)]) == 0
    assert "container: 2 images" in capsys.readouterr().out
    assert project.run() == 0
    assert project.ran() == {}
    assert not list(project.folder.rglob("a.jpg"))


def test_no_command_offers_to_change_a_container(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    picture = next((project.folder / "images").iterdir()).read_bytes()
    shutil.rmtree(project.folder / "images")
    box = pack(project.folder / "box.tar", {"in.jpg": picture, "again.jpg": picture})
    for name in ("out.jpg", "second.jpg"):
        (project.folder / name).write_bytes(picture)
    within(project, box, project.folder / "out.jpg", project.folder / "second.jpg")
    project.config["cluster"] = {"keep": [{"folder": [str(project.folder)]}, {"path": "shortest"}]}
    assert project.run() == 0
    plan = project.folder / "plan.json"
    assert main(["plan", str(project.run_folder), str(plan)]) == 0
    said = capsys.readouterr().out
    assert "inside containers" in said
    (cluster,) = json.loads(plan.read_text())["clusters"]
    assert not any("!/" in file["path"] for file in cluster["remove"])
    (gone,) = cluster["remove"]
    assert main(["apply", str(plan), "--action", "delete", "--yes"]) == 0
    assert not Path(gone["path"]).exists()
    data = json.loads(plan.read_text())
    inside = [file for file in cluster["keep"] if "!/" in file["path"]]
    data["clusters"] = [cluster | {"keep": inside[:1], "remove": inside[1:]}]
    plan.write_text(json.dumps(data))
    before = box.read_bytes()
    capsys.readouterr()
    assert main(["apply", str(plan), "--action", "delete", "--verbose"]) == 1
    assert "inside a container" in capsys.readouterr().out
    data["clusters"] = [cluster | {"keep": inside, "remove": [file for file in cluster["keep"] if file not in inside]}]
    plan.write_text(json.dumps(data))
    assert main(["apply", str(plan), "--action", "delete", "--verbose", "--yes"]) == 1
    assert "every kept image is inside a container" in capsys.readouterr().out
    assert box.read_bytes() == before


@pytest.mark.slow
def test_other_commands_cope(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = packed(project)
    within(project, first, second, third)
    project.config["cluster"] = {"keep": ["sharpness"]}
    project.config["plot"] = {"pairs": 2, "clusters": 2}
    assert project.run() == 0
    record = project.record()
    assert record["unmeasured"] == 0
    run = str(project.run_folder)
    assert main(["verify", run]) == 0
    assert main(["check", str(third), "--against", run]) in (0, 1)
    name = load_run(project.run_folder).clusters()["path"].iloc[0]
    for words in (
        ["show", run, "--verbose"],
        ["show", run, name],
        ["export", run, "--format", "csv", "--table", "images"],
    ):
        capsys.readouterr()
        assert main(words) == 0
        assert "!/d/" in capsys.readouterr().out
    images = load_run(project.run_folder).images()
    assert set(images["container"]) == {str(first), str(second), str(third)}
    page = (project.run_folder / "report" / "index.html").read_text()
    assert '"contained"' in page
    assert main(["export", run, "--format", "fiftyone", "--out", str(project.folder / "dataset")]) == 0
    assert f"left out: {COUNT} images" in capsys.readouterr().out
    assert main(["estimate", str(project.yaml)]) == 0


@pytest.mark.slow
def test_an_original_inside_a_container_is_served(project: Project) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    from tests.end_to_end.reviewing import served

    within(project, *packed(project))
    assert project.run() == 0
    with served(project.run_folder) as server:
        answer = server.get(f"original/0?of={server.mark}")
        assert answer.status == 200
        name = server.rows[0]["path"].rpartition("/")[2]
        assert answer.data == (project.folder / "images" / name).read_bytes()


def test_a_container_may_be_a_reference(project: Project) -> None:
    first, second = packed(project, ("tar", "zip"))
    copy = pack(project.folder / "copy.zip", {"x.jpg": make_image(project.folder / "x.jpg", 3).read_bytes()})
    project.config["inputs"] = {"a": [str(first), str(second), {"path": str(copy), "reference": True}]}
    assert project.run() == 0
    clusters = load_run(project.run_folder).clusters().set_index("path")
    assert clusters.loc[f"{copy}!/x.jpg", "reference"]
    assert clusters["reference"].sum() == 1


@pytest.mark.slow
def test_a_folder_whose_name_ends_like_a_container(project: Project) -> None:
    """The names of folders may hold an exclamation mark."""
    folder = project.folder / "party!"
    shutil.move(project.folder / "images", folder)
    odd = folder / "a.zip"
    odd.mkdir()
    make_image(odd / "y.jpg", 1)
    within(project, folder)
    assert project.run("scan.archives=true") == 0
    images = load_run(project.run_folder).images()
    assert len(images) == COUNT + 1
    assert images["container"].isna().all()
    plan = project.folder / "plan.json"
    assert main(["plan", str(project.run_folder), str(plan)]) == 0
    assert json.loads(plan.read_text())["clusters"]
    assert main(["apply", str(plan), "--action", "report"]) == 0


@pytest.mark.slow
def test_a_deflated_zip_and_trust_in_bytes(project: Project) -> None:
    images = sorted((project.folder / "images").iterdir())
    box = pack(project.folder / "a.zip", {path.name: path.read_bytes() for path in images}, zipfile.ZIP_DEFLATED)
    within(project, box)
    assert project.run("scan.trust=bytes") == 0
    os.utime(box)
    assert project.run("scan.trust=bytes") == 0
    assert project.decoded() == 0


@pytest.mark.slow
def test_tables_of_images(project: Project) -> None:
    """The same matches from Parquet and Arrow as from files; sizes that only the decoding finds are in the results."""
    assert project.run() == 0
    files = load_run(project.run_folder)
    images, sizes = sorted((project.folder / "images").iterdir()), files.images().set_index("path")["bytes"]
    expected = matches(project)
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in images]
    table = pa.table({"image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table[: COUNT // 2], project.folder / "a.parquet", row_group_size=7)
    with pa.ipc.new_stream(str(project.folder / "b.arrow"), table.schema) as writer:
        writer.write_table(table[COUNT // 2 :], max_chunksize=7)
    for name in ("a.parquet", "b.arrow"):
        os.utime(project.folder / name, (LONG_AGO, LONG_AGO))
    within(project, project.folder / "a.parquet", project.folder / "b.arrow")
    assert project.run() == 0
    named = {(frozenset(name.rpartition(":")[2] for name in pair), mse) for pair, mse in matches(project)}
    assert named == expected
    run = load_run(project.run_folder)
    found = {path.rpartition(":")[2]: size for path, size in run.images().set_index("path")["bytes"].items()}
    assert found == {Path(path).name: size for path, size in sizes.items()}
    assert run.clusters()["bytes"].min() > 0
    assert project.run() == 0
    assert project.ran() == {}
    assert project.run("partition.images=9") == 0
    assert project.decoded() == 0
    assert main(["verify", str(project.run_folder)]) == 0


@pytest.mark.slow
def test_a_named_column_and_tables_in_folders(project: Project) -> None:
    images = sorted((project.folder / "images").iterdir())
    columns = {"other": [path.read_bytes() for path in images[::-1]], "image": [b"no image"] * COUNT}
    folder = project.folder / "tables"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "a.parquet")
    pq.write_table(pa.table({"sha256": ["x"]}), folder / "metadata.parquet")
    project.config["inputs"] = {"a": [{"path": str(folder / "a.parquet"), "column": "other"}]}
    assert project.run() == 0
    assert project.record()["images"] == {"total": COUNT, "readable": COUNT, "failed": 0}
    within(project, folder)
    assert project.run("scan.archives=true") == 0
    assert project.record()["images"] == {"total": COUNT, "readable": 0, "failed": COUNT}
    within(project, folder / "metadata.parquet")
    assert project.run() == 0
    assert load_run(project.run_folder).failures()["error"].tolist() == ["container"]


def test_lists_patterns_and_marks(project: Project) -> None:
    packed(project, ("tar", "tar"))
    images = sorted((project.folder / "images").iterdir())
    rows = [{"file_name": path.name} for path in images]
    (project.folder / "coco.json").write_text(json.dumps({"images": rows[:10]}))
    (project.folder / "l.csv").write_text("where,label\n" + "".join(f"images/{path.name},x\n" for path in images[:5]))
    first = {"list": str(project.folder / "coco.json"), "folder": str(project.folder / "images")}
    second = {"list": str(project.folder / "l.csv"), "column": "where", "reference": False}
    pattern = {"path": f"{project.folder}/{{0..1}}.tar", "reference": True}
    project.config["inputs"] = {"a": [first, second, pattern]}
    assert project.run() == 0
    found = load_run(project.run_folder).images()
    assert found["container"].notna().sum() == COUNT
    assert found["container"].isna().sum() == 10
    references = load_run(project.run_folder).clusters().set_index("path")["reference"]
    assert {path for path, fixed in references.items() if fixed} == {
        path for path in references.index if ".tar!/" in path
    }
    assert project.record()["config"]["inputs"]["reference"] == [str(project.folder / f"{n}.tar") for n in (0, 1)]
    within(project, f"{project.folder}/none-*.tar")
    assert project.run() == 2


def test_a_pattern_on_the_command_line_names_its_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(project, ("tar", "tar"))
    monkeypatch.chdir(project.folder)
    assert main(["run", "{0..1}.tar", "--quiet", "--set", "scheduler.kind=synchronous"]) == 0
    (run,) = (project.folder / "outputs").iterdir()
    assert run.name == project.folder.name


def test_data_sets_in_folders(project: Project) -> None:
    """Data sets of `save_to_disk` and of img2dataset are opened without `scan.archives`."""
    images = [path.read_bytes() for path in sorted((project.folder / "images").iterdir())]
    splits = project.folder / "hugging"
    for split, some in (("train", images[:10]), ("test", images[10:15])):
        folder = splits / split
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
        table = pa.table({"image": pa.array([{"bytes": each} for each in some], pa.struct([("bytes", pa.binary())]))})
        for name in ("data-00000-of-00001.arrow", "cache-1.arrow"):
            with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
                writer.write_table(table)
    (splits / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    within(project, splits)
    assert project.run() == 0
    assert project.record()["images"] == {"total": 15, "readable": 15, "failed": 0}
    fetched = project.folder / "img2dataset"
    pack(fetched / "00000.tar", {f"{n:09}.jpg": each for n, each in enumerate(images[:7])} | {"000000000.json": b"{}"})
    pq.write_table(pa.table({"key": ["000000000"], "status": ["success"]}), fetched / "00000.parquet")
    (fetched / "00000_stats.json").write_text("{}")
    within(project, fetched)
    assert project.run() == 0
    assert project.record()["images"] == {"total": 7, "readable": 7, "failed": 0}


@pytest.mark.slow
def test_labels_travel_into_the_table_and_the_report(project: Project) -> None:
    images = sorted((project.folder / "images").iterdir())
    members = {path.name: path.read_bytes() for path in images}
    members |= {f"{path.stem}.cls": str(number // 2).encode() for number, path in enumerate(images)}
    within(project, pack(project.folder / "a.tar", members))
    project.config["scan"] = {"columns": ["cls", "__key__"]}
    assert project.run("plot.labels=column:cls") == 0
    table = load_run(project.run_folder).images()
    assert table["cls"].tolist() == [str(number // 2) for number in range(COUNT)]
    assert table["__key__"].tolist() == [path.stem for path in images]
    assert "recall" in (project.run_folder / "report" / "index.html").read_text()
    assert (project.run_folder / "report" / "recall.svg").exists()
    assert project.run("plot.labels=column:cls") == 0
    assert project.ran() == {}
    members[f"{images[0].stem}.cls"] = b"changed"
    pack(project.folder / "a.tar", members)
    os.utime(project.folder / "a.tar", (LONG_AGO + 9, LONG_AGO + 9))
    assert project.run("plot.labels=column:cls") == 0
    assert load_run(project.run_folder).images()["cls"].iloc[0] == "changed"
    assert project.run("plot.labels=column:other") == 2
    assert main(["check", str(images[0]), "--against", str(project.run_folder)]) == 3
