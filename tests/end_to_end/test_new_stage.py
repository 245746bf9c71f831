"""A newcomer adds a stage by adding one file: the one that CONTRIBUTING.md prints."""

import os
import re
import shutil
from importlib import metadata
from pathlib import Path

import pandas as pd

from tests.end_to_end.driver import Project, make_images

ROOT = Path(__file__).parents[2]


def test_the_stage_in_the_contributors_guide_works(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for package in ("pipeline", "stages"):
        shutil.copytree(ROOT / package, tmp_path / "source" / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "source" / "stages" / "sharpness.py").write_text(code)
    installed = tmp_path / "source" / "fast_diff_dask-0.dist-info"
    installed.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (installed / name).write_text(metadata.distribution("fast-diff-dask").read_text(name) or "")
    make_images(tmp_path / "images", 12)
    project = Project(tmp_path, {"sharpness": {"scale": 2.0}})
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
