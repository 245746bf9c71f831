"""Packages that hide this distribution's code, and the commands that add extras to it."""

import json
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.cli.main import main
from pipeline.machine import installation
from pipeline.messages.errors import ConfigError

ROOT = Path(__file__).parents[3]
EXTRAS = ["rawpy>=0.24; extra == 'raw'", "a-b>=1; extra == 'gpu'", "cupy[all]<9,>=2; extra == 'gpu'", "numpy>=2"]


class Installed(metadata.Distribution):
    """A distribution with the given files."""

    def __init__(self, folder: Path, origin: object = None) -> None:
        self.folder = folder
        self.files_ = {"METADATA": "\n".join(["Name: fast-diff-dask", *(f"Requires-Dist: {each}" for each in EXTRAS)])}
        if origin is not None:
            self.files_["direct_url.json"] = origin if isinstance(origin, str) else json.dumps(origin)

    def read_text(self, filename: str) -> str | None:
        return self.files_.get(filename)

    def locate_file(self, path: object) -> Path:
        return self.folder / str(path)


def clone(folder: Path, editable: bool) -> dict[str, object]:
    return {"url": folder.as_uri(), "dir_info": {"editable": True} if editable else {}}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with both packages."""
    for name in installation.PACKAGES:
        (tmp_path / "my code" / name).mkdir(parents=True)
        (tmp_path / "my code" / name / "__init__.py").touch()
    return tmp_path / "my code"


def place(monkeypatch: pytest.MonkeyPatch, distribution: Installed, *search: Path) -> None:
    """Install a fake distribution, and let Python look for packages in these folders only."""
    from importlib.machinery import PathFinder

    def found(name: str) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(folder) for folder in search])

    here = SimpleNamespace(read_text=distribution.read_text, folder=distribution.folder / "fast_diff_dask.dist-info")
    monkeypatch.setattr(installation, "installed", lambda: here)
    monkeypatch.setattr(metadata, "distributions", lambda **_: iter([distribution]))
    monkeypatch.setattr(metadata, "requires", lambda _: distribution.requires)
    monkeypatch.setattr("importlib.util.find_spec", found)


def test_metadata_are_those_that_python_finds() -> None:
    found = installation.installed()
    assert found
    assert found.version == metadata.version(installation.DISTRIBUTION)
    for group in ("fast_diff.commands", "fast_diff.results", "fast_diff.stages", "console_scripts", "no"):
        expected = metadata.distribution(installation.DISTRIBUTION).entry_points.select(group=group)
        assert list(found.entry_points(group)) == [entry.value for entry in expected]


@pytest.mark.parametrize("name", ["fast_diff_dask-1.0.dist-info", "fast_diff_dask-1.0-py3.11.egg-info"])
def test_metadata_lie_in_a_folder_of_the_search_path(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "METADATA").write_text("Metadata-Version: 2.1\nVersion: 1.0\n\nVersion: 2.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "gone"), str(tmp_path)])
    found = installation.installed()
    assert found == installation.Metadata(tmp_path / name)
    assert found.version == "1.0"
    assert list(found.entry_points("fast_diff.stages")) == []
    monkeypatch.setattr(sys, "path", [str(tmp_path / "gone")])
    assert installation.installed() is None


def test_this_installation_is_valid() -> None:
    assert installation.problem() is None


@pytest.mark.parametrize("editable", [True, False])
def test_code_where_it_was_installed(
    tmp_path: Path, code: Path, editable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    place(monkeypatch, Installed(site, clone(code, True)) if editable else Installed(code), code)
    assert installation.problem() is None


@pytest.mark.parametrize("name", installation.PACKAGES)
def test_a_leftover_folder_is_named(tmp_path: Path, code: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "site-packages" / name
    (left / "kernels" / "__pycache__").mkdir(parents=True)
    shutil.rmtree(code / name)  # Python finds a namespace package if it finds no other package
    place(monkeypatch, Installed(tmp_path / "site-packages", clone(code, True)), code, tmp_path / "site-packages")
    hides = f"{left} is left over from an earlier installation and hides {code / name}: delete it"
    assert installation.problem() == hides


@pytest.mark.parametrize("name", installation.PACKAGES)
def test_another_package_of_that_name_is_named(
    tmp_path: Path, code: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / name
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    place(monkeypatch, Installed(code), tmp_path / "other", code)
    found = installation.problem()
    assert found
    assert found.startswith(f"{other} is another package of that name and hides {code / name}: remove it")


def test_a_missing_package_is_named(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(code / "stages")
    place(monkeypatch, Installed(code), code)
    assert installation.problem() == f"{code / 'stages'}: the package stages is missing; install fast-diff-dask again"


def test_a_linked_folder_is_the_folder(tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(code)
    place(monkeypatch, Installed(tmp_path / "link"), code)
    assert installation.problem() is None


def test_code_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(installation, "installed", lambda: None)
    assert main(["--version"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"fast-diff: {ROOT}: fast-diff-dask is not installed for {sys.executable}: " in line
    assert f" -e {shlex.quote(str(ROOT))}" in line


def test_no_command_starts_on_code_that_is_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "problem", lambda: "/there is in the way")
    for arguments in (["demo"], ["run", "x.yaml"], ["--help"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err == "fast-diff: /there is in the way\n"


def test_stages_without_a_stage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import stages
    from pipeline.plan.discovery import discover

    monkeypatch.setattr(stages, "__path__", [str(tmp_path)])
    with pytest.raises(ConfigError, match=f"^{tmp_path}: found no stage; install fast-diff-dask again$"):
        discover()


@pytest.mark.parametrize("platform", ["win32", "cygwin"])
def test_windows_is_refused_in_one_line(
    platform: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert main(["demo"]) == 2
    said = "fast-diff-dask does not run on Windows: expected Linux or macOS. Use WSL, its subsystem for Linux."
    assert capsys.readouterr().err == f"fast-diff: {said}\n"


def test_the_command_line_loads_without_modules_that_windows_lacks() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios'])\n"
        "from pipeline.cli.main import main; sys.platform = 'win32'; sys.exit(main(['demo']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "does not run on Windows" in ended.stderr


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a fake pip, beside this Python, first in PATH."""
    monkeypatch.setattr(shutil, "which", lambda _: str(Path(sys.executable).parent / "pip"))


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize("editable", [True, False])
def test_from_a_clone_an_extra_comes_from_there(code: Path, editable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (code / "pyproject.toml").touch()
    place(monkeypatch, Installed(code, clone(code, editable)))
    option = "-e " if editable else ""
    assert installation.install_extra("raw") == f"cd '{code}' && pip install {option}'.[raw]'"
    assert installation.install_extra("raw", "gpu") == f"cd '{code}' && pip install {option}'.[raw,gpu]'"


WHEEL = {"url": "file:///x/fast_diff_dask-0.1.0-py3-none-any.whl", "archive_info": {}}
COMMIT = {"url": "https://example.org/fast-diff.git", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize(
    "origin", [None, WHEEL, COMMIT, clone(Path("/gone"), True), "spoilt", "[]", "{}", '{"url": 1, "dir_info": {}}']
)
def test_without_a_clone_an_extra_is_named_by_its_packages(
    code: Path, origin: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(monkeypatch, Installed(code, origin))
    assert installation.install_extra("raw") == "pip install 'rawpy>=0.24'"
    assert installation.install_extra("gpu") == "pip install 'a-b>=1' 'cupy[all]<9,>=2'"


def test_the_environment_is_this_ones(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/pip")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert installation.install("bokeh") == f"{sys.executable} -m pip install bokeh"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert installation.install("bokeh") == f"uv pip install --python {sys.executable} bokeh"


def test_every_extra_that_a_message_names_is_there() -> None:
    from pipeline.cluster.deployment import KINDS
    from pipeline.store.backends.locations import EXTRAS as STORES
    from stages.decoding.formats.registry import FORMATS

    named = {kind.extra for kind in KINDS.values()} | set(STORES.values()) | {format.extra for format in FORMATS}
    for extra in (named | {"gpu", "sql", "tls", "tiff"}) - {""}:
        assert installation._requirements(extra), extra


def test_no_message_names_a_package_that_is_not_published() -> None:
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py"), *(ROOT / "configs").rglob("*")]:
        assert not path.is_file() or "fast-diff-dask[" not in path.read_text(), path
