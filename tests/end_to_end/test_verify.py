"""`fast-diff verify` as users meet it."""

import subprocess
import sys
from pathlib import Path

from tests.end_to_end.driver import Project, make_images
from tests.stages.test_verify import altered, rewrite


def verify(project: Project, run: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pipeline.cli", "verify", str(run)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=project.folder)


def test_a_false_figure_is_found_mended_and_gone(tmp_path: Path) -> None:
    """Nobody else can see it: to `run` everything is current. What verify says to do is what mends it."""
    project = Project(tmp_path)
    make_images(tmp_path / "images", 40)
    assert project.run() == 0
    for run in (project.run_folder, project.yaml):
        first = verify(project, run)
        assert (first.returncode, first.stdout.count("wrong: 0")) == (0, 5)
        assert f"verified    {project.run_folder / 'verify.json'}" in first.stdout
        assert "nearest" in first.stderr
    path = next(p for p in (project.run_folder / "pairs").iterdir() if b"measured" in p.read_bytes() and rows(p))
    rewrite(path, altered(0, mse=1.25))
    assert project.run() == 0
    assert project.ran() == {}
    found = verify(project, project.run_folder)
    assert found.returncode == 1
    assert "rows measured again: 4, wrong: 1" in found.stdout
    assert f"delete {path} and run `fast-diff run` again" in found.stderr
    assert "Traceback" not in found.stderr
    path.unlink()
    assert project.run() == 0
    assert project.ran()["pairs"] == 1
    assert verify(project, project.run_folder).returncode == 0


def rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows
