"""Unchanged tar and zip files are not opened: their members come from the rows of the last run."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.listing import containers
from tests.end_to_end.driver import Project, make_images
from tests.stages.packing import LONG_AGO, pack

COUNT = 12
ODD = "d/a 'b', c\n\N{GRINNING FACE}.jpg"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the containers that a listing opens, in order."""
    names: list[str] = []
    real = containers.OpenedFile

    def noting(name: bytes) -> object:
        names.append(Path(os.fsdecode(name)).name)
        return real(name)

    monkeypatch.setattr(containers, "OpenedFile", noting)
    return names


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Run on four containers, one of them with labels and odd names."""
    made = Project(tmp_path, {"scan": {"columns": ["cls"]}})
    images = [path.read_bytes() for path in make_images(tmp_path / "images", COUNT)]
    for number, ending in enumerate(("tar", "tar.gz", "zip")):
        members = [(f"d/{at}.jpg", data) for at, data in enumerate(images[number::4])]
        pack(tmp_path / f"{number}.{ending}", members)
    labelled = [(ODD, images[3]), ("d/7.jpg", images[7]), ("d/7.cls", b"cat"), ("d/\udcff.jpg", images[11])]
    pack(tmp_path / "labelled ö.tar", labelled)
    made.config["inputs"] = {"a": [str(path) for path in sorted(tmp_path.iterdir()) if path.suffix in ENDINGS]}
    return made


ENDINGS = (".tar", ".gz", ".zip")


def rows(project: Project) -> list[dict[str, object]]:
    found = pq.read_table(project.run_folder / "scan").drop_columns(["partition"]).to_pylist()
    return sorted(found, key=lambda row: str(row["path"]))


def test_an_unchanged_container_is_not_opened(project: Project, opened: list[str]) -> None:
    assert project.run() == 0
    assert len(opened) == 4
    first = rows(project)
    assert len(first) == COUNT
    assert {"cat", None} == {row["cls"] for row in first}
    opened.clear()
    assert project.run() == 0
    assert opened == []
    assert project.ran() == {}
    pack(project.folder / "1.tar.gz", [("d/new.jpg", b"no image")])
    os.utime(project.folder / "1.tar.gz", (LONG_AGO + 5, LONG_AGO + 5))
    assert project.run() == 0
    assert opened == ["1.tar.gz"]
    changed = rows(project)
    assert [row for row in changed if "1.tar.gz" not in str(row["path"])] == [
        row for row in first if "1.tar.gz" not in str(row["path"])
    ]
    assert [row["path"] for row in changed if "1.tar.gz" in str(row["path"])] == [
        f"{project.folder}/1.tar.gz!/d/new.jpg"
    ]


@pytest.mark.quick(3)
@pytest.mark.parametrize("what", ["parameter", "artifact deleted", "artifact added", "record", "young", "bytes"])
def test_a_container_that_may_have_changed_is_listed_again(project: Project, opened: list[str], what: str) -> None:
    if what == "young":
        os.utime(project.folder / "0.tar")
    if what == "bytes":
        project.config["scan"]["trust"] = "bytes"
    assert project.run() == 0
    first = rows(project)
    opened.clear()
    expected = ["0.tar", "1.tar.gz", "2.zip", "labelled ö.tar"]
    artifact = next((project.run_folder / "scan").glob("*.parquet"))
    if what == "parameter":
        project.config["scan"]["ignore_names"] = ["nothing"]
    elif what == "artifact deleted":
        artifact.unlink()
    elif what == "artifact added":  # as left by a run that was killed while listing
        artifact.with_name(f"a-0-{'0' * 16}.parquet").write_bytes(artifact.read_bytes())
    elif what == "record":
        (project.run_folder / "run.json").write_text("{}")
    elif what == "young":
        expected = ["0.tar"]
    assert project.run() == 0
    assert sorted(opened) == expected
    assert rows(project) == first


def test_a_broken_container_is_opened_again(project: Project, opened: list[str]) -> None:
    path = project.folder / "0.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert project.run() == 0
    opened.clear()
    assert project.run() == 0
    assert opened == ["0.tar"]
    assert project.ran() == {}


def test_a_damaged_artifact_is_not_taken(project: Project, opened: list[str]) -> None:
    assert project.run() == 0
    for artifact in (project.run_folder / "scan").glob("*.parquet"):
        data = bytearray(artifact.read_bytes())
        data[40] ^= 255
        artifact.write_bytes(data)
    opened.clear()
    assert project.run() == 0
    assert len(opened) == 4
    assert any("every container is listed again" in line for line in project.record()["warnings"])
    assert project.record()["images"]["total"] == COUNT
