"""The README's commands in one environment, in both orders; a wheel without a clone; the lowest and newest versions.

Slow: each test makes an environment and fetches packages. Where only this program's own files matter, its dependencies
are borrowed from the environment of the tests."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.driver import Project, make_images
from tests.end_to_end.installing import Environment, clone, pythons, uv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]
COMPILE = (
    "import numpy as np; from stages.kernels.measure import native; a = np.zeros((2, 8), np.uint8); i = np.arange(2);"
    "native.sums(a, a, i, i, 9)"
)
"""Code that compiles some of the kernels that a run over more than 11,000 images compiles."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("source") / "fast diff")


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel and an sdist in a folder."""
    folder = tmp_path_factory.mktemp("built")
    uv("build", "--out-dir", str(folder), str(source))
    return folder


def loaded(environment: Environment) -> str:
    """Return the stages that Python loads; fail if a package hides them from `fast-diff`."""
    ended = environment.run("fast-diff", "config", "local.yaml")
    assert ended.returncode == 0, ended.stderr
    return environment.run("python", "-c", "import stages; print(stages.__file__)").stdout.strip()


def own(environment: Environment) -> list[str]:
    """Return the folders of this program among the installed packages."""
    return [name for name in ("pipeline", "stages") if (environment.packages / name).exists()]


def test_both_installs_in_both_orders(source: Path, tmp_path: Path) -> None:
    environment = Environment.made(tmp_path)
    environment.borrow()
    shutil.copy(source / "configs" / "local.yaml", environment.home)
    plain, editable = environment.packages / "stages", source / "stages"
    environment.pip("install", "--no-deps", str(source))
    assert loaded(environment) == str(plain / "__init__.py")
    assert environment.run("python", "-c", COMPILE).returncode == 0
    assert list(environment.home.rglob("*.nbc"))
    environment.pip("install", "--no-deps", "-e", str(source))
    assert own(environment) == []
    assert loaded(environment) == str(editable / "__init__.py")
    (plain / "kernels" / "__pycache__").mkdir(parents=True)  # as earlier versions left the folder
    ended = environment.run("fast-diff", "demo")
    hides = f"{plain} is left over from an earlier installation and hides {editable}: delete it"
    assert (ended.returncode, ended.stderr) == (2, f"fast-diff: {hides}\n")
    environment.pip("install", "--no-deps", str(source))
    assert loaded(environment) == str(plain / "__init__.py")
    environment.pip("uninstall", "--yes", "fast-diff-dask")
    assert own(environment) == []


def test_the_sdist_holds_the_files_of_a_clone(source: Path, built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "tests/conftest.py"} <= names
    for folder in ("pipeline", "stages", "configs", "tests"):
        files = {str(path.relative_to(source)) for path in (source / folder).rglob("*") if path.is_file()}
        assert {name for name in files - names if "egg-info" not in name and "__pycache__" not in name} == set()


def test_a_wheel_runs_without_a_clone(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert "stages/configs/local.yaml" in file.namelist()
    environment = Environment.made(tmp_path, sys.executable, "--without-pip")
    environment.borrow()
    environment.install("--no-deps", str(wheel))
    demo = environment.run("fast-diff", "demo")
    assert demo.returncode == 0, demo.stderr
    make_images(environment.home / "Pictures", 10)
    for command in demo.stdout.partition("to find duplicates in your own folder:")[2].splitlines():
        shell = f"PATH={environment.folder}/bin:$PATH; {command}"
        ended = subprocess.run(
            ["bash", "-c", shell], cwd=environment.home, env={"HOME": str(environment.home), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    assert "images      10" in ended.stdout
    assert (environment.home / "outputs" / "Pictures" / "report" / "index.html").is_file()


def check(environment: Environment, source: Path) -> None:
    """Run the quick tests, in which warnings are errors, on the packages of an environment."""
    ended = environment.run("python", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", cwd=source)
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]


READ = """
import pathlib, sys, warnings
import pandas as pd
warnings.simplefilter("error")
for folder in sorted({path.parent for path in pathlib.Path(sys.argv[1]).glob("*/*.parquet")}):
    print(folder.name, len(pd.read_parquet(folder)))
"""


def test_the_lowest_versions_work(source: Path, tmp_path: Path) -> None:
    """The lowest versions also read results that the newest versions wrote."""
    if not (python := pythons().get(11)):
        pytest.skip("no Python 3.11 here, the lowest that is supported")
    environment = Environment.made(tmp_path, python, "--without-pip")
    environment.install("--resolution", "lowest-direct", "-e", str(source))
    environment.install("-e", f"{source}[test]")  # test tools only: installed packages stay
    check(environment, source)
    demo = environment.run("fast-diff", "demo", "--quiet")
    assert (demo.returncode, demo.stderr) == (0, "")
    project = Project(tmp_path / "newest")
    make_images(project.folder / "images", 12)
    (project.folder / "images" / "000.jpg").write_bytes(b"no image")
    assert project.run("plot.pairs=0", "plot.clusters=0") == 0
    read = environment.run("python", "-c", READ, str(project.run_folder))
    assert read.stderr == ""
    counts = [
        f"{name} {len(pd.read_parquet(project.run_folder / name))}" for name in sorted(project.record()["stages"])
    ]
    assert read.stdout.splitlines() == counts


def test_the_newest_python_works(source: Path, tmp_path: Path) -> None:
    found = pythons()
    if not found or max(found) <= sys.version_info[1]:
        pytest.skip(f"no Python here that is newer than 3.{sys.version_info[1]}, which runs these tests")
    environment = Environment.made(tmp_path, found[max(found)], "--without-pip")
    environment.install("-e", f"{source}[test]")
    check(environment, source)
