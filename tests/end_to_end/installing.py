"""Make environments, and install this program in them as a newcomer does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "build", "dist"
)
PATTERN = re.compile(r"python3\.(\d+)")


def clone(folder: Path) -> Path:
    """Copy the files of a clone, since building a package leaves files beside the sources."""
    shutil.copytree(ROOT, folder, ignore=lambda path, names: LEFT_OUT(path, names) | _runs(path, names))
    return folder


def _runs(path: str, names: list[str]) -> set[str]:
    return set(names) - {"README.md"} if Path(path) == ROOT / "outputs" else set()


@dataclass(frozen=True)
class Environment:
    """A virtual environment with a home folder of its own."""

    folder: Path
    home: Path

    @classmethod
    def made(cls, folder: Path, python: str = sys.executable, *options: str) -> Environment:
        """Make an environment by a Python, as the README does."""
        (folder / "home").mkdir(parents=True)
        subprocess.run([python, "-m", "venv", *options, str(folder / "env")], check=True)
        return cls(folder / "env", folder / "home")

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def packages(self) -> Path:
        """Return the folder of installed packages."""
        (found,) = self.folder.glob("lib/python3*/site-packages")
        return found

    def borrow(self) -> None:
        """Add the packages of the tests' Python after the packages of this environment."""
        (self.packages / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment, outside the clone."""
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
        variables |= {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        variables["MPLCONFIGDIR"] = matplotlib.get_configdir()  # else each process lists the system's fonts anew
        command = [str(self.folder / "bin" / words[0]), *words[1:]]
        return subprocess.run(command, cwd=cwd or self.home, env=variables, capture_output=True, text=True)

    def pip(self, *words: str) -> None:
        """Run pip, which keeps its own configuration and cache."""
        command = [self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
        ended = subprocess.run(command, cwd=self.home, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-3_000:]

    def install(self, *words: str) -> None:
        """Install by uv, which is faster than pip."""
        uv("pip", "install", "--python", self.python, *words)


def uv(*words: str) -> None:
    """Run uv, which the extra `test` brings."""
    command = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert command, "uv is missing: pip install '.[test]'"
    ended = subprocess.run([command, "--quiet", *words], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3_000:]


def pythons() -> dict[int, str]:
    """Return the working Pythons in PATH and of pyenv, by minor version."""
    places = [Path(place) for place in os.environ["PATH"].split(os.pathsep)]
    places += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    found: dict[int, str] = {}
    for path in (path for place in places for path in sorted(place.glob("python3.*"))):
        match = PATTERN.fullmatch(path.name)
        if (
            match
            and int(match[1]) not in found
            and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
        ):
            found[int(match[1])] = str(path)
    return found
