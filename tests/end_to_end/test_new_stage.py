"""A stage or a command is added by one file, as in the examples of CONTRIBUTING.md."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.documents import ROOT, blocks
from tests.end_to_end.driver import Project, make_images

ADDED = [block for block in blocks("CONTRIBUTING.md") if block.file]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder of images beside the sources, to which the files of the guide are added."""
    for package in ("pipeline", "stages"):
        shutil.copytree(ROOT / package, tmp_path / "source" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for block in ADDED:
        (tmp_path / "source" / block.file).write_text(block.text)
    installed = tmp_path / "source" / "fast_diff_dask-0.dist-info"
    installed.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (installed / name).write_text(metadata.distribution("fast-diff-dask").read_text(name) or "")
    make_images(tmp_path / "images", 12)
    return Project(tmp_path, {"sharpness": {"scale": 2.0}})


@pytest.mark.slow
def test_the_files_in_the_contributors_guide_work(project: Project, tmp_path: Path) -> None:
    assert [block.file for block in ADDED] == ["stages/sharpness.py", "stages/commands/largest.py"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "source")}
    ended = project.spawn(env=environment, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    partitions = len(list((project.run_folder / "thumbnail").glob("*.parquet")))
    assert project.ran()["sharpness"] == partitions
    table = pd.read_parquet(project.run_folder / "sharpness")
    assert len(table) == 12
    assert (table["sharpness"] > 0).all()
    assert project.spawn("sharpness.scale=3.0", env=environment, cwd=tmp_path).returncode == 0
    assert project.ran() == {"sharpness": partitions}

    command = [sys.executable, "-m", "pipeline.cli.main", "largest", str(project.run_folder)]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert re.fullmatch(r"cluster \d+: 2 images\n", ended.stdout), ended.stderr
