"""Check this installation; return commands that install missing packages."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.messages.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

DISTRIBUTION = "fast-diff-dask"
PACKAGES = ("pipeline", "stages")
"""Import names of the distribution: generic names, which another package may have, too."""


@dataclass(frozen=True)
class Metadata:
    """The installed metadata of a distribution.

    Replaces `importlib.metadata`, which loads more slowly than all other imports of `fast-diff --help`."""

    folder: Path

    def read_text(self, filename: str) -> str | None:
        """Return a file of the metadata, None if missing."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self.folder / filename).read_text(encoding="utf-8")
        return None

    @property
    def version(self) -> str:
        """Return the version of the distribution."""
        head = (self.read_text("METADATA") or self.read_text("PKG-INFO") or "").partition("\n\n")[0]
        found = re.search(r"^Version: *(\S+)", head, re.MULTILINE)
        return found[1] if found else "unknown"

    def entry_points(self, group: str) -> Iterator[str]:
        """Yield the values of the entry points of a group."""
        section = ""
        for line in map(str.strip, (self.read_text("entry_points.txt") or "").splitlines()):
            if line.startswith("["):
                section = line.strip("[]").strip()
            elif section == group and "=" in line:
                yield line.partition("=")[2].strip()


def distributions() -> Iterator[tuple[str, Metadata]]:
    """Yield the name and the metadata of each installed distribution.

    Names are in lower case, with `_` for `-` and `.`."""
    for place in sys.path:
        with contextlib.suppress(OSError), os.scandir(place or ".") as entries:  # not every place is a folder
            for name in sorted(entry.name for entry in entries if entry.name.endswith(("dist-info", "egg-info"))):
                yield _normal(name.rpartition(".")[0].partition("-")[0]), Metadata(Path(place or ".") / name)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def installed() -> Metadata | None:
    """Return the metadata of this distribution, None if not installed."""
    return next((found for name, found in distributions() if name == _normal(DISTRIBUTION)), None)


@functools.cache
def _by_name() -> dict[str, Metadata]:
    return dict(reversed(list(distributions())))  # of several with one name, the first counts


@functools.cache
def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, None if not installed."""
    found = _by_name().get(_normal(name))
    return found.version if found else None


def check() -> None:
    """Raise ConfigError on an unsupported system, or if this code can't be loaded."""
    if sys.platform in ("win32", "cygwin"):
        raise ConfigError(
            f"{DISTRIBUTION} does not run on Windows: expected Linux or macOS. Use WSL, its subsystem for Linux."
        )
    if found := problem():
        raise ConfigError(found)


def problem() -> str | None:
    """Return why Python can't load this distribution's code, None if Python can."""
    distribution = installed()
    if distribution is None:
        code = Path(__file__).parents[2]
        return f"{code}: {DISTRIBUTION} is not installed for {sys.executable}: {_pip()} -e {shlex.quote(str(code))}"
    clone, editable = _source(distribution)
    folder = clone if clone is not None and editable else distribution.folder.parent
    for name in PACKAGES:
        expected = folder / name
        spec = importlib.util.find_spec(name)
        if spec is None:
            return f"{expected}: the package {name} is missing; install {DISTRIBUTION} again"
        if spec.origin is None:  # a folder without an __init__.py
            found = " and ".join(spec.submodule_search_locations or ())
            return f"{found} is left over from an earlier installation and hides {expected}: delete it"
        if Path(spec.origin).resolve() != (expected / "__init__.py").resolve():
            found = str(Path(spec.origin).parent)
            return (
                f"{found} is another package of that name and hides {expected}: remove it, or start in another folder"
            )
    return None


def _source(distribution: Metadata | Distribution) -> tuple[Path | None, bool]:
    """Return a distribution's source folder, if any, and whether it is editable."""
    from urllib.parse import unquote, urlsplit

    try:
        given = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urlsplit(given["url"])
        editable = bool(given["dir_info"].get("editable"))
    except (KeyError, TypeError, ValueError, AttributeError):  # installed from an index or a wheel, or record damaged
        return None, False
    return Path(unquote(url.path)), editable


def install(*requirements: str) -> str:
    """Return the command that installs requirements into this Python's environment."""
    return " ".join([_pip(), *map(shlex.quote, requirements)])


def install_extra(*extras: str) -> str:
    """Return the command that installs extras of this distribution.

    The command uses the clone that was installed; without a clone, the command names the extras' requirements."""
    from importlib import metadata

    for distribution in metadata.distributions(name=DISTRIBUTION):
        clone, editable = _source(distribution)
        if clone is not None and (clone / "pyproject.toml").is_file():
            return f"cd {shlex.quote(str(clone))} && {_pip()} {'-e ' * editable}'.[{','.join(extras)}]'"
    return install(*dict.fromkeys(each for extra in extras for each in _requirements(extra)))


def _requirements(extra: str) -> list[str]:
    from importlib import metadata

    from packaging.requirements import Requirement

    chosen = []
    for each in map(Requirement, metadata.requires(DISTRIBUTION) or ()):
        marker, each.marker = each.marker, None
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            chosen.append(str(each))
    return chosen


def _pip() -> str:
    """Return the installer's command for this Python; uv environments have no pip."""
    import shutil

    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip install"
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
