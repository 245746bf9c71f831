"""Kernels are compiled ahead of their first use, for the types that runs use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.machine import side_process
from pipeline.stage import Task, Upstream
from stages import pairs
from stages.kernels.warm_up import compile_loops

COMPARE = """
from functools import partial
import numpy as np
from stages.kernels.bounds import coarse, orbits
from stages.kernels.bounds.space import Space, prepare
from stages.kernels.filters.leaves import Leaves
from stages.kernels.measure import native
images = np.random.default_rng(1).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
edges = np.array(coarse.edges(64, 4))
native.cells(images, edges, edges)
vectors = coarse.vectors(coarse.coarse(images), (64, 64, 3))
for turns in (1, 4):
    space = Space(1e6, orbits.orders(3, turns), partial(orbits.invariants, channels=3) if turns > 1 else None)
    native.invariants(vectors.reshape(300, 4, 4, 4))
    for right in (vectors, vectors[:200].copy()):
        found = Leaves(prepare(vectors, right, space)).candidates(np.arange(300), None, right is vectors, 1 << 16)
        native.sums(images.reshape(300, -1), images.reshape(300, -1), found.a, found.b, 1 << 40)
"""


def ran(cache: Path, *command: str) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, *command], env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.slow
def test_a_comparison_compiles_nothing_after_the_command(tmp_path: Path) -> None:
    answer = ran(tmp_path, "-m", "pipeline.cli.main", "warm-up", "--json")
    folder = Path(json.loads(answer)["folder"])
    assert folder.parent == tmp_path
    compiled = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(compiled) >= 14
    ran(tmp_path, "-c", COMPARE)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == compiled


@pytest.mark.parametrize(
    ("images", "there", "begins"),
    [((6_000, 6_000), (), True), ((6_000,), (), False), ((6_000, 6_000), ("run.json",), False)],
    ids=["a large first run", "a small run", "a later run"],
)
def test_only_a_large_first_run_compiles_beside_its_tasks(
    images: tuple[int, ...], there: tuple[str, ...], begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Callable[..., object]] = []
    monkeypatch.setattr(side_process, "submit", begun.append)
    tasks = [Task(str(number), size=count) for number, count in enumerate(images)]
    settings: Mapping[str, object] = {}
    pairs.warm_up(Upstream({"scan": tasks}, settings.__getitem__), there.__contains__)
    assert begun == ([compile_loops] if begins else [])
