"""How this distribution is installed: whether Python loads its code and no other, and how to add what is missing."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.messages.errors import ConfigError

DISTRIBUTION = "fast-diff-dask"
PACKAGES = ("pipeline", "stages")
"""Import names of the distribution; as they are generic, something else may stand in their place."""


def check() -> None:
    """Raise ConfigError where this system is not supported, or Python loads other code than this distribution's."""
    if sys.platform in ("win32", "cygwin"):
        raise ConfigError(
            f"{DISTRIBUTION} does not run on Windows: expected Linux or macOS. Use WSL, its subsystem for Linux."
        )
    if found := fault():
        raise ConfigError(found)


def fault() -> str | None:
    """Say what stands in the way of this distribution's code; None if nothing does."""
    try:
        folder = _folder(metadata.distribution(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        code = Path(__file__).parents[2]
        return f"{code}: {DISTRIBUTION} is not installed for {sys.executable}: {_pip()} -e {shlex.quote(str(code))}"
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
            return f"{found} is another package of that name and hides {expected}: remove it, or start from elsewhere"
    return None


def _folder(distribution: metadata.Distribution) -> Path:
    """The folder that holds the packages of a distribution."""
    clone, editable = _source(distribution)
    return clone if clone is not None and editable else Path(str(distribution.locate_file("")))


def _source(distribution: metadata.Distribution) -> tuple[Path | None, bool]:
    """The folder of this machine that a distribution was installed from, if any, and whether it is editable there."""
    try:
        given = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urlsplit(given["url"])
        editable = bool(given["dir_info"].get("editable"))
    except (KeyError, TypeError, ValueError, AttributeError):  # from an index or a wheel, or spoilt
        return None, False
    return Path(unquote(url.path)), editable


def install(*requirements: str) -> str:
    """Return the command that installs requirements beside this program, be its environment active or not."""
    return " ".join([_pip(), *map(shlex.quote, requirements)])


def install_extra(*extras: str) -> str:
    """Return the command that adds extras of this distribution, by way of the clone that it was installed from.

    Where there is none, or it is gone, the command names what the extras would bring."""
    for distribution in metadata.distributions(name=DISTRIBUTION):
        clone, editable = _source(distribution)
        if clone is not None and (clone / "pyproject.toml").is_file():
            return f"cd {shlex.quote(str(clone))} && {_pip()} {'-e ' * editable}'.[{','.join(extras)}]'"
    return install(*dict.fromkeys(each for extra in extras for each in _requirements(extra)))


def _requirements(extra: str) -> list[str]:
    from packaging.requirements import Requirement

    found = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    chosen = [
        each
        for each in found
        if each.marker and each.marker.evaluate({"extra": extra}) and not each.marker.evaluate({"extra": ""})
    ]
    for each in chosen:
        each.marker = None
    return [str(each) for each in chosen]


def _pip() -> str:
    """The command that installs into the environment of this Python; uv's environments have no pip."""
    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip install"
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
