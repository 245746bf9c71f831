"""The ways through the pair engine, which must all give the same result; and a folder to act on."""

import os
from pathlib import Path

import pytest

from stages.commands.apply.acts import linking
from stages.kernels import arrays
from stages.kernels.measure import exact, floats
from tests.stages.commands.apply.acting import odd
from tests.stages.kernels.tuned import tuned

PRICES = {
    "whole": exact.Costs(1, 1e9, 1e9),
    "single": exact.Costs(1e9, 1, 1),
    "finer": exact.Costs(1e9, 1e10, 1e10),
}
"""Ways to measure tiles with many candidates: the exact product, single pairs, or finer sums first."""
WAYS = [("whole", "compiled"), ("single", "products"), ("whole", "tiles"), ("single", "tiles"), ("finer", "tiles")]
"""Ways to find and measure candidates: by either filter, or tile by tile."""


@pytest.fixture(params=WAYS, ids="-".join)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test in every way, with many small tiles, and runs of changing height."""
    way, engine = request.param
    for measure in (exact.Squares, floats.FloatSquares):
        monkeypatch.setattr(measure, "costs", lambda self, size: PRICES[way])
    for module in (exact, floats):
        monkeypatch.setattr(module, "COMPILED", 0 if engine == "compiled" else 10**9)
    tuned(monkeypatch, compiled=0 if engine == "compiled" else 10**18, crowded=-1 if engine == "tiles" else 2, many=5)
    small_tiles(monkeypatch)


def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tiles and runs small, so that a few images take many of them."""
    monkeypatch.setattr(arrays, "SIDE", 7)
    tuned(monkeypatch, tile=9, pairs=100, rows=2, matches=10, candidates=60)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clusters: three equal files, one with an odd name, and two similar files."""
    for name in ("DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    folder = tmp_path / "photos"
    for name, data in (("a/1.jpg", b"same"), ("b/1.jpg", b"same"), ("c/x.jpg", b"near"), ("c/y.jpg", b"nearly")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    odd(folder).write_bytes(b"same")
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        os.utime(path, ns=(10**18 + number, 10**18 + number))
    return folder


@pytest.fixture
def reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with reflinks."""
    monkeypatch.setattr(linking, "clone", lambda source, target: os.write(target, os.pread(source, 1 << 20, 0)))
