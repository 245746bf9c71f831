"""`fast-diff verify` on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import load_run
from pipeline.cli.main import main
from tests.end_to_end.driver import Project, make_image, make_images
from tests.stages.commands.verify.test_verify import altered, rewrite


def verify(project: Project, run: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pipeline.cli.main", "verify", str(run)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=project.folder)


@pytest.mark.slow
def test_a_wrong_distance_is_found_and_repaired(tmp_path: Path) -> None:
    """Only verify detects the wrong distance, since `run` finds nothing stale. The advice of verify repairs the run."""
    project = Project(tmp_path)
    make_images(tmp_path / "images", 40)
    assert project.run() == 0
    for run in (project.run_folder, project.yaml):
        first = verify(project, run)
        assert (first.returncode, first.stdout.count(", 0 wrong\n")) == (0, 5)
        assert f"verified    {project.run_folder / 'verify.json'}" in first.stdout
        assert "nearest" in first.stderr
    path = next(p for p in (project.run_folder / "pairs").iterdir() if b"measured" in p.read_bytes() and rows(p))
    rewrite(path, altered(0, mse=1.25))
    assert project.run() == 0
    assert project.ran() == {}
    found = verify(project, project.run_folder)
    assert found.returncode == 1
    assert "matches     4 rows measured again, 1 wrong" in found.stdout
    assert f"delete {path} and run `fast-diff run` again" in found.stderr
    assert "Traceback" not in found.stderr
    path.unlink()
    assert project.run() == 0
    assert project.ran()["pairs"] == 1
    assert verify(project, project.run_folder).returncode == 0


def rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def test_references_are_left_uncompared_where_the_config_says_so(tmp_path: Path) -> None:
    """Make an archive with copies inside, and new images, some of which are copies of archived images."""
    for seed in (*range(8), *range(4)):
        make_image(tmp_path / "archive" / f"{seed}-{len(list((tmp_path / 'archive').glob('*')))}.jpg", seed)
    for seed in (2, 3, 20, 21, 21):
        make_image(tmp_path / "new" / f"{seed}-{len(list((tmp_path / 'new').glob('*')))}.jpg", seed)
    inputs = [{"path": str(tmp_path / "archive"), "reference": True}, str(tmp_path / "new")]
    project = Project(tmp_path / "project", {"inputs": {"a": inputs}})
    assert project.run() == 0
    assert project.record()["ledger"]["skipped_by_rule"] == 0
    assert project.run("pairs.references=skip") == 0
    ledger = project.record()["ledger"]
    assert ledger["skipped_by_rule"] == 12 * 11 // 2
    pairs = load_run(project.run_folder).pairs(expand=True)
    assert not (pairs["path_a"].str.contains("archive") & pairs["path_b"].str.contains("archive")).any()
    assert len(pairs) == ledger["matches"] == 2 * 2 + 1
    assert main(["verify", str(project.run_folder), "--quiet"]) == 0
