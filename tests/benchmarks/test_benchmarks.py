"""Run each benchmark on little data, and check that the figures are printed; no time is asserted."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.photographs import photograph

FOLDER = Path(__file__).parent
RUN = {
    "accuracy": ("PHOTOGRAPHS 2", r"false matches +\d"),
    "acting": ("--files 20", r"undo +[\d.]+ ms a file"),
    "containers": ("PHOTOGRAPHS --icons 20 --rounds 1", r"icons +20 images  tar +\d+%"),
    "cost": ("", r"\| price of cores \| \$\d"),
    "decode": ("PHOTOGRAPHS --rounds 1", r"the stage keeps [\d.]+% of the floor"),
    "efficiency": ("--images 8 --pairs-images 400 --rounds 1 --stage thumbnail", r"2 over loopback [\d.]+ s"),
    "embedding_runs": (
        "--images 200 --dimensions 32 --kind synchronous",
        r"19,900 pairs, .*\n[\d,]+ s of the processor",
    ),
    "embeddings": ("--images 300 --dimensions 32", r"\n +32 +0\.98 +[\d,]+ +[\d.nan]+ +[\d.nan]+ "),
    "filtering": ("--members 40 --rounds 1", r"large +parquet +10 members +[\d.]+ µs a member"),
    "footer_index": ("20", r"SQLite: add [\d.]+ µs"),
    "folders": ("PHOTOGRAPHS made 2", r"made/icons: 2 files"),
    "growth": ("200 --kind synchronous", r"\n +200 +1\.99e\+04 "),
    "keepers": ("--each 1", r"without metadata: 12 of 12 copies found(.*\n)+ +all +\d+ of +12 stay"),
    "locality": ("4", r"bundles of up to 256 +[\d.]+"),
    "memory": ("2 4", r"an image more: -?[\d,]+ bytes"),
    "pairs": (
        "--images 32",
        r"ours, four turns +\d(.*\n)+ +mirror, 32 crops, 4, 200 .*\n(.*\n)+ +exposure, 32 pages, 1, 800 .*\n"
        r"(.*\n)+32 flat sheets +4",
    ),
    "rerun": ("4 --rounds 1", r"ratio [\d.]+"),
    "rows": ("60 40", r"40 copies of a page: 39 rows"),
    "scale": ("--partitions 2 --pairs 3 --workers 1", r"finished run: .*ratio [\d.]+"),
    "scan": ("20", r"[\d.]+ times as long, [\d,]+ bytes a file"),
    "scrolling": ("--clusters 200 --seconds 1", r"ratio [\d.]+"),
    "shards": ("made --shards 2 --members 20 --kill 1", r"a shard changed +exit 0, 220 images"),
    "small": ("PHOTOGRAPHS --rounds 1", r"another keep rule / first run +[\d.]+%(.*\n)+ +peak memory .* +\d+"),
    "spread": ("5", r"distinct takes [\d.]+ of farthest"),
    "stall": ("0 8", r"the longest time without the end of a task [\d.]+ s"),
    "syncs": ("10", r"all folders once [\d.]+ ms"),
}
"""The arguments of each benchmark, and a pattern that its figures match; PHOTOGRAPHS stands for a folder."""
NAMED = {
    "gpu": "needs a GPU and CuPy",
    "peers": "installs each peer from a package index into an environment of its own",
}
"""Benchmarks that are imported but not run, and the reason."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of photographs that are just large enough to be decoded at a reduced size."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(4):
        photograph(number, (640, 512)).save(folder / f"{number}.jpg", quality=90)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_a_benchmark_prints_its_figures(name: str, photographs: Path, tmp_path: Path) -> None:
    words, figures = RUN[name]
    (tmp_path / "outputs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *words.replace("PHOTOGRAPHS", str(photographs)).split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(FOLDER.parents[1])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(figures, done.stdout), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_a_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"tests.benchmarks.{name}")
    pytest.skip(f"imported, not run: {NAMED[name]}")


def test_every_benchmark_is_run_or_named() -> None:
    """Modules without a main program are shared by benchmarks, whose tests cover them."""
    modules = {path.stem: path.read_text() for path in FOLDER.glob("*.py") if path != Path(__file__)}
    assert {name for name, text in modules.items() if "\nif __name__ ==" in text} == {*RUN, *NAMED}
